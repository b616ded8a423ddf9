"""The gates of a promotion: each returns what it found, or fails with what to do next. Pure.

Everything that a cluster, a bucket, a registry or Git has to be asked for is in ``GateInputs``,
which ``collect`` makes.
"""

import contextlib
import datetime
from collections.abc import Callable, Mapping

from harness.attestation import signature
from harness.attestation.record import Gate, Kind
from harness.core.errors import InputError
from harness.core.words import amount
from harness.loadtest import slo
from harness.loadtest.outcome import Objective
from harness.loadtest.report import Report, groups, quantity
from harness.promotion import live_health_gate
from harness.promotion.gate_error import GateError, first_of
from harness.promotion.gate_inputs import GateInputs
from harness.promotion.report_file import Proof
from harness.render.diff import Danger
from harness.settings import freeze
from harness.smoke.report import Report as SmokeReport

_SKEW = 60.0  # seconds between two clocks; with NTP on both it is below one
_MAX_AGE = 12.0  # hours from reading the cluster: somebody may have to approve in between


def evaluate_gates(inputs: GateInputs) -> list[Gate]:
    """Every gate, in the order in which a person would look."""
    return [_evaluate(name, gate, inputs) for name, gate in _GATES.items()]


def signer_of(inputs: GateInputs, proof: Proof) -> str | None:
    """Whose signature a report has, or None if it has none that counts."""
    with contextlib.suppress(InputError):
        return _verify(inputs, proof)
    return None


def danger_name(danger: Danger) -> str:
    """How a danger is accepted: ``removed:PersistentVolumeClaim/torchserve/models``."""
    return f"{danger.kind}:{danger.object}"


def _evaluate(name: str, gate: Callable[[GateInputs], str], inputs: GateInputs) -> Gate:
    try:
        return Gate(name=name, passed=True, found=gate(inputs))
    except GateError as error:
        return Gate(name=name, passed=False, found=error.finding, hint=error.hint)


def _working_tree(inputs: GateInputs) -> str:
    if inputs.history.complaint:
        raise GateError(inputs.history.complaint, "git switch main; git pull; commit or stash")
    return "main, clean and current"


def _commit(inputs: GateInputs) -> str:
    if not inputs.history.reachable:
        raise GateError(
            f"{inputs.commit[:12]} is neither in main nor in a release/* branch: "
            "was main rewritten?",
            "promote a commit that cannot vanish, or Flux will not find it",
        )
    if not inputs.history.forward and not inputs.options.downgrade:
        raise GateError(
            f"{inputs.commit[:12]} does not come after the commit that {inputs.target} pins",
            f"to go back: harness release rollback --env {inputs.target}; or --downgrade",
        )
    return "in main or a release branch" + ("" if inputs.history.forward else ", going back")


def _clocks(inputs: GateInputs) -> str:
    off = abs((inputs.running.read_at - inputs.running.now).total_seconds())
    if off > _SKEW:
        raise GateError(
            f"this machine's clock and the API server's are {off:,.0f} s apart",
            "set the one that is wrong: ages and freezes are computed from them",
        )
    hours = (inputs.local_now - inputs.running.read_at).total_seconds() / 3600
    if not -_SKEW / 3600 <= hours <= _MAX_AGE:
        raise GateError(
            f"the state of {inputs.source} was read {hours:,.1f} hours ago",
            "read it again: harness release observe --save-state FILE",
        )
    if inputs.history.committed > inputs.now + datetime.timedelta(seconds=_SKEW):
        raise GateError(
            f"{inputs.commit[:12]} was committed in the future, "
            f"{inputs.history.committed:%Y-%m-%d %H:%M} UTC",
            "its author's clock is wrong: commit again",
        )
    return f"{off:.0f} s apart"


def _running(inputs: GateInputs) -> str:
    environment = inputs.running.environment
    if environment != inputs.source:
        raise GateError(
            f"the cluster is labeled {environment or 'nothing'}, not {inputs.source}",
            "give the right context: --context",
        )
    if inputs.running_digest != inputs.digest:
        raise GateError(
            f"{inputs.source} runs {inputs.running.commit[:12]} "
            f"(release {inputs.running_digest[:12]}), "
            f"{inputs.commit[:12]} is release {inputs.digest[:12]}",
            f"promote what runs: --commit {inputs.running.commit[:12]}",
        )
    if inputs.running.unready:
        raise GateError(first_of(inputs.running.unready), "harness status, and wait or repair")
    return f"release {inputs.digest[:12]}, everything Ready"


def _soak(inputs: GateInputs) -> str:
    if inputs.running.disturbances is None:
        raise GateError(
            "the state has no record of failed pods: an older harness wrote it",
            "read it again: harness release observe --save-state FILE",
        )
    since = inputs.running.steady_since
    hours = (inputs.now - since).total_seconds() / 3600
    if hours < inputs.gates.soak_hours:
        due = since + datetime.timedelta(hours=inputs.gates.soak_hours)
        last = "".join(f": {each}" for each in inputs.running.disturbances[:1])
        raise GateError(
            f"Ready for {hours:.1f} h, {inputs.gates.soak_hours:g} h are required{last}",
            f"again from {due:%Y-%m-%d %H:%M} UTC on",
        )
    return (
        f"Ready for {hours:.1f} h (required: {inputs.gates.soak_hours:g} h): unchanged, "
        "no container restarted, no pod failed or was not Ready"
    )


