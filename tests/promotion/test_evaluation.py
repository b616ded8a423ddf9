"""Every gate fails with its own reason and a next step."""

import datetime
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.attestation import signature
from harness.attestation.signature import Signers
from harness.loadtest.report import Report
from harness.promotion import evaluation, report_file
from harness.promotion.gate_inputs import (
    GateInputs,
    History,
    PromotionOptions,
    ReportedCommit,
)
from harness.render.diff import Danger
from harness.render.objects import Object, Owner
from tests.promotion.cases import (
    COMMIT,
    DIGEST,
    MODELS,
    NOW,
    PROFILE,
    candidate,
    gate_inputs,
    gates,
    hours_ago,
    load_proof,
    load_report,
    oom_killed,
    profile,
    proof,
    running,
    smoke_text,
    stored_reports,
    with_load,
)

_VOLUME = Object(
    {"kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": "torchserve"}},
    Owner("", "", ""),
    lambda *_: (_ for _ in ()).throw(AssertionError),
)
DANGER = Danger("removed", "its data may go with it", _VOLUME)
NAME = "removed:PersistentVolumeClaim/torchserve/models"


def refusals(inputs: GateInputs) -> dict[str, str]:
    """Each gate that is not passed, and what it found."""
    failed = [gate for gate in evaluation.evaluate_gates(inputs) if not gate.passed]
    assert all(gate.hint for gate in failed), "each has a next step"
    return {gate.name: gate.found for gate in failed}


def test_passing_inputs_pass_every_gate() -> None:
    assert refusals(gate_inputs()) == {}
    assert len(evaluation.evaluate_gates(gate_inputs())) == 15


_FREEZE = [{"name": "week", "timeZone": "UTC", "from": "Mon 00:00", "to": "Fri 00:00"}]

SPOILED = {
    "uncommitted": (
        "checkout",
        "1 files",
        gate_inputs(history=History("1 files", True, True, NOW)),
    ),
    "rewritten main": (
        "commit",
        "neither in main",
        gate_inputs(history=History("", False, True, hours_ago(9))),
    ),
    "older": ("commit", "does not come after", gate_inputs(history=History("", True, False, NOW))),
    "clock": (
        "clocks",
        "90 s apart",
        gate_inputs(
            running=running(read_at=NOW + datetime.timedelta(seconds=90)),
            local_now=NOW + datetime.timedelta(seconds=90),
        ),
    ),
    "made tomorrow": (
        "clocks",
        "committed in the future",
        gate_inputs(history=History("", True, True, hours_ago(-24))),
    ),
    "read long ago": ("clocks", "12.1 hours ago", gate_inputs(local_now=hours_ago(-12.1))),
    "wrong cluster": (
        "running",
        "is labeled production",
        gate_inputs(running=running(environment="production")),
    ),
    "another release": ("running", "staging runs cccc", gate_inputs(running_digest="a" * 64)),
    "not Ready": (
        "running",
        "HelmRelease/torchserve",
        gate_inputs(running=running(unready=("HelmRelease/torchserve: x",))),
    ),
    "too short": (
        "soak",
        "Ready for 23.9 h, 24 h are required",
        gate_inputs(running=running(since=hours_ago(23.9))),
    ),
    "killed meanwhile": (
        "soak",
        "Ready for 2.0 h, 24 h are required: Pod torchserve/a, container torchserve, was OOMKilled",
        gate_inputs(running=running(disturbances=(oom_killed(2), oom_killed(3)))),
    ),
    "no record of pods": (
        "soak",
        "no record of failed pods",
        gate_inputs(running=running(disturbances=None)),
    ),
    "a finding": (
        "check",
        "flux/waits",
        gate_inputs(candidate=candidate(findings=("a: flux/waits: b",))),
    ),
    "an image that somebody else signed": (
        "image signature",
        "is not signed by",
        gate_inputs(
            candidate=candidate(unsigned=("it is not signed by us",)),
            gates=gates(signedImage={"key": "cosign.pub"}),
        ),
    ),
    "does not render": ("render", "gone", gate_inputs(candidate=candidate(faults=("gone",)))),
    "UNSET": ("render", "UNSET: DOMAIN", gate_inputs(candidate=candidate(unset=("DOMAIN",)))),
    "danger": ("dangers", NAME, gate_inputs(candidate=candidate(dangers=(DANGER,)))),
    "danger of another change": (
        "dangers",
        "no such danger",
        gate_inputs(options=PromotionOptions(accept=(NAME,))),
    ),
    "archive missing": (
        "models and image",
        "lacks x",
        gate_inputs(candidate=candidate(missing=("lacks x",))),
    ),
    "frozen": ("freeze", "week", gate_inputs(gates=gates(freeze=_FREEZE))),
    "SLO": ("SLOs", "p99 of all", gate_inputs(target_profile=profile(p99=5))),
    "too few requests": ("SLOs", "too few", gate_inputs(target_profile=profile(**{"p99.9": 100}))),
}


