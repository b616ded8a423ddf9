"""An exception is narrow, has a reason, and ends."""

import datetime
from pathlib import Path

import pytest

from harness.core.errors import InputError, Location
from harness.core.repository import Repository
from harness.policy.exceptions import apply, load
from harness.policy.finding import Finding, Severity

TODAY = datetime.date(2027, 1, 1)
ENTRY = """\
exceptions:
  - rule: pod/limit
    object: Deployment/demo/*
    environments: [staging]
    reason: throttling is latency
    expires: 2027-06-30
"""


def _finding(**changed: object) -> Finding:
    fields: dict[str, object] = {
        "rule": "pod/limit",
        "severity": Severity.ERROR,
        "message": "no limit",
        "location": Location(Path("file.yaml"), 1),
        "object": "Deployment/demo/web",
        "environments": ("staging",),
        "fix": "set one",
        **changed,
    }
    return Finding(**fields)  # type: ignore[arg-type]


def _apply(tmp_path: Path, finding: Finding, today: datetime.date = TODAY) -> tuple[int, ...]:
    (tmp_path / "exceptions.yaml").write_text(ENTRY)
    result = apply([finding], load(Repository(tmp_path)), today)
    lists = (result.findings, result.suppressed, result.expired, result.unused)
    return tuple(map(len, lists))


def test_a_finding_that_an_exception_names_is_suppressed(tmp_path: Path) -> None:
    assert _apply(tmp_path, _finding()) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"rule": "pod/other"},
        {"object": "Deployment/other/web"},
        {"environments": ("production",)},
    ],
    ids=str,
)
def test_anything_else_stays_and_it_is_unused(tmp_path: Path, other: dict[str, object]) -> None:
    assert _apply(tmp_path, _finding(**other)) == (1, 0, 0, 1)


def test_an_exception_suppresses_in_its_own_environments(tmp_path: Path) -> None:
    (tmp_path / "exceptions.yaml").write_text(ENTRY)
    both = _finding(environments=("staging", "production"))
    result = apply([both], load(Repository(tmp_path)), TODAY)
    assert result.findings[0].environments == ("production",)
    assert result.suppressed[0].finding.environments == ("staging",)


@pytest.mark.parametrize(
    ("old", "new", "excess"),
    [
        ("2027-06-30", "2099-01-01", "more than a year"),
        ("2027-06-30", "2027-12-31", ""),
        ("Deployment/demo/*", "'*'", "every object"),
        ("Deployment/demo/*", "'*/*'", "every object"),
        ("Deployment/demo/*", "Deployment/*", ""),
        ("pod/limit", "secrets/in-text", "its own name"),
        ("pod/limit", "promotion/evidence", "its own name"),
    ],
)
def test_an_exception_is_for_objects_and_for_a_year(
    tmp_path: Path, old: str, new: str, excess: str
) -> None:
    (tmp_path / "exceptions.yaml").write_text(ENTRY.replace(old, new))
    (exception,) = load(Repository(tmp_path))
    assert excess in exception.excess(TODAY)
    assert bool(excess) == bool(exception.excess(TODAY))


def test_a_finding_about_no_object_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "exceptions.yaml").write_text(ENTRY.replace("Deployment/demo/*", "file.yaml"))
    result = apply([_finding(object="")], load(Repository(tmp_path)), TODAY)
    assert not result.findings


def test_a_former_id_names_the_rule_of_today(tmp_path: Path) -> None:
    (tmp_path / "exceptions.yaml").write_text(ENTRY.replace("pod/limit", "helm/recovers"))
    (suppression,) = load(Repository(tmp_path))
    assert suppression.rule == "helm/remediation"


def test_on_its_last_day_it_still_applies(tmp_path: Path) -> None:
    assert _apply(tmp_path, _finding(), datetime.date(2027, 6, 30)) == (0, 1, 0, 0)


def test_an_expired_exception_suppresses_nothing(tmp_path: Path) -> None:
    assert _apply(tmp_path, _finding(), datetime.date(2027, 7, 1)) == (1, 0, 1, 0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reason: throttling is latency", "reason: because", "needs a reason"),
        ("expires: 2027-06-30", "expires: soon", "a date such as"),
        ("    expires: 2027-06-30\n", "", "a date such as"),
        ("object:", "objects:", "unknown key objects"),
        ("    object: Deployment/demo/*\n", "", "names a rule and an object"),
    ],
)
def test_an_incomplete_exception_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    (tmp_path / "exceptions.yaml").write_text(ENTRY.replace(old, new))
    with pytest.raises(InputError, match=message) as refused:
        load(Repository(tmp_path))
    assert str(refused.value).startswith("exceptions.yaml:2: ")


def test_a_rule_that_was_renamed_is_still_excused_by_its_old_id(tmp_path: Path) -> None:
    (tmp_path / "exceptions.yaml").write_text(ENTRY.replace("pod/limit", "cluster/one-name"))
    (exception,) = load(Repository(tmp_path))
    assert exception.rule == "cluster/one-region"
