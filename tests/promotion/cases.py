"""A promotion that passes every gate, to be spoiled in one place."""

import datetime
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from harness.attestation.signature import Signers
from harness.loadtest import histogram
from harness.loadtest.profile import Profile
from harness.loadtest.report import Report
from harness.promotion import evidence
from harness.promotion.case import Candidate, Case, Checkout, Reported, Wish
from harness.promotion.disturbances import Disturbance
from harness.promotion.evidence import Proof
from harness.promotion.evidence_store import Kept
from harness.promotion.running import Running
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
    """A target's gates; reports need no signature unless told."""
    text = json.dumps({"from": "staging", "signedReports": False, **keys})
    return Gates.model_validate_json(text)


def running(**changes: Any) -> Running:
    """Staging, Ready for thirty hours."""
    return replace(Running("staging", NOW, NOW, COMMIT, (), hours_ago(30), ()), **changes)


def failed(hours: float) -> Disturbance:
    """A container that was killed so many hours ago."""
    return Disturbance("Pod torchserve/a, container torchserve,", "was OOMKilled", hours_ago(hours))


def load_report(
    latencies: Iterable[float] = (20.0,) * 600, *, failures: int = 0, **changes: Any
) -> Report:
    """A load test's report; each of MODELS was asked as often as there are latencies (ms)."""
    values = histogram.empty()
    found = list(latencies)
    for each in found:
        histogram.record(values, round(each * 1000))
    spread = dict.fromkeys(("p50", "p90", "p95", "p99", "p99_9", "max"), 20.0)
    sent = len(found) + failures
    part = {
        "offered_rps": sent / 60,
        "achieved_rps": len(found) / 60,
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
    return evidence.read(text, "staging/report.json", signatures)


def kept(*proofs: Proof, unreadable: tuple[str, ...] = ()) -> Kept:
    return Kept(proofs, unreadable)


def load_proof(**changes: Any) -> Proof:
    return proof(load_report(**changes).model_dump_json())


def case(**changes: Any) -> Case:
    """The case with some of its parts replaced."""
    good = Case(
        source="staging",
        target="production",
        gates=gates(),
        commit=COMMIT,
        digest=DIGEST,
        wish=Wish(),
        local_now=NOW,
        checkout=Checkout("", reachable=True, forward=True, committed=hours_ago(100)),
        running=running(),
        running_digest=DIGEST,
        kept={"loadtest": kept(load_proof()), "smoke": kept(proof(smoke_text()))},
        reported={COMMIT: Reported(hours_ago(100), DIGEST)},
        signers=Signers(""),
        profile_sha256=PROFILE.sha256,
        target_profile=profile(p99=100),
        candidate=Candidate("e" * 64, (), (), (), MODELS, ()),
    )
    return replace(good, **changes)


def with_load(*found: Proof, **changes: Any) -> Case:
    """The case with other load tests, the newest first."""
    return case(kept={"loadtest": kept(*found), "smoke": kept(proof(smoke_text()))}, **changes)
