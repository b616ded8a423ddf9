"""`harness check` verifies what stands beside production's pointer, by what main was before it."""

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.attestation import pointer, record, signature
from harness.attestation.record import Evidence, Gate
from harness.core import files
from harness.core.git import Git
from harness.core.repository import Repository
from harness.policy import engine
from harness.policy.project import Project
from harness.policy.rules import promotion as rules
from harness.promotion import history, promote, rollback
from harness.promotion.branch import Branch, upstream
from tests.promotion import cases
from tests.promotion.conftest import POINTER, Clone, allow, list_signer, new_key
from tests.promotion.test_promote import BRANCH, gate_inputs

GATES = "clusters/production/promotion.yaml"
DAY = datetime.timedelta(days=1)
EVIDENCE_ONLY = f'namespaces="{signature.EVIDENCE}"'


def problems(repository: Repository) -> list[str]:
    """What the rule reports, as ``file:line message``; no other rule is evaluated."""
    return [f"{each.location} {each.message}" for each in rules.evidence(Project(repository, {}))]


def _promotion_findings(repository: Repository) -> list[str]:
    """What `harness check` says of promotions, all rules asked."""
    promotion = (f for f in engine.check(repository).findings if f.rule.startswith("promotion/"))
    return [f"{each.location.path} {each.rule} {each.message}" for each in promotion]


def verifiability_problems(repository: Repository) -> list[str]:
    return [each.message for each in rules.evidence_is_verifiable(Project(repository, {}))]


@dataclass(frozen=True)
class Production:
    """A clone, a release that is good for production, its evidence, and a key that may sign it."""

    clone: Clone
    key: Path
    commit: str
    evidence: Evidence
    set_clock: Callable[[datetime.datetime], None]

    @property
    def path(self) -> Path:
        return self.clone.root / pointer.evidence("production", self.commit)

    @property
    def repository(self) -> Repository:
        return self.clone.repository

    def write(self, text: str, key: Path | None, namespace: str = signature.RELEASE) -> None:
        """Put evidence, signed or not, and the moved pointer into the working tree."""
        files.write(self.path, text)
        if key:
            signed = signature.sign(text, key, namespace)
            files.write(self.path.with_name(f"{self.path.name}.sig"), signed)
        for path, text in promote.pointer_change(
            self.repository, "production", self.commit
        ).items():
            files.write(self.clone.root / path, text)

    def move(self, text: str, key: Path | None, namespace: str = signature.RELEASE) -> None:
        """The same on main, merged."""
        self.write(text, key, namespace)
        self.clone.commit("Move")


@pytest.fixture
def production(clone: Clone, key: Path, monkeypatch: pytest.MonkeyPatch) -> Production:
    """What is merged is merged ten minutes after it was decided, on a Thursday."""

    def set_clock(now: datetime.datetime) -> None:
        monkeypatch.setenv("GIT_COMMITTER_DATE", now.isoformat())

    set_clock(cases.NOW + datetime.timedelta(minutes=10))
    allow(clone, key)
    commit = clone.change(321)
    good = promote.promote(
        clone.repository,
        gate_inputs(clone, commit),
        Branch.of(upstream(clone.git), "production", "promote"),
        key,
    )
    return Production(clone, key, commit, good.evidence, set_clock)


def test_promotion_is_fine_and_nothing_else_is_said(production: Production) -> None:
    production.clone.merge(BRANCH)
    assert _promotion_findings(production.repository) == []
    assert history.pins(production.repository, "production")[0].signed_by == "ada@example.com"


def test_promotion_stays_fine_when_its_key_and_its_reports_are_history(
    production: Production,
) -> None:
    production.clone.merge(BRANCH)
    production.set_clock(cases.NOW + 400 * DAY)
    allow(production.clone, new_key(production.key.with_name("next")))
    production.clone.edit("clusters/production/site.yaml", "production", "other")
    production.clone.commit("Something else")
    assert problems(production.repository) == []