@pytest.mark.parametrize("name", SPOILED)
def test_one_fault_refuses_by_one_gate(name: str) -> None:
    gate, message, spoiled = SPOILED[name]
    reasons = refusals(spoiled)
    assert list(reasons) == [gate]
    assert message in reasons[gate]


def loads(**changes: object) -> GateInputs:
    return with_load(load_proof(**changes))


RELEASE = {"commit": COMMIT, "digest": "a" * 64, "helm": "", "pods": ""}
OTHER = {"path": None, "sha256": "0" * 64, "content": {}}

UNFIT = {
    "none": ("no report of release", with_load()),
    "embedded": ("embedded", loads(embedded=True)),
    "failed": ("fail: slow", loads(verdict="fail", reasons=["slow"])),
    "invalid": ("invalid", loads(verdict="invalid", reasons=["late"])),
    "another release": ("names release aaaa", loads(release=RELEASE)),
    "commit of nowhere": ("not in this repository", loads(release={**RELEASE, "commit": "0" * 40})),
    "another profile": ("another profile", loads(profile=OTHER)),
    "too old": ("8.0 days old", loads(started=hours_ago(192).isoformat())),
    "before it was Ready": (
        "before the release was Ready",
        loads(started=hours_ago(31).isoformat()),
    ),
    "from the future": ("ended in the future", loads(started=hours_ago(-1).isoformat())),
    "a model untested": (
        "sent nothing to third",
        gate_inputs(candidate=candidate(models=("third",))),
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_load_test_that_does_not_count(name: str) -> None:
    message, spoiled = UNFIT[name]
    if name == "too old":
        spoiled = replace(spoiled, running=running(since=hours_ago(300)))
        spoiled = replace(spoiled, reported={COMMIT: ReportedCommit(hours_ago(400), DIGEST)})
    assert message in refusals(spoiled)["load test"]


def test_report_older_than_its_commit_betrays_a_clock() -> None:
    young = gate_inputs(reported={COMMIT: ReportedCommit(hours_ago(1.5), DIGEST)})
    assert "older than its commit" in refusals(young)["load test"]


def test_commit_of_a_report_has_to_be_the_release_that_it_names() -> None:
    lie = gate_inputs(reported={COMMIT: ReportedCommit(hours_ago(100), "b" * 64)})
    assert "its commit cccccccccccc is release bbbb" in refusals(lie)["load test"]


def test_only_the_newest_report_counts() -> None:
    worse = load_proof(verdict="fail", reasons=["slow"])
    assert "load test" in refusals(with_load(worse, load_proof()))
    assert refusals(with_load(load_proof(), worse)) == {}


def test_the_groups_that_got_requests_are_part_of_the_evidence() -> None:
    report = load_report()
    groups = dict(zip(MODELS, ("torchserve", "speech"), strict=True))
    mix = [part.model_copy(update={"group": groups[part.name]}) for part in report.mix]
    inputs = with_load(load_proof(mix=mix))
    [finding] = [
        gate.found for gate in evaluation.evaluate_gates(inputs) if gate.name == "load test"
    ]
    assert "requests to groups speech and torchserve, signed by" in finding
    [load] = [proof.load for proof in inputs.reports["loadtest"].proofs]
    assert load
    figures = list(report_file.figures(load))
    assert {each.name: each.group for each in figures} == {"all": None, **groups}


def test_failed_requests_count_against_the_targets_slos() -> None:
    report = load_report(failures=20)
    reasons = refusals(with_load(proof(report.model_dump_json())))
    assert "error rate of all" in reasons["SLOs"]
    assert "p99 of all: never" in reasons["SLOs"]


FAILED = {"name": "gpus", "outcome": "failed", "seconds": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": "fail", "tests": [FAILED]}, "fail: gpus"),
        ({"environment": "production"}, "is of production"),
        ({"verdict": "invalid", "tests": []}, "invalid"),
        ({"embedded": True}, "embedded"),
        ({"simulated": True}, "fake pods"),
        ({"started": hours_ago(40).isoformat()}, "before the release was Ready"),
    ],
)
def test_smoke_test_that_does_not_count(changes: dict[str, object], message: str) -> None:
    reports = {
        "loadtest": stored_reports(load_proof()),
        "smoke": stored_reports(proof(smoke_text(**changes))),
    }
    assert message in refusals(gate_inputs(reports=reports))["smoke test"]


def test_options_accept_dangers_freezes_and_downgrades() -> None:
    assert (
        refusals(
            gate_inputs(
                candidate=candidate(dangers=(DANGER,)), options=PromotionOptions(accept=(NAME,))
            )
        )
        == {}
    )
    frozen = gate_inputs(
        gates=gates(freeze=_FREEZE), options=PromotionOptions(override="the site is down")
    )
    assert refusals(frozen) == {}
    assert evaluation.evaluate_gates(frozen)[-1].found == "overridden: the site is down"
    older = gate_inputs(
        history=History("", True, False, hours_ago(100)), options=PromotionOptions(downgrade=True)
    )
    assert refusals(older) == {}


def test_rehearsal_takes_embedded_reports() -> None:
    assert refusals(replace(loads(embedded=True), gates=gates(embedded=True))) == {}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return path


def _sign(report: Report, key: Path) -> tuple[str, str]:
    text = report.model_dump_json()
    return text, signature.sign(text, key, signature.EVIDENCE)


def _strict(key: Path, text: str, *signed: str) -> GateInputs:
    signers = Signers(f"ci@example.com {key.with_suffix('.pub').read_text()}")
    smoke = smoke_text()
    smoke_signed = signature.sign(smoke, key, signature.EVIDENCE)
    reports = {
        "loadtest": stored_reports(report_file.read(text, "report.json", signed)),
        "smoke": stored_reports(report_file.read(smoke, "smoke.json", [smoke_signed])),
    }
    return gate_inputs(reports=reports, signers=signers, gates=gates(signedReports=True))


def test_signed_report_counts(key: Path) -> None:
    strict = _strict(key, *_sign(load_report(), key))
    assert refusals(strict) == {}
    assert evaluation.signer_of(strict, strict.reports["loadtest"].proofs[0]) == "ci@example.com"


def test_report_edited_by_hand_is_refusals(key: Path) -> None:
    text, signed = _sign(load_report(verdict="fail", reasons=["slow"]), key)
    edited = text.replace('"verdict":"fail"', '"verdict":"pass"')
    assert "does not match" in refusals(_strict(key, edited, signed))["load test"]


def test_unsigned_report_is_refusals(key: Path) -> None:
    text, _ = _sign(load_report(), key)
    assert "is not signed" in refusals(_strict(key, text))["load test"]


def test_report_counts_while_one_of_its_signatures_does(key: Path, tmp_path: Path) -> None:
    text, signed = _sign(load_report(), key)
    assert refusals(_strict(key, text, "no signature", signed)) == {}


def test_expired_key_signs_nothing_whatever_age_the_report_claims(
    key: Path,
) -> None:
    strict = _strict(key, *_sign(load_report(started=hours_ago(25).isoformat()), key))
    assert refusals(strict) == {}
    yesterday = f'ada valid-before="{hours_ago(24):%Y%m%d%H%M%SZ}"'
    expired = Signers(f"{yesterday} {key.with_suffix('.pub').read_text()}")
    assert "has expired" in refusals(replace(strict, signers=expired))["load test"]


def test_unreadable_file_is_left_out_and_reported() -> None:
    junk = ("staging/x.json is not a report",)
    reports = gate_inputs().reports | {"loadtest": stored_reports(load_proof(), unreadable=junk)}
    gates = {
        gate.name: gate.found for gate in evaluation.evaluate_gates(gate_inputs(reports=reports))
    }
    assert gates["load test"].endswith("; left out, 1 unreadable: staging/x.json is not a report")
    nothing = gate_inputs().reports | {"smoke": stored_reports(unreadable=junk)}
    assert "staging/x.json" in refusals(gate_inputs(reports=nothing))["smoke test"]


def test_failure_before_the_soak_is_forgotten() -> None:
    gates = evaluation.evaluate_gates(
        gate_inputs(running=running(disturbances=(oom_killed(25), oom_killed(29))))
    )
    assert next(gate for gate in gates if gate.name == "soak").found.startswith("Ready for 25.0 h")


def test_image_signature_that_is_not_required_passes() -> None:
    gates = {gate.name: gate.found for gate in evaluation.evaluate_gates(gate_inputs())}
    assert gates["image signature"].startswith("not required")


def test_digest_of_a_profile_covers_its_slos() -> None:
    assert profile(p99=100).sha256 == PROFILE.sha256
    assert profile(p99=101).sha256 != PROFILE.sha256
