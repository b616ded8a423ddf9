"""Pod security: the restricted standard and a little more, outside the drivers' namespaces.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from collections.abc import Iterator

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import dig, items, mapping
from harness.policy.facts.pods import ENFORCE, Container, Pod, pods
from harness.policy.rule import rule
from harness.render.rendered import Environment

_VOLUMES = {  # "Volume Types" of the restricted standard
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def unprivileged_pods(environment: Environment) -> Iterator[Pod]:
    """The pods of every namespace that is not labeled privileged."""
    privileged = {
        namespace.name
        for namespace in environment.of("Namespace")
        if namespace.labels.get(ENFORCE) == "privileged"
    }
    return (pod for pod in pods(environment) if pod.owner.namespace not in privileged)


def _setting(pod: Pod, container: Container, key: str) -> object:
    """What holds for a container: its own setting, else the pod's."""
    setting = container.dig("securityContext", key)
    return setting if setting is not None else dig(pod.spec, "securityContext", key)


@rule(
    "pod-security/non-root",
    why="root in a container is root on the node as soon as anything leaks",
    fix="set runAsNonRoot: true and a numeric runAsUser other than 0",
    references=("PSS restricted: Running as Non-root", "NSA/CISA C-0013", "CIS EKS 4.2.5"),
    like=(
        "kube-linter run-as-non-root",
        "Pod Security restricted",
        "`check --server`",
    ),
)
def non_root(environment: Environment) -> Iterator[Problem]:
    for pod in unprivileged_pods(environment):
        for container in pod.containers:
            if _setting(pod, container, "runAsNonRoot") is not True:
                yield container.problem(
                    "may run as root", "securityContext", "runAsNonRoot", to=True
                )
            if _setting(pod, container, "runAsUser") in (None, 0):
                # An image that names its user by word is refused by runAsNonRoot at start.
                yield container.problem("has no user id", "securityContext", "runAsUser")


@rule(
    "pod-security/privileges",
    why="serving a model needs none of the kernel's capabilities, and no way to gain them",
    fix="set allowPrivilegeEscalation: false and capabilities: {drop: [ALL]}; never privileged",
    references=(
        "PSS restricted: Privilege Escalation",
        "PSS restricted: Capabilities",
        "NSA/CISA C-0016",
        "NSA/CISA C-0046",
        "NSA/CISA C-0057",
    ),
    like=(
        "kube-linter privilege-escalation-container",
        "Pod Security restricted",
        "`check --server`",
    ),
)
def privileges(environment: Environment) -> Iterator[Problem]:
    for pod in unprivileged_pods(environment):
        for container in pod.containers:
            context = mapping(container.value, "securityContext")
            if context.get("allowPrivilegeEscalation") is not False:
                where = ("securityContext", "allowPrivilegeEscalation")
                yield container.problem("may gain privileges", *where, to=False)
            if context.get("privileged") is True:
                yield container.problem(
                    "is privileged", "securityContext", "privileged", to=REMOVED
                )
            if "ALL" not in items(context, "capabilities", "drop"):
                where = ("securityContext", "capabilities")
                yield container.problem("keeps capabilities", *where)
            if set(items(context, "capabilities", "add")) - {"NET_BIND_SERVICE"}:
                yield container.problem(
                    "adds capabilities", "securityContext", "capabilities", "add", to=REMOVED
                )


@rule(
    "pod-security/seccomp",
    why="without it every system call of the kernel is open to the model's code",
    fix="set seccompProfile: {type: RuntimeDefault} for the pod",
    references=("PSS restricted: Seccomp", "NSA/CISA C-0055"),
    like=(
        "checkov CKV_K8S_31",
        "Pod Security restricted",
        "`check --server`",
    ),
)
def seccomp(environment: Environment) -> Iterator[Problem]:
    for pod in unprivileged_pods(environment):
        for container in pod.containers:
            profile = dig(_setting(pod, container, "seccompProfile"), "type")
            if profile not in ("RuntimeDefault", "Localhost"):
                where = ("securityContext", "seccompProfile", "type")
                yield container.problem("has no seccomp profile", *where, to="RuntimeDefault")


@rule(
    "pod-security/read-only-root",
    why="a writable root lets an intruder stay, and hides what the program really writes",
    fix="set readOnlyRootFilesystem: true and mount an emptyDir where it writes",
    references=("NSA/CISA C-0017",),
    like=("kube-linter no-read-only-root-fs",),
)
def read_only_root(environment: Environment) -> Iterator[Problem]:
    for pod in unprivileged_pods(environment):
        for container in pod.containers:
            key = "readOnlyRootFilesystem"
            if container.dig("securityContext", key) is not True:
                yield container.problem("has a writable root", "securityContext", key, to=True)


@rule(
    "pod-security/host",
    why="the node's network, processes, ports and files belong to the node; GPUs come by device "
    "plugin, storage by claim",
    fix="remove hostNetwork, hostPID, hostIPC, hostPort and every volume of the node's own",
    references=(
        "PSS baseline: Host Namespaces",
        "PSS baseline: Host Ports",
        "PSS restricted: Volume Types",
        "NSA/CISA C-0038",
        "NSA/CISA C-0041",
        "NSA/CISA C-0044",
    ),
    like=(
        "kube-linter host-network",
        "Pod Security baseline",
        "`check --server`",
    ),
)
def host(environment: Environment) -> Iterator[Problem]:
    for pod in unprivileged_pods(environment):
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(key):
                yield pod.problem(f"uses the node's {key.removeprefix('host')}", key, to=REMOVED)
        for index, volume in enumerate(items(pod.spec, "volumes")):
            for kind in sorted(set(mapping(volume)) - {"name"} - _VOLUMES):
                yield pod.problem(f"volume of type {kind}", "volumes", index, kind)
        for container in pod.containers:
            for index, port in enumerate(items(container.value, "ports")):
                if dig(port, "hostPort"):
                    yield container.problem(
                        "opens a port of the node", "ports", index, "hostPort", to=REMOVED
                    )


@rule(
    "pod-security/token",
    why="a stolen token speaks to the API server; these programs never do",
    fix="set automountServiceAccountToken: false for the pod",
    references=("NSA/CISA C-0034", "CIS EKS 4.1.6"),
    like=("checkov CKV_K8S_38",),
)
def token(environment: Environment) -> Iterator[Problem]:
    for pod in unprivileged_pods(environment):
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield pod.problem("mounts an API token", "automountServiceAccountToken", to=False)