def _load_test(inputs: GateInputs) -> str:
    proof, report = _load_report(inputs)
    if report.profile.sha256 != inputs.profile_sha256:
        raise GateError(
            f"{proof.name} is of another profile than clusters/{inputs.source}/loadtest.yaml",
            f"make loadtest ENV={inputs.source}",
        )
    models = {part.model.partition("/")[0] for part in report.mix if part.model and part.requests}
    if untested := sorted(set(inputs.candidate.models) - models):
        raise GateError(
            f"{proof.name} sent nothing to {', '.join(untested)}",
            f"put every model into the mix of clusters/{inputs.source}/loadtest.yaml",
        )
    if report.verdict != "pass":
        raise GateError(
            f"{proof.name}: {report.verdict}: {first_of(report.reasons)}",
            "repair it and test again; only the newest report counts",
        )
    return (
        f"pass, {amount(report.requests, 'request')}{_groups_note(report)}, "
        f"signed by {_signer(inputs, proof) or 'nobody'}"
        f"{_recorded_note(report)}{_unreadable(inputs, 'loadtest')}"
    )


def _groups_note(report: Report) -> str:
    """Which serving groups got the requests, where there are several."""
    names = list(groups(report))
    return f" to groups {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else ""


def _recorded_note(report: Report) -> str:
    """Which answers a server gave, and not the model itself or a person."""
    names = [part.name for part in report.mix if "recorded" in part.answers]
    return f"; recorded answers: {', '.join(names)}" if names else ""


def _slos(inputs: GateInputs) -> str:
    _, report = _load_report(inputs)
    objectives = list(slo.reevaluate(report, inputs.target_profile))
    missed = [_describe_miss(each) for each in objectives if not each.met]
    if missed:
        raise GateError(
            first_of(missed),
            f"clusters/{inputs.target}/loadtest.yaml requires it: make the release faster",
        )
    unsure = [each for each in objectives if not each.sure]
    if unsure:
        most = max(each.needed or 0 for each in unsure)
        raise GateError(
            f"too few requests to claim {first_of([_name(each) for each in unsure])}",
            f"hold longer: {most:,} requests are enough",
        )
    return f"all {len(objectives)} of clusters/{inputs.target}/loadtest.yaml"


def _smoke_test(inputs: GateInputs) -> str:
    proof = _proof(inputs, "smoke", f"make smoke ENV={inputs.source}")
    smoke = proof.smoke
    assert smoke is not None  # noqa: S101  of this kind
    if smoke.environment != inputs.source:
        raise GateError(
            f"{proof.name} is of {smoke.environment}", f"make smoke ENV={inputs.source}"
        )
    if smoke.verdict != "pass":
        failed = [each.name for each in smoke.tests if each.outcome == "failed"]
        raise GateError(f"{proof.name}: {smoke.verdict}: {first_of(failed)}", "repair it first")
    return (
        f"pass, {smoke.count('passed')} of {len(smoke.tests)} checks apply"
        f"{_recorded_in(smoke)}{_unreadable(inputs, 'smoke')}"
    )


def _recorded_in(smoke: SmokeReport) -> str:
    notes = [
        each.why for each in smoke.tests if each.outcome == "passed" and "recorded" in each.why
    ]
    return "".join(f"; {note}" for note in notes)


def _render(inputs: GateInputs) -> str:
    if inputs.candidate.faults:
        raise GateError(first_of(inputs.candidate.faults), "make check, on main")
    if inputs.candidate.unset:
        raise GateError(
            f"UNSET: {first_of(inputs.candidate.unset)}", f"harness init --env {inputs.target}"
        )
    return f"release {inputs.candidate.digest[:12]}, nothing UNSET"


def _dangers(inputs: GateInputs) -> str:
    dangers = {danger_name(each): each for each in inputs.candidate.dangers}
    if unknown := sorted(set(inputs.options.accept) - set(dangers)):
        raise GateError(
            f"no such danger: {first_of(unknown)}", "accept only dangers of this change, by name"
        )
    if open_ := [f"{name}: {each.message}" for name, each in dangers.items()
                if name not in inputs.options.accept]:  # fmt: skip
        raise GateError(first_of(open_), "read the diff, then --accept each by name")
    return f"{len(dangers)} accepted" if dangers else "none"


def _archives_and_image(inputs: GateInputs) -> str:
    if inputs.candidate.missing:
        raise GateError(
            first_of(inputs.candidate.missing),
            f"harness release copy --from {inputs.source} --to {inputs.target}",
        )
    return f"{len(inputs.candidate.models)} archives by SHA-256, the image by digest"


