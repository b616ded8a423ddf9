"""Every gate refuses with its own reason, and says what to do."""

import datetime
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.attestation import signature
from harness.attestation.signature import Signers
from harness.loadtest.report import Report
from harness.promotion import evidence, judge
from harness.promotion.case import Candidate, Case, Checkout, Reported, Wish
from harness.render.diff import Danger
from harness.render.objects import Object, Owner
from tests.promotion.cases import (
    COMMIT,
    DIGEST,
    MODELS,
    NOW,
    PROFILE,
    case,
    failed,
    gates,
    hours_ago,
    kept,
    load_proof,
    load_report,
    profile,
    proof,
    running,
    smoke_text,
    with_load,
)

_VOLUME = Object(
    {"kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": "torchserve"}},
    Owner("", "", ""),
    lambda *_: (_ for _ in ()).throw(AssertionError),
)
DANGER = Danger("removed", "its data may go with it", _VOLUME)
NAME = "removed:PersistentVolumeClaim/torchserve/models"


def candidate(**changes: object) -> Candidate:
    return replace(Candidate("e" * 64, (), (), (), MODELS, ()), **changes)


def refused(of: Case) -> dict[str, str]:
    """Each gate that is not passed, and what it found."""
    found = judge.evaluate(of)
    assert all(gate.hint for gate in found if not gate.passed), "each says what to do"
    return {gate.name: gate.found for gate in found if not gate.passed}


def test_good_case_passes_every_gate() -> None:
    assert refused(case()) == {}
    assert len(judge.evaluate(case())) == 14


_FREEZE = [{"name": "week", "timeZone": "UTC", "from": "Mon 00:00", "to": "Fri 00:00"}]

SPOILED = {
    "uncommitted": ("checkout", "1 files", case(checkout=Checkout("1 files", True, True, NOW))),
    "rewritten main": (
        "commit",
        "neither in main",
        case(checkout=Checkout("", False, True, hours_ago(9))),
    ),
    "older": ("commit", "does not come after", case(checkout=Checkout("", True, False, NOW))),
    "clock": (
        "clocks",
        "90 s apart",
        case(
            running=running(asked=NOW + datetime.timedelta(seconds=90)),
            local_now=NOW + datetime.timedelta(seconds=90),
        ),
    ),
    "made tomorrow": (
        "clocks",
        "made after now",
        case(checkout=Checkout("", True, True, hours_ago(-24))),
    ),
    "looked at long ago": ("clocks", "12.1 hours ago", case(local_now=hours_ago(-12.1))),
    "wrong cluster": (
        "running",
        "says that it is production",
        case(running=running(environment="production")),
    ),
    "another release": ("running", "staging runs cccc", case(running_digest="a" * 64)),
    "not Ready": (
        "running",
        "HelmRelease/torchserve",
        case(running=running(unready=("HelmRelease/torchserve: x",))),
    ),
    "too short": (
        "soak",
        "Ready for 23.9 h, 24 h are asked",
        case(running=running(since=hours_ago(23.9))),
    ),
    "killed meanwhile": (
        "soak",
        "Ready for 2.0 h, 24 h are asked: Pod torchserve/a, container torchserve, was OOMKilled",
        case(running=running(disturbances=(failed(2), failed(3)))),
    ),
    "nobody looked at the pods": (
        "soak",
        "nobody looked whether pods failed",
        case(running=running(disturbances=None)),
    ),
    "a finding": ("check", "flux/waits", case(candidate=candidate(findings=("a: flux/waits: b",)))),
    "an image that somebody else signed": (
        "image signature",
        "is not signed by",
        case(
            candidate=candidate(unsigned=("it is not signed by us",)),
            gates=gates(signedImage={"key": "cosign.pub"}),
        ),
    ),
    "does not render": ("render", "gone", case(candidate=candidate(faults=("gone",)))),
    "UNSET": ("render", "UNSET: DOMAIN", case(candidate=candidate(unset=("DOMAIN",)))),
    "danger": ("dangers", NAME, case(candidate=candidate(dangers=(DANGER,)))),
    "danger that is not there": ("dangers", "no such danger", case(wish=Wish(accept=(NAME,)))),
    "archive missing": (
        "models and image",
        "lacks x",
        case(candidate=candidate(missing=("lacks x",))),
    ),
    "frozen": ("freeze", "week", case(gates=gates(freeze=_FREEZE))),
    "SLO": ("SLOs", "p99 of all", case(target_profile=profile(p99=5))),
    "too few requests": ("SLOs", "too few", case(target_profile=profile(**{"p99.9": 100}))),
}


