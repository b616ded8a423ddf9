"""What must be so before a pointer moves: each gate says what it found, and what to do. Pure.

Everything that has to be asked of a cluster, a bucket, a registry or Git was asked before and
lies in the ``Case``.
"""

import contextlib
import datetime
from collections.abc import Callable, Mapping, Sequence

from harness.attestation import signature
from harness.attestation.record import Gate, Kind
from harness.core.errors import InputError
from harness.loadtest import slo
from harness.loadtest.outcome import Objective
from harness.loadtest.report import Report, quantity
from harness.promotion.case import Case
from harness.promotion.evidence import Proof
from harness.render.diff import Danger
from harness.settings import freeze

_SKEW = 60.0  # seconds between two clocks; with NTP on both there is not one
_LOOKED = 12.0  # hours: between a look and what follows from it somebody may have to approve
_SHOWN = 5  # of many things that are wrong alike


class _RefusedError(Exception):
    """A gate is not passed: why, and what to do."""

    def __init__(self, found: str, hint: str) -> None:
        self.found, self.hint = found, hint
        super().__init__(found)


def evaluate(case: Case) -> list[Gate]:
    """Every gate, in the order in which a person would look."""
    return [_asked(name, gate, case) for name, gate in _GATES.items()]


def signed_by(case: Case, proof: Proof) -> str | None:
    """Whose signature a report has; None where it has none that counts."""
    with contextlib.suppress(InputError):
        return _verified(case, proof)
    return None


def danger_name(danger: Danger) -> str:
    """How a danger is accepted: ``removed:PersistentVolumeClaim/torchserve/models``."""
    return f"{danger.kind}:{danger.object}"


def _asked(name: str, gate: Callable[[Case], str], case: Case) -> Gate:
    try:
        return Gate(name=name, passed=True, found=gate(case))
    except _RefusedError as refusal:
        return Gate(name=name, passed=False, found=refusal.found, hint=refusal.hint)


def _checkout(case: Case) -> str:
    if case.checkout.complaint:
        raise _RefusedError(case.checkout.complaint, "git switch main; git pull; commit or stash")
    return "main, clean and current"


def _commit(case: Case) -> str:
    if not case.checkout.reachable:
        raise _RefusedError(
            f"{case.commit[:12]} is neither in main nor in a release/* branch: was main rewritten?",
            "promote a commit that cannot vanish, or Flux will not find it",
        )
    if not case.checkout.forward and not case.wish.downgrade:
        raise _RefusedError(
            f"{case.commit[:12]} does not come after the commit that {case.target} pins",
            f"back: harness release rollback --env {case.target}; or --downgrade",
        )
    return "in main or a release branch" + ("" if case.checkout.forward else ", going back")


def _clocks(case: Case) -> str:
    off = abs((case.running.asked - case.running.now).total_seconds())
    if off > _SKEW:
        raise _RefusedError(
            f"this machine's clock and the API server's are {off:,.0f} s apart",
            "set the one that is wrong: ages and freezes are judged by them",
        )
    hours = (case.local_now - case.running.asked).total_seconds() / 3600
    if not -_SKEW / 3600 <= hours <= _LOOKED:
        raise _RefusedError(
            f"{case.source} was looked at {hours:,.1f} hours ago",
            "look again: harness release observe --save-state FILE",
        )
    if case.checkout.committed > case.now + datetime.timedelta(seconds=_SKEW):
        raise _RefusedError(
            f"{case.commit[:12]} was made after now, {case.checkout.committed:%Y-%m-%d %H:%M} UTC",
            "its author's clock is wrong: commit again",
        )
    return f"{off:.0f} s apart"


def _running(case: Case) -> str:
    told = case.running.environment
    if told != case.source:
        raise _RefusedError(
            f"the cluster says that it is {told or 'nothing'}, not {case.source}",
            "name the right one: --context",
        )
    if case.running_digest != case.digest:
        raise _RefusedError(
            f"{case.source} runs {case.running.commit[:12]} (release {case.running_digest[:12]}), "
            f"{case.commit[:12]} is release {case.digest[:12]}",
            f"promote what runs: --commit {case.running.commit[:12]}",
        )
    if case.running.unready:
        raise _RefusedError(_some(case.running.unready), "harness status, and wait or repair")
    return f"release {case.digest[:12]}, everything Ready"


