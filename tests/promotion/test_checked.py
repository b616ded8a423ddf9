"""`harness check` verifies what stands beside production's pointer, by what main was before it."""

import json
from collections.abc import Callable

import pytest

from harness.attestation import signature
from harness.attestation.record import Evidence, Gate
from harness.promotion import history
from tests.promotion import cases, production_clone
from tests.promotion.conftest import POINTER, Clone, allow, list_signer, new_key
from tests.promotion.production_clone import (
    DAY,
    EVIDENCE_ONLY,
    GATES,
    Production,
    evidence_text,
    problems,
    promotion_findings,
)
from tests.promotion.test_promote import BRANCH

production = production_clone.production


def test_promotion_is_fine_and_nothing_else_is_said(production: Production) -> None:
    production.clone.merge(BRANCH)
    assert promotion_findings(production.repository) == []
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
    assert promotion_findings(clone.repository) == [
        f"{POINTER} promotion/evidence no evidence of {commit[:12]}"
    ]


REFUSED = Gate(name="soak", passed=False, found="Ready for 0.1 h", hint="wait")
FORGED: dict[str, tuple[Callable[[Evidence], str], str]] = {
    "made up": (
        lambda evidence: json.dumps({"commit": evidence.commit, "environment": "production"}),
        ".json:1 digest is missing",
    ),
    "no JSON": (lambda _: "yes\n", ".json:1 is not JSON"),
    "a gate that refused": (
        lambda evidence: evidence_text(evidence, gates=[REFUSED, *evidence.gates]),
        "gate soak was not passed: Ready for 0.1 h",
    ),
    "a gate twice": (
        lambda evidence: evidence_text(evidence, gates=[*evidence.gates, evidence.gates[0]]),
        "duplicate gate checkout",
    ),
    "a gate that was left out": (
        lambda evidence: evidence_text(
            evidence, gates=[x for x in evidence.gates if x.name != "soak"]
        ),
        "lacks the gates soak",
    ),
    "another commit": (
        lambda evidence: evidence_text(evidence, commit="c" * 40),
        "is evidence of cccccccccccc",
    ),
    "another environment": (
        lambda evidence: evidence_text(evidence, environment="staging"),
        "is evidence of staging, not of production",
    ),
    "another release": (
        lambda evidence: evidence_text(evidence, digest="d" * 64),
        "is of release dddddddddddd",
    ),
    "decided a month ago": (
        lambda evidence: evidence_text(evidence, decided=cases.hours_ago(720).isoformat()),
        "decided 720.2 h before the merge, 24 h are allowed",
    ),
    "decided tomorrow": (
        lambda evidence: evidence_text(evidence, decided=cases.hours_ago(-24).isoformat()),
        "decided after the merge",
    ),
    "decided nowhen": (
        lambda evidence: evidence_text(evidence, decided="2026-11-26T12:00:00"),
        "'2026-11-26T12:00:00' is not a time",
    ),
    "reports of last month": (
        lambda evidence: evidence_text(
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
    text = evidence_text(production.evidence, digest="d" * 64)
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
    production.path.write_text(evidence_text(production.evidence, accepted=["everything"]))
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
        old = evidence_text(production.evidence, decided=cases.hours_ago(30).isoformat())
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