@pytest.mark.parametrize("name", SPOILED)
def test_one_fault_refuses_by_one_gate(name: str) -> None:
    gate, said, spoiled = SPOILED[name]
    found = refused(spoiled)
    assert list(found) == [gate]
    assert said in found[gate]


def loads(**changes: object) -> Case:
    return with_load(load_proof(**changes))


RELEASE = {"commit": COMMIT, "digest": "a" * 64, "helm": "", "pods": ""}
OTHER = {"path": None, "sha256": "0" * 64, "content": {}}

UNFIT = {
    "none": ("there is none", with_load()),
    "embedded": ("embedded", loads(embedded=True)),
    "failed": ("fail: slow", loads(verdict="fail", reasons=["slow"])),
    "invalid": ("invalid", loads(verdict="invalid", reasons=["late"])),
    "another release": ("says release aaaa", loads(release=RELEASE)),
    "commit of nowhere": ("not in this repository", loads(release={**RELEASE, "commit": "0" * 40})),
    "another profile": ("another profile", loads(profile=OTHER)),
    "too old": ("8.0 days old", loads(started=hours_ago(192).isoformat())),
    "before it was Ready": (
        "before the release was Ready",
        loads(started=hours_ago(31).isoformat()),
    ),
    "from the future": ("ended after now", loads(started=hours_ago(-1).isoformat())),
    "a model untested": ("sent nothing to third", case(candidate=candidate(models=("third",)))),
}


@pytest.mark.parametrize("name", UNFIT)
def test_load_test_that_does_not_count(name: str) -> None:
    said, spoiled = UNFIT[name]
    if name == "too old":
        spoiled = replace(spoiled, running=running(since=hours_ago(300)))
        spoiled = replace(spoiled, reported={COMMIT: Reported(hours_ago(400), DIGEST)})
    assert said in refused(spoiled)["load test"]


def test_report_older_than_its_commit_betrays_a_clock() -> None:
    young = case(reported={COMMIT: Reported(hours_ago(1.5), DIGEST)})
    assert "older than its commit" in refused(young)["load test"]


def test_commit_of_the_report_has_to_be_the_release_that_it_says() -> None:
    lie = case(reported={COMMIT: Reported(hours_ago(100), "b" * 64)})
    assert "its commit cccccccccccc is release bbbb" in refused(lie)["load test"]


def test_only_the_newest_report_counts() -> None:
    worse = load_proof(verdict="fail", reasons=["slow"])
    assert "load test" in refused(with_load(worse, load_proof()))
    assert refused(with_load(load_proof(), worse)) == {}


def test_failed_requests_count_against_the_targets_slos() -> None:
    report = load_report(failures=20)
    found = refused(with_load(proof(report.model_dump_json())))
    assert "error rate of all" in found["SLOs"]
    assert "p99 of all: never" in found["SLOs"]


FAILED = {"name": "gpus", "outcome": "failed", "seconds": 1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": "fail", "tests": [FAILED]}, "fail: gpus"),
        ({"environment": "production"}, "is of production"),
        ({"verdict": "invalid", "tests": []}, "invalid"),
        ({"embedded": True}, "embedded"),
        ({"simulated": True}, "fake pods"),
        ({"started": hours_ago(40).isoformat()}, "before the release was Ready"),
    ],
)
def test_smoke_test_that_does_not_count(changes: dict[str, object], said: str) -> None:
    found = {"loadtest": kept(load_proof()), "smoke": kept(proof(smoke_text(**changes)))}
    assert said in refused(case(kept=found))["smoke test"]