def _soak(case: Case) -> str:
    if case.running.disturbances is None:
        raise _RefusedError(
            "nobody looked whether pods failed in between: an older harness wrote this down",
            "look again: harness release observe --save-state FILE",
        )
    since = case.running.steady_since
    hours = (case.now - since).total_seconds() / 3600
    if hours < case.gates.soak_hours:
        due = since + datetime.timedelta(hours=case.gates.soak_hours)
        last = "".join(f": {each}" for each in case.running.disturbances[:1])
        raise _RefusedError(
            f"Ready for {hours:.1f} h, {case.gates.soak_hours:g} h are asked{last}",
            f"again from {due:%Y-%m-%d %H:%M} UTC on",
        )
    return (
        f"Ready for {hours:.1f} h (asked: {case.gates.soak_hours:g} h): unchanged, no container "
        "restarted, no pod failed or was not Ready"
    )


def _load_test(case: Case) -> str:
    proof, report = _loaded(case)
    if report.profile.sha256 != case.profile_sha256:
        raise _RefusedError(
            f"{proof.name} is of another profile than clusters/{case.source}/loadtest.yaml",
            f"make loadtest ENV={case.source}",
        )
    tested = {part.model for part in report.mix if part.requests}
    if untested := sorted(set(case.candidate.models) - tested):
        raise _RefusedError(
            f"{proof.name} sent nothing to {', '.join(untested)}",
            f"put every model into the mix of clusters/{case.source}/loadtest.yaml",
        )
    if report.verdict != "pass":
        raise _RefusedError(
            f"{proof.name}: {report.verdict}: {_some(report.reasons)}",
            "repair what it says; only the newest report counts",
        )
    return (
        f"pass, {report.requests:,} requests, signed by {_signer(case, proof) or 'nobody'}"
        f"{_left_out(case, 'loadtest')}"
    )


def _slos(case: Case) -> str:
    _, report = _loaded(case)
    objectives = list(slo.reevaluate(report, case.target_profile))
    missed = [_missed(each) for each in objectives if not each.met]
    if missed:
        raise _RefusedError(
            _some(missed), f"clusters/{case.target}/loadtest.yaml asks for it: make it faster"
        )
    unsure = [each for each in objectives if not each.sure]
    if unsure:
        most = max(each.needed or 0 for each in unsure)
        raise _RefusedError(
            f"too few requests to claim {_some([_named(each) for each in unsure])}",
            f"a longer hold: {most:,} requests carry it",
        )
    return f"all {len(objectives)} of clusters/{case.target}/loadtest.yaml"


def _smoke_test(case: Case) -> str:
    proof = _proof(case, "smoke", f"make smoke ENV={case.source}")
    smoke = proof.smoke
    assert smoke is not None  # noqa: S101  of this kind
    if smoke.environment != case.source:
        raise _RefusedError(
            f"{proof.name} is of {smoke.environment}", f"make smoke ENV={case.source}"
        )
    if smoke.verdict != "pass":
        failed = [each.name for each in smoke.tests if each.outcome == "failed"]
        raise _RefusedError(f"{proof.name}: {smoke.verdict}: {_some(failed)}", "repair it first")
    return (
        f"pass, {smoke.count('passed')} of {len(smoke.tests)} checks apply"
        f"{_left_out(case, 'smoke')}"
    )


def _render(case: Case) -> str:
    if case.candidate.faults:
        raise _RefusedError(_some(case.candidate.faults), "make check, on main")
    if case.candidate.unset:
        raise _RefusedError(
            f"UNSET: {_some(case.candidate.unset)}", f"harness init --env {case.target}"
        )
    return f"release {case.candidate.digest[:12]}, nothing UNSET"


def _dangers(case: Case) -> str:
    named = {danger_name(each): each for each in case.candidate.dangers}
    if unknown := sorted(set(case.wish.accept) - set(named)):
        raise _RefusedError(f"no such danger: {_some(unknown)}", "accept what is there, by name")
    if left := [f"{name}: {each.message}" for name, each in named.items()
                if name not in case.wish.accept]:  # fmt: skip
        raise _RefusedError(_some(left), "read the diff, then --accept each by name")
    return f"{len(named)} accepted" if named else "none"


def _stored(case: Case) -> str:
    if case.candidate.missing:
        raise _RefusedError(
            _some(case.candidate.missing),
            f"harness release copy --from {case.source} --to {case.target}",
        )
    return f"{len(case.candidate.models)} archives by SHA-256, the image by digest"


def _image_signature(case: Case) -> str:
    wanted = case.gates.signed_image
    if wanted is None:
        return f"not asked: clusters/{case.target}/promotion.yaml has no signedImage"
    if case.candidate.unsigned:
        raise _RefusedError(
            _some(case.candidate.unsigned),
            f"run the image that the image workflow signed, or correct signedImage in "
            f"clusters/{case.target}/promotion.yaml",
        )
    return f"signed by {wanted}"


