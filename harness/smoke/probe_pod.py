"""A short-lived pod that tries to reach the servers' ports, which no other pod may.

It runs the servers' own image in namespace ``smoke``, where it may reach nothing but DNS and
TorchServe's namespace, and reports its results as its termination message, which needs no exec.
"""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.errors import HarnessError
from harness.core.values import Value, dig, text
from harness.kubernetes import kinds, status
from harness.kubernetes.api import Api

NAMESPACE = "smoke"
# The label is the one of the pods of earlier releases, which are swept too.
_LABELS = {"app.kubernetes.io/name": "smoke", "app.kubernetes.io/component": "neighbor"}
_DEADLINE = 300  # seconds for the pod: its image is on the nodes already
_MARGIN = 30  # seconds for the kubelet to notice
_TIMEOUT = 3  # seconds for a connection: a dropped packet is never answered

# DNS first: who reaches nothing at all proves nothing. All at once: each may be a silence.
_TRY = """
import concurrent.futures, json, re, sys, socket
def connects(address):
    host, port = address.split()
    try:
        socket.create_connection((host, int(port)), timeout=%d).close()
    except OSError:
        return False
    return True
server = re.search(r"^nameserver\\s+(\\S+)", open("/etc/resolv.conf").read(), re.M)[1]
addresses = [server + " 53", *sys.argv[1:]]
with concurrent.futures.ThreadPoolExecutor(len(addresses)) as pool:
    found = list(pool.map(connects, addresses))
open("/dev/termination-log", "w").write(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a server's pod, and what it is for."""

    pod: str
    address: str
    number: int
    purpose: str

    def __str__(self) -> str:
        return f"{self.purpose} of {self.pod} ({self.address}:{self.number})"


def manifest(server: Value, ports: Iterable[Port]) -> dict[str, object]:
    """Return the pod that tries ``ports``, on the nodes of ``server``, which have its image."""
    spec = {key: dig(server, "spec", key) for key in ("nodeSelector", "tolerations")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"probe-{secrets.token_hex(4)}",
            "namespace": NAMESPACE,
            "labels": _LABELS,
        },
        "spec": {
            **{key: value for key, value in spec.items() if value},
            "activeDeadlineSeconds": _DEADLINE,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": text(server, "spec", "containers", 0, "image"),
                    "command": ["python", "-c", _TRY % _TIMEOUT],
                    "args": [f"{port.address} {port.number}" for port in ports],
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "128Mi"},
                        "limits": {"memory": "128Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                }
            ],
        },
    }


def reachable_ports(cluster: Api, server: Value, ports: Sequence[Port]) -> list[Port]:
    """Which of ``ports`` another pod reaches.

    Raises:
        HarnessError: the pod cannot be made, does not end, or reaches not even DNS.
    """
    _sweep(cluster)
    pod = cluster.create(manifest(server, ports))
    name = text(pod, "metadata", "name")
    try:
        finished = cluster.wait_for(
            kinds.POD,
            lambda pods: _finished_pod(pods, name),
            seconds=_DEADLINE + _MARGIN,
            namespace=NAMESPACE,
            what=f"pod {name} to try every port",
        )
    finally:
        cluster.delete(kinds.POD, name, NAMESPACE)
    message = text(finished, "status", "containerStatuses", 0, "state", "terminated", "message")
    try:
        dns, *connected = json.loads(message)
    except ValueError:
        reason = message or status.pod_reason(finished)
        raise HarnessError(f"pod {NAMESPACE}/{name} could not try anything: {reason}") from None
    if not dns:
        raise HarnessError(
            f"pod {NAMESPACE}/{name} does not even reach DNS, so its silence proves nothing",
            hint=f"kubectl -n {NAMESPACE} describe networkpolicy",
        )
    return [port for port, open_ in zip(ports, connected, strict=True) if open_]


def _finished_pod(pods: Iterable[Value], name: str) -> Value | None:
    for pod in pods:
        if text(pod, "metadata", "name") == name and _is_over(pod):
            return pod
    return None


def _is_over(pod: Value) -> bool:
    return text(pod, "status", "phase") in ("Succeeded", "Failed")


def _sweep(cluster: Api) -> None:
    """Remove the pods that a killed run has left behind."""
    labels = ",".join(f"{key}={value}" for key, value in _LABELS.items())
    for pod in cluster.list_all(kinds.POD, NAMESPACE, labels):
        if _is_over(pod):
            cluster.delete(kinds.POD, text(pod, "metadata", "name"), NAMESPACE)
