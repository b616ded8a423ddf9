"""A promotion that passes every gate, to be spoiled in one place."""

import datetime
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from harness.attestation.signature import Signers
from harness.core.repository import Repository
from harness.loadtest import histogram
from harness.loadtest.profile import Profile
from harness.loadtest.report import Report
from harness.promotion import report_file
from harness.promotion.disturbances import Disturbance
from harness.promotion.evidence_store import StoredReports
from harness.promotion.gate_inputs import (
    Candidate,
    GateInputs,
    History,
    PromotionOptions,
    ReportedCommit,
)
from harness.promotion.report_file import Proof
from harness.promotion.running import Running
from harness.render import digest
from harness.render.rendered import Environment
from harness.render.renderer import Renderer, pinned_commit
from harness.settings.gates import Gates

NOW = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)  # a Thursday
COMMIT = "c" * 40
DIGEST = "d" * 64
MODELS = ("tiny", "large")


def hours_ago(hours: float) -> datetime.datetime:
    return NOW - datetime.timedelta(hours=hours)


def profile(**slos: float) -> Profile:
    """A profile over MODELS; ``slos`` are latencies over all, in ms."""
    return Profile.model_validate_json(
        json.dumps(
            {
                "mix": [{"model": name} for name in MODELS],
                "stages": [{"kind": "hold", "seconds": 60, "rate": 20}],
                "slos": [{"latency": slos, "errorRate": 0}] if slos else [],
            }
        )
    )


PROFILE = profile(p99=100)


def gates(**keys: object) -> Gates:
    """A target's gates; by default reports need no signature."""
    text = json.dumps({"from": "staging", "signedReports": False, **keys})
    return Gates.model_validate_json(text)


def running(**changes: Any) -> Running:
    """Staging, Ready for thirty hours."""
    return replace(Running("staging", NOW, NOW, COMMIT, (), hours_ago(30), ()), **changes)


def oom_killed(hours: float) -> Disturbance:
    """A container that was killed so many hours ago."""
    return Disturbance("Pod torchserve/a, container torchserve,", "was OOMKilled", hours_ago(hours))


def load_report(
    latencies: Iterable[float] = (20.0,) * 600, *, failures: int = 0, **changes: Any
) -> Report:
    """A load test's report; each of MODELS got as many requests as there are latencies (ms)."""
    values = histogram.empty()
    measured = list(latencies)
    for each in measured:
        histogram.record(values, round(each * 1000))
    spread = dict.fromkeys(("p50", "p90", "p95", "p99", "p99_9", "max"), 20.0)
    sent = len(measured) + failures
    part = {
        "offered_rps": sent / 60,
        "achieved_rps": len(measured) / 60,
        "requests": sent,
        "failures": failures,
        "wrong_answers": 0,
        "dropped": 0,
        "latency_ms": spread,
        "service_ms": spread,
    }
    mix = [
        {**part, "name": name, "model": name, "histogram": histogram.encode(values)}
        for name in MODELS
    ]
    report = {
        **part,
        "verdict": "pass",
        "reasons": [],
        "started": hours_ago(2).isoformat(),
        "seconds": 60,
        "judged_seconds": 60,
        "target": {"url": "https://x", "host": None, "protocol": "rest", "gateway": "staging"},
        "embedded": False,
        "profile": {"path": None, "sha256": PROFILE.sha256, "content": PROFILE.content},
        "release": {"commit": COMMIT, "digest": DIGEST, "helm": "", "pods": ""},
        "lateness_ms": spread,
        "slo": [],
        "confidence": {"level": 0.99, "sufficient": True, "steady": True},
        "checks": [],
        "mix": mix,
        "stages": [],
        "failure_groups": [],
        "server": None,
        "generator": {
            "processes": 1,
            "cpu_max": 0.1,
            "in_flight_max": 1,
            "machine": "",
            "versions": {},
        },
        "bin_seconds": 1,
        "timeline": [],
    }
    return Report.model_validate(report | changes)


def smoke_text(**changes: Any) -> str:
    """A smoke test's report."""
    report = {
        "schema_version": 1,
        "environment": "staging",
        "started": hours_ago(1).isoformat(),
        "seconds": 12.0,
        "verdict": "pass",
        "target": "staging",
        "embedded": False,
        "release": {"commit": COMMIT, "digest": DIGEST, "helm": "", "pods": ""},
        "tests": [{"name": "answers", "outcome": "passed", "seconds": 1, "why": "", "next": ""}],
    }
    return json.dumps(report | changes)


def proof(text: str, *signatures: str) -> Proof:
    return report_file.read(text, "staging/report.json", signatures)


def stored_reports(*proofs: Proof, unreadable: tuple[str, ...] = ()) -> StoredReports:
    return StoredReports(proofs, unreadable)


def load_proof(**changes: Any) -> Proof:
    return proof(load_report(**changes).model_dump_json())


def candidate(**changes: Any) -> Candidate:
    """A production that runs nothing yet and would run nothing."""
    new = Environment("production", "live", ())
    return replace(
        Candidate(new, None, None, "e" * 64, (), (), (), MODELS, ()),
        **changes,
    )


def rendered_candidate(repository: Repository, commit: str, **changes: Any) -> Candidate:
    """Production as it is in a clone, and with another commit pinned."""
    renderer = Renderer(repository)
    new = renderer.pinning("production", commit)
    return candidate(
        new=new,
        old=renderer.live("production"),
        replaces=pinned_commit(renderer.tree, "production"),
        digest=digest.release_digest(new),
        **changes,
    )


def gate_inputs(**changes: Any) -> GateInputs:
    """Inputs that pass every gate, with some of them replaced."""
    passing = GateInputs(
        source="staging",
        gates=gates(),
        commit=COMMIT,
        digest=DIGEST,
        options=PromotionOptions(),
        local_now=NOW,
        history=History("", reachable=True, forward=True, committed=hours_ago(100)),
        running=running(),
        running_digest=DIGEST,
        reports={
            "loadtest": stored_reports(load_proof()),
            "smoke": stored_reports(proof(smoke_text())),
        },
        reported={COMMIT: ReportedCommit(hours_ago(100), DIGEST)},
        signers=Signers(""),
        profile_sha256=PROFILE.sha256,
        target_profile=profile(p99=100),
        candidate=candidate(),
    )
    return replace(passing, **changes)


def with_load(*proofs: Proof, **changes: Any) -> GateInputs:
    """The same with other load tests, the newest first."""
    return gate_inputs(
        reports={"loadtest": stored_reports(*proofs), "smoke": stored_reports(proof(smoke_text()))},
        **changes,
    )
