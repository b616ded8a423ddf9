"""Probes: they ask a port that is there, and the harsh one waits longest."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import mapping
from harness.policy.pods import PROBES, SERVERS, pod, window
from harness.policy.rule import rule
from harness.render.objects import Object

_HANDLERS = ("httpGet", "tcpSocket", "grpc")


@rule(
    "probes/present",
    why="without them traffic reaches a pod that cannot answer, and a hung one is never restarted",
    fix="give the container a startup, a readiness and a liveness probe",
    kinds=SERVERS,
    like=(
        "kube-linter no-readiness-probe",
        "kube-score pod-probes",
    ),
)
def present(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for probe in PROBES:
            if not container.init and not mapping(container.value, probe):
                yield container.problem(f"has no {probe}", probe)


@rule(
    "probes/port",
    why="a probe on a port that nothing listens on restarts a healthy pod forever",
    fix="name a port that the container declares",
    kinds=SERVERS,
    like=("kube-linter readiness-port",),
)
def port(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for probe in PROBES:
            for handler in _HANDLERS:
                reference = container.dig(probe, handler, "port")
                if reference is not None and container.port(reference) is None:
                    message = f"{probe} asks port {reference}, which the container does not declare"
                    yield container.problem(message, probe, handler, "port")


@rule(
    "probes/liveness-is-patient",
    why="a liveness probe that asks what readiness asks restarts pods that are only busy, all at "
    "once when load is high",
    fix="let liveness ask for less than readiness, or fail much later",
    kinds=SERVERS,
    like=("kube-score pod-probes-identical",),
)
def liveness_is_patient(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        ready, live = (
            mapping(container.value, f"{kind}Probe") for kind in ("readiness", "liveness")
        )
        same = all(ready.get(handler) == live.get(handler) for handler in (*_HANDLERS, "exec"))
        if ready and live and same and window(live) <= window(ready):
            message = "livenessProbe asks what readinessProbe asks, and fails no later"
            yield container.problem(message, "livenessProbe")