def test_what_the_caller_may_insist_on() -> None:
    assert refused(case(candidate=candidate(dangers=(DANGER,)), wish=Wish(accept=(NAME,)))) == {}
    frozen = case(gates=gates(freeze=_FREEZE), wish=Wish(override="the site is down"))
    assert refused(frozen) == {}
    assert judge.evaluate(frozen)[-1].found == "overridden: the site is down"
    older = case(checkout=Checkout("", True, False, hours_ago(100)), wish=Wish(downgrade=True))
    assert refused(older) == {}


def test_rehearsal_takes_embedded_reports() -> None:
    assert refused(replace(loads(embedded=True), gates=gates(embedded=True))) == {}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return path


def _signed(report: Report, key: Path) -> tuple[str, str]:
    text = report.model_dump_json()
    return text, signature.sign(text, key, signature.EVIDENCE)


def _strict(key: Path, text: str, *signed: str) -> Case:
    signers = Signers(f"ci@example.com {key.with_suffix('.pub').read_text()}")
    smoke = smoke_text()
    smoke_signed = signature.sign(smoke, key, signature.EVIDENCE)
    found = {
        "loadtest": kept(evidence.read(text, "report.json", signed)),
        "smoke": kept(evidence.read(smoke, "smoke.json", [smoke_signed])),
    }
    return case(kept=found, signers=signers, gates=gates(signedReports=True))


def test_signed_report_counts(key: Path) -> None:
    strict = _strict(key, *_signed(load_report(), key))
    assert refused(strict) == {}
    assert judge.signed_by(strict, strict.kept["loadtest"].proofs[0]) == "ci@example.com"


def test_report_edited_by_hand_is_refused(key: Path) -> None:
    text, signed = _signed(load_report(verdict="fail", reasons=["slow"]), key)
    edited = text.replace('"verdict":"fail"', '"verdict":"pass"')
    assert "does not fit" in refused(_strict(key, edited, signed))["load test"]


def test_unsigned_report_is_refused(key: Path) -> None:
    text, _ = _signed(load_report(), key)
    assert "is not signed" in refused(_strict(key, text))["load test"]


def test_report_counts_while_one_of_its_signatures_does(key: Path, tmp_path: Path) -> None:
    text, signed = _signed(load_report(), key)
    assert refused(_strict(key, text, "no signature", signed)) == {}


def test_key_that_has_expired_signs_nothing_whatever_the_report_says_of_its_age(key: Path) -> None:
    strict = _strict(key, *_signed(load_report(started=hours_ago(25).isoformat()), key))
    assert refused(strict) == {}
    yesterday = f'ada valid-before="{hours_ago(24):%Y%m%d%H%M%SZ}"'
    expired = Signers(f"{yesterday} {key.with_suffix('.pub').read_text()}")
    assert "has expired" in refused(replace(strict, signers=expired))["load test"]


def test_what_cannot_be_read_is_left_out_and_told() -> None:
    junk = ("staging/x.json is no report",)
    found = case().kept | {"loadtest": kept(load_proof(), unreadable=junk)}
    told = {gate.name: gate.found for gate in judge.evaluate(case(kept=found))}
    assert told["load test"].endswith("; left out, 1 unreadable: staging/x.json is no report")
    nothing = case().kept | {"smoke": kept(unreadable=junk)}
    assert "staging/x.json" in refused(case(kept=nothing))["smoke test"]


def test_failure_before_the_soak_is_forgotten() -> None:
    found = judge.evaluate(case(running=running(disturbances=(failed(25), failed(29)))))
    assert next(gate for gate in found if gate.name == "soak").found.startswith("Ready for 25.0 h")


def test_image_signature_that_nobody_asks_for_says_so() -> None:
    found = {gate.name: gate.found for gate in judge.evaluate(case())}
    assert found["image signature"].startswith("not asked")


def test_profile_says_what_its_digest_is_of() -> None:
    assert profile(p99=100).sha256 == PROFILE.sha256
    assert profile(p99=101).sha256 != PROFILE.sha256