def test_pointer_that_was_moved_by_hand_is_found(clone: Clone) -> None:
    commit = clone.change(321)
    clone.pin(commit)
    assert _promotion_findings(clone.repository) == [
        f"{POINTER} promotion/evidence no evidence of {commit[:12]}"
    ]


def _evidence_text(evidence: Evidence, **changes: object) -> str:
    return Evidence.model_validate(evidence.model_dump() | changes).as_text()


REFUSED = Gate(name="soak", passed=False, found="Ready for 0.1 h", hint="wait")
FORGED: dict[str, tuple[Callable[[Evidence], str], str]] = {
    "made up": (
        lambda evidence: json.dumps({"commit": evidence.commit, "environment": "production"}),
        ".json:1 digest: Field required",
    ),
    "no JSON": (lambda _: "yes\n", ".json:1 Invalid JSON"),
    "a gate that refused": (
        lambda evidence: _evidence_text(evidence, gates=[REFUSED, *evidence.gates]),
        "gate soak was not passed: Ready for 0.1 h",
    ),
    "a gate twice": (
        lambda evidence: _evidence_text(evidence, gates=[*evidence.gates, evidence.gates[0]]),
        "duplicate gate checkout",
    ),
    "a gate that was left out": (
        lambda evidence: _evidence_text(
            evidence, gates=[x for x in evidence.gates if x.name != "soak"]
        ),
        "lacks the gates soak",
    ),
    "another commit": (
        lambda evidence: _evidence_text(evidence, commit="c" * 40),
        "is evidence of cccccccccccc",
    ),
    "another environment": (
        lambda evidence: _evidence_text(evidence, environment="staging"),
        "is evidence of staging, not of production",
    ),
    "another release": (
        lambda evidence: _evidence_text(evidence, digest="d" * 64),
        "is of release dddddddddddd",
    ),
    "decided a month ago": (
        lambda evidence: _evidence_text(evidence, decided=cases.hours_ago(720).isoformat()),
        "decided 720.2 h before the merge, 24 h are allowed",
    ),
    "decided tomorrow": (
        lambda evidence: _evidence_text(evidence, decided=cases.hours_ago(-24).isoformat()),
        "decided after the merge",
    ),
    "decided nowhen": (
        lambda evidence: _evidence_text(evidence, decided="2026-11-26T12:00:00"),
        "'2026-11-26T12:00:00' is not a time",
    ),
    "reports of last month": (
        lambda evidence: _evidence_text(
            evidence,
            reports=[
                x.model_copy(update={"started": cases.hours_ago(720).isoformat()})
                for x in evidence.reports
            ],
        ),
        "report.json started 720.2 h before the merge, 168 h are allowed",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_evidence_that_says_something_else_is_found_at_its_line(
    production: Production, name: str
) -> None:
    forge, message = FORGED[name]
    production.move(forge(production.evidence), production.key)
    reported = problems(production.repository)
    assert any(message in each for each in reported), reported
    assert all(each.startswith("clusters/production/evidence/") for each in reported)


def test_line_is_that_of_the_key(production: Production) -> None:
    text = _evidence_text(production.evidence, digest="d" * 64)
    production.move(text, production.key)
    (problem,) = problems(production.repository)
    line = int(problem.split(" ")[0].rpartition(":")[2])
    assert '"digest": "dddd' in text.splitlines()[line - 1]


@pytest.mark.parametrize(
    ("options", "namespace", "message"),
    [
        (EVIDENCE_ONLY, signature.RELEASE, "not permitted for use in signature namespace"),
        (EVIDENCE_ONLY, signature.EVIDENCE, "does not match"),
        ("", signature.EVIDENCE, "does not match"),
        ('valid-before="20261126"', signature.RELEASE, "key has expired"),
        (None, signature.RELEASE, "not signed by an allowed signer"),
    ],
)
def test_signature_of_a_key_that_might_not_sign_is_found(
    production: Production, options: str | None, namespace: str, message: str
) -> None:
    if options:
        allow(production.clone, production.key, options)
    key = production.key if options is not None else new_key(production.key.with_name("thrown"))
    production.move(production.evidence.as_text(), key, namespace)
    (problem,) = problems(production.repository)
    assert message in problem


def test_evidence_without_a_signature_is_found(production: Production) -> None:
    production.move(production.evidence.as_text(), None)
    (problem,) = problems(production.repository)
    assert "is not signed" in problem


def test_evidence_that_is_edited_after_the_merge_is_found(production: Production) -> None:
    production.clone.merge(BRANCH)
    production.path.write_text(_evidence_text(production.evidence, accepted=["everything"]))
    (problem,) = problems(production.repository)
    assert "does not match" in problem


def _pull_request(production: Production, change: Callable[[], None]) -> None:
    """A pull request that moves the pointer and changes something else, merged."""
    git = production.clone.git
    git.run("switch", "--quiet", "--create", "topic")
    change()
    production.clone.commit("First what decides", push=False)
    git.run("switch", "--quiet", "main")
    production.clone.merge("topic")


def test_signer_of_the_same_pull_request_does_not_count(production: Production) -> None:
    stranger = new_key(production.key.with_name("stranger"))

    def change() -> None:
        list_signer(production.clone, stranger)
        production.clone.commit("First the signer", push=False)
        production.write(production.evidence.as_text(), stranger)

    _pull_request(production, change)
    (problem,) = problems(production.repository)
    assert "not signed by an allowed signer" in problem


def test_gates_of_the_same_pull_request_do_not_count(production: Production) -> None:
    def change() -> None:
        production.clone.edit(GATES, "signedReports: true", "signedReports: false\nmergeHours: 999")
        old = _evidence_text(production.evidence, decided=cases.hours_ago(30).isoformat())
        production.write(old, None)

    _pull_request(production, change)
    reported = problems(production.repository)
    assert len(reported) == 2
    assert "is not signed" in reported[0]
    assert "24 h are allowed" in reported[1]


def test_folder_that_changes_with_the_pointer_is_another_release(production: Production) -> None:
    production.write(production.evidence.as_text(), production.key)
    production.clone.edit("clusters/production/site.yaml", "MODEL_BUCKET: ", "MODEL_BUCKET: x-")
    production.clone.commit("Move, and something else")
    (problem,) = problems(production.repository)
    assert "would run" in problem


def test_merge_in_a_freeze_is_found(production: Production) -> None:
    saturday = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
    production.set_clock(saturday)
    decided = (saturday - datetime.timedelta(hours=1)).isoformat()
    production.move(_evidence_text(production.evidence, decided=decided), production.key)
    (problem,) = problems(production.repository)
    assert "merged at 2026-11-28 12:00 UTC, in a freeze: weekend" in problem


def test_freeze_that_was_overridden_is_fine(production: Production) -> None:
    saturday = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
    production.set_clock(saturday)
    text = _evidence_text(
        production.evidence, decided=saturday.isoformat(), override="the site is down"
    )
    production.move(text, production.key)
    assert problems(production.repository) == []


def test_what_waits_is_judged_by_the_clock(production: Production) -> None:
    production.clone.edit(GATES, "freeze:", "freeze: []\nformer:")
    text = (production.clone.root / GATES).read_text()
    (production.clone.root / GATES).write_text(text.partition("former:")[0])
    production.clone.commit("No freeze")
    now = datetime.datetime.now(datetime.UTC)
    fresh = [x.model_copy(update={"started": now.isoformat()}) for x in production.evidence.reports]
    for decided, message in ((now, []), (now - DAY * 2, ["decided 48.0 h before the merge"])):
        production.write(
            _evidence_text(production.evidence, decided=decided.isoformat(), reports=fresh),
            production.key,
        )
        reported = problems(production.repository)
        assert [each.partition(" ")[2].partition(",")[0] for each in reported] == message


def test_evidence_of_version_one_is_verified_with_the_gates_of_its_time(
    production: Production,
) -> None:
    first = [x for x in production.evidence.gates if x.name in record.GATES[1]]
    production.move(
        _evidence_text(production.evidence, schema_version=1, gates=first), production.key
    )
    assert problems(production.repository) == []


def test_evidence_that_was_laid_out_beforehand_is_found(production: Production) -> None:
    production.write(production.evidence.as_text(), production.key)
    production.clone.git.run("checkout", "--quiet", POINTER)
    production.clone.commit("Only a file")
    production.move(production.evidence.as_text(), production.key)
    (problem,) = problems(production.repository)
    assert "on main before the pointer ever moved" in problem


def _roll_back(production: Production, to: str) -> None:
    branch = Branch.of(upstream(production.clone.git), "production", "rollback")
    pin = rollback.choose(history.pins(production.repository, "production"), to)
    candidate = cases.rendered_candidate(production.repository, pin.commit)
    rollback.rollback(production.repository, branch, pin, candidate, "slow")
    production.clone.merge("rollback/production")


def test_rollback_to_what_was_promoted_needs_nothing_new(production: Production) -> None:
    production.clone.merge(BRANCH)
    production.clone.pin(production.clone.change(5))
    production.set_clock(cases.NOW + 400 * DAY + 2 * DAY)  # a Saturday, when the key is gone
    allow(production.clone, new_key(production.key.with_name("next")))
    _roll_back(production, production.commit)
    assert problems(production.repository) == []
    newest = history.pins(production.repository, "production")[0]
    assert (newest.commit, newest.signed_by) == (production.commit, "ada@example.com")


def test_rollback_to_what_was_never_promoted_is_found(production: Production) -> None:
    by_hand = history.pins(production.repository, "production")[0].commit
    production.clone.merge(BRANCH)
    _roll_back(production, by_hand)
    (problem,) = problems(production.repository)
    assert f"no evidence of {by_hand[:12]}" in problem


def test_checkout_without_history_says_what_it_cannot_verify(
    production: Production, tmp_path: Path
) -> None:
    production.clone.merge(BRANCH)
    shallow = tmp_path / "shallow"
    url = f"file://{production.clone.origin.folder}"
    Git(tmp_path).run("clone", "--quiet", "--depth=1", url, str(shallow))
    assert problems(Repository(shallow)) == []
    assert verifiability_problems(Repository(shallow)) == [
        f"the evidence of {production.commit[:12]} cannot be verified: a shallow clone"
    ]
    forged = shallow / pointer.evidence("production", production.commit)
    forged.write_text("{}")
    assert problems(Repository(shallow)) != [], "what it can see it verifies"


def test_first_commit_that_pins_says_that_nothing_was_before(
    production: Production, tmp_path: Path
) -> None:
    production.clone.merge(BRANCH)
    git = production.clone.git
    first = git.run("commit-tree", "HEAD^{tree}", "-m", "All at once")
    git.run("reset", "--quiet", "--hard", first)
    git.run("push", "--quiet", "--force", "origin", "main")
    assert problems(production.repository) == []
    (message,) = verifiability_problems(production.repository)
    assert message.endswith("the first commit of this history pins it already")
    assert _promotion_findings(production.repository) == [
        f"{POINTER} promotion/unverified {message}"
    ]
    assert not any(
        each.rule.startswith("promotion/") for each in engine.check(production.repository).errors
    ), "reported, and not failed"


def test_other_environments_with_gates_are_judged_alike(production: Production) -> None:
    staging = production.clone.root / "clusters/staging"
    (staging / "promotion.yaml").write_text("from: local\n")
    pinned = production.clone.root.joinpath(POINTER).read_text()
    (staging / "release.yaml").write_text(pinned)
    (problem, *_) = problems(production.repository)
    assert problem.startswith("clusters/production/release.yaml")
    assert any(
        each.startswith("clusters/staging/release.yaml") for each in problems(production.repository)
    )