def _image_signature(inputs: GateInputs) -> str:
    required = inputs.gates.signed_image
    if required is None:
        return f"not required: clusters/{inputs.target}/promotion.yaml has no signedImage"
    if inputs.candidate.unsigned:
        raise GateError(
            first_of(inputs.candidate.unsigned),
            f"run the image that the image workflow signed, or correct signedImage in "
            f"clusters/{inputs.target}/promotion.yaml",
        )
    return f"signed by {required}"


def _check(inputs: GateInputs) -> str:
    if inputs.candidate.findings:
        raise GateError(
            first_of(inputs.candidate.findings),
            "harness check, on that commit; fix it and merge the fix to main",
        )
    return "no finding, by the rules and exceptions of this main"


def _freeze(inputs: GateInputs) -> str:
    window = freeze.window_at(inputs.gates.freeze, inputs.now)
    if window and not inputs.options.override:
        raise GateError(str(window), 'wait, or give a reason: --override-freeze "REASON"')
    return f"overridden: {inputs.options.override}" if window else "open"


_GATES: Mapping[str, Callable[[GateInputs], str]] = {
    "checkout": _working_tree,
    "commit": _commit,
    "clocks": _clocks,
    "running": _running,
    "soak": _soak,
    "live health": live_health_gate.evaluate,
    "load test": _load_test,
    "SLOs": _slos,
    "smoke test": _smoke_test,
    "render": _render,
    "check": _check,
    "dangers": _dangers,
    "models and image": _archives_and_image,
    "image signature": _image_signature,
    "freeze": _freeze,
}


def _load_report(inputs: GateInputs) -> tuple[Proof, Report]:
    proof = _proof(inputs, "loadtest", f"make loadtest ENV={inputs.source}")
    assert proof.load is not None  # noqa: S101  of this kind
    return proof, proof.load


def _proof(inputs: GateInputs, kind: Kind, hint: str) -> Proof:
    """The newest report of a kind, if it counts at all."""
    proof = inputs.newest(kind)
    if proof is None:
        raise GateError(
            f"no report of release {inputs.digest[:12]}{_unreadable(inputs, kind)}", hint
        )
    commit = inputs.reported.get(proof.commit)
    if commit is None:
        raise GateError(f"{proof.name} is of a commit that is not in this repository", hint)
    if {proof.digest, commit.digest} != {inputs.digest}:
        raise GateError(
            f"{proof.name} names release {(proof.digest or 'unknown')[:12]}, its commit "
            f"{proof.commit[:12]} is release {commit.digest[:12]}",
            hint,
        )
    if proof.is_rehearsal and not inputs.gates.embedded:
        raise GateError(f"{proof.name} is of an embedded server or of fake pods", hint)
    _signer(inputs, proof)
    _check_dates(inputs, proof, commit.committed, hint)
    return proof


def _signer(inputs: GateInputs, proof: Proof) -> str | None:
    """Who signed a report, or None if no signature is required."""
    if not proof.signatures:
        if inputs.gates.signed_reports:
            raise GateError(
                f"{proof.name} is not signed",
                f"harness release evidence REPORT --env {inputs.source} --key FILE",
            )
        return None
    try:
        return _verify(inputs, proof)
    except InputError as error:
        raise GateError(f"{proof.name}: {error.message}", error.hint) from error


def _verify(inputs: GateInputs, proof: Proof) -> str:
    """Whose key signed a report, of those valid now: when it signed, only the signer claims.

    Raises:
        InputError: none of them signed it.
    """
    error = InputError(f"{proof.name} is not signed")
    for each in proof.signatures:
        try:
            return inputs.signers.verify(proof.text, each, signature.EVIDENCE, inputs.now)
        except InputError as last:
            error = last
    raise error


def _unreadable(inputs: GateInputs, kind: Kind) -> str:
    """The files in the evidence store that are not reports, for a message."""
    unreadable = inputs.reports[kind].unreadable
    return f"; left out, {len(unreadable)} unreadable: {first_of(unreadable)}" if unreadable else ""


def _check_dates(inputs: GateInputs, proof: Proof, committed: datetime.datetime, hint: str) -> None:
    """Refuse a report that is from the future, too old, or older than what runs."""
    slack = datetime.timedelta(seconds=_SKEW)
    if proof.ended > inputs.now + slack:
        raise GateError(f"{proof.name} ended in the future: the tester's clock is wrong", hint)
    if proof.started < committed - slack:
        raise GateError(f"{proof.name} is older than its commit: a wrong clock?", hint)
    if proof.started < inputs.running.since - slack:
        raise GateError(f"{proof.name} began before the release was Ready", hint)
    days = (inputs.now - proof.ended).total_seconds() / 86_400
    if days > inputs.gates.report_days:
        raise GateError(
            f"{proof.name} is {days:.1f} days old, {inputs.gates.report_days:g} are allowed", hint
        )


def _describe_miss(objective: Objective) -> str:
    observed = (
        "never" if objective.observed is None else quantity(objective.observed, objective.unit)
    )
    return f"{_name(objective)}: {observed} (limit {quantity(objective.limit, objective.unit)})"


def _name(objective: Objective) -> str:
    return f"{objective.metric.replace('_', ' ')} of {objective.of or 'all'}"
