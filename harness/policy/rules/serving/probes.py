"""Probes: they ask a port that is there, and the harsh one waits longest."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig, items, mapping
from harness.policy.facts.pods import (
    PROBES,
    SERVERS,
    Container,
    Pod,
    pod,
    pods,
    pods_of_service,
    window,
)
from harness.policy.rule import rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_PATIENCE = 10  # seconds that a busy process may take to answer, at least
_HANDLERS = ("httpGet", "tcpSocket", "grpc")


@rule(
    "probes/present",
    why="without them traffic reaches a pod that cannot answer, and a hung one is never restarted",
    fix="give the container a startup, a readiness and a liveness probe",
    like=(
        "kube-linter no-readiness-probe",
        "kube-score pod-probes",
    ),
)
def present(environment: Environment) -> Iterator[Problem]:
    for subject in pods(environment, *SERVERS):
        containers = [each for each in subject.containers if not each.init]
        behind_services = [each for each in containers[1:] if _receives(environment, subject, each)]
        for container in (*containers[:1], *behind_services):
            for probe in PROBES:
                if not mapping(container.value, probe):
                    yield container.problem(f"has no {probe}", probe)


def _receives(environment: Environment, subject: Pod, container: Container) -> bool:
    """Whether a Service sends requests to a container; a sidecar that none does needs no probe."""
    return any(
        container.port(dig(port, "targetPort") or dig(port, "port")) is not None
        for service in environment.of("Service")
        if subject.owner in [each.owner for each in pods_of_service(service, environment)]
        for port in items(service.value, "spec", "ports")
    )


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
    why="a liveness probe that asks what readiness asks, or that fails within seconds, restarts "
    "pods that are only busy, all at once when load is high",
    fix="let liveness ask for less than readiness, or fail much later: periodSeconds × "
    "failureThreshold of at least 10 (Kubernetes' own default is 30)",
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
        elif live and (limit := window({**live, "initialDelaySeconds": 0})) < _PATIENCE:
            key = "periodSeconds" if "periodSeconds" in live else "failureThreshold"
            message = f"livenessProbe restarts it after {limit} s without an answer"
            yield container.problem(message, "livenessProbe", key)