def _check(case: Case) -> str:
    if case.candidate.findings:
        raise _RefusedError(
            _some(case.candidate.findings),
            "harness check, on that commit; mend it and let it reach main",
        )
    return "no finding, by the rules and exceptions of this main"


def _freeze(case: Case) -> str:
    window = freeze.frozen(case.gates.freeze, case.now)
    if window and not case.wish.override:
        raise _RefusedError(str(window), 'wait, or give a reason: --override-freeze "REASON"')
    return f"overridden: {case.wish.override}" if window else "open"


_GATES: Mapping[str, Callable[[Case], str]] = {
    "checkout": _checkout,
    "commit": _commit,
    "clocks": _clocks,
    "running": _running,
    "soak": _soak,
    "load test": _load_test,
    "SLOs": _slos,
    "smoke test": _smoke_test,
    "render": _render,
    "check": _check,
    "dangers": _dangers,
    "models and image": _stored,
    "image signature": _image_signature,
    "freeze": _freeze,
}


def _loaded(case: Case) -> tuple[Proof, Report]:
    proof = _proof(case, "loadtest", f"make loadtest ENV={case.source}")
    assert proof.load is not None  # noqa: S101  of this kind
    return proof, proof.load


def _proof(case: Case, kind: Kind, hint: str) -> Proof:
    """The newest report of a kind, if it counts at all."""
    proof = case.newest(kind)
    if proof is None:
        raise _RefusedError(
            f"there is none of release {case.digest[:12]}{_left_out(case, kind)}", hint
        )
    known = case.reported.get(proof.commit)
    if known is None:
        raise _RefusedError(f"{proof.name} is of a commit that is not in this repository", hint)
    if {proof.digest, known.digest} != {case.digest}:
        raise _RefusedError(
            f"{proof.name} says release {(proof.digest or 'unknown')[:12]}, its commit "
            f"{proof.commit[:12]} is release {known.digest[:12]}",
            hint,
        )
    if proof.rehearsed and not case.gates.embedded:
        raise _RefusedError(f"{proof.name} is of an embedded server or of fake pods", hint)
    _signer(case, proof)
    _timely(case, proof, known.committed, hint)
    return proof


def _signer(case: Case, proof: Proof) -> str | None:
    """Who signed a report; None where nobody need have."""
    if not proof.signatures:
        if case.gates.signed_reports:
            raise _RefusedError(
                f"{proof.name} is not signed",
                f"harness release evidence REPORT --env {case.source} --key FILE",
            )
        return None
    try:
        return _verified(case, proof)
    except InputError as error:
        raise _RefusedError(f"{proof.name}: {error.message}", error.hint) from error


def _verified(case: Case, proof: Proof) -> str:
    """Whose key signed a report, of those that may now: when it signed, nobody but itself says.

    Raises:
        InputError: it is signed by none of them.
    """
    error = InputError(f"{proof.name} is not signed")
    for each in proof.signatures:
        try:
            return case.signers.verify(proof.text, each, signature.EVIDENCE, case.now)
        except InputError as refused:
            error = refused
    raise error


def _left_out(case: Case, kind: Kind) -> str:
    """What lies in the evidence store and is no report."""
    unreadable = case.kept[kind].unreadable
    return f"; left out, {len(unreadable)} unreadable: {_some(unreadable)}" if unreadable else ""


def _timely(case: Case, proof: Proof, committed: datetime.datetime, hint: str) -> None:
    """Whether a report can be what it says: of what ran, not from the future, not too old."""
    slack = datetime.timedelta(seconds=_SKEW)
    if proof.ended > case.now + slack:
        raise _RefusedError(
            f"{proof.name} ended after now: the clock that it was made by is wrong", hint
        )
    if proof.started < committed - slack:
        raise _RefusedError(f"{proof.name} is older than its commit: a wrong clock?", hint)
    if proof.started < case.running.since - slack:
        raise _RefusedError(f"{proof.name} began before the release was Ready", hint)
    days = (case.now - proof.ended).total_seconds() / 86_400
    if days > case.gates.report_days:
        raise _RefusedError(
            f"{proof.name} is {days:.1f} days old, {case.gates.report_days:g} are allowed", hint
        )


def _missed(objective: Objective) -> str:
    observed = (
        "never" if objective.observed is None else quantity(objective.observed, objective.unit)
    )
    return f"{_named(objective)}: {observed} (limit {quantity(objective.limit, objective.unit)})"


def _named(objective: Objective) -> str:
    return f"{objective.metric.replace('_', ' ')} of {objective.of or 'all'}"


def _some(found: Sequence[str]) -> str:
    """The first few of what may be many."""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more
