"""What is done to real pods while requests are on their way to them.

Each gets the pods, the watch and the values of the release that runs, and marks when it did what.
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds, reconciliation, status
from harness.local_cluster.real import gateway
from harness.local_cluster.real.components import PAUSE
from harness.policy.facts.quantity import number
from tests.e2e.timeline import Timeline
from tests.real import faults, second_group, store
from tests.real.load import certificate_of
from tests.real.pods import SERVERS, Pods
from tests.real.probes import Probes
from tests.real.watch import Watch
from tests.support.processes import eventually

Values = Mapping[str, object]
Disturb = Callable[[Pods, Watch, Values], None]

QUIET = 10.0  # seconds before something is done, and after
_UNREADY = 45.0  # seconds with a pod that never gets ready: it has crashed more than once by then
_SECONDS = 240.0
_CHART = "apps/torchserve/chart"
_PRIORITIES = {"batch": 1_000, "urgent": 1_000_000}  # below and above that of what serves
PATIENT = Path(__file__).with_name("patient_handler.py")
_NO_HANDLER = Path(__file__).parents[1] / "e2e" / "no_handler.py"


def _uids(pods: Pods) -> set[str]:
    return {text(each, "metadata", "uid") for each in pods.servers()}


def roll(pods: Pods, watch: Watch, values: Values) -> None:
    """A version of the model, then a setting, and each of them back."""
    with watch.during("a new version"):
        pods.sync(pods.release("2.0", values))
    watch.quiet(QUIET)
    with watch.during("a setting"):
        pods.sync(pods.release("2.0", {**values, "sharedMemory": "128Mi"}))
    watch.quiet(QUIET)
    with watch.during("setting back"):
        pods.revert()
    watch.quiet(QUIET)
    with watch.during("version back"):
        pods.sync(pods.release("1.0", values))


def version(pods: Pods, watch: Watch, values: Values) -> None:
    """A version of the model, and back."""
    with watch.during("a new version"):
        pods.sync(pods.release("2.0", values))
    watch.quiet(QUIET)
    with watch.during("version back"):
        pods.revert()


def patient_version(pods: Pods, watch: Watch, values: Values) -> None:
    """The same of a model that takes 20 s for an answer."""
    with watch.during("a new version"):
        pods.sync(pods.release("3.1", values, handler=PATIENT))
    watch.quiet(QUIET)
    with watch.during("version back"):
        pods.revert()


def image(pods: Pods, watch: Watch, values: Values) -> None:
    """Another image, and back."""
    with watch.during("another image"):
        pods.sync(pods.release(values={**values, "image": {"digest": pods.images.other}}))
    watch.quiet(QUIET)
    with watch.during("image back"):
        pods.revert()


def chart(pods: Pods, watch: Watch, values: Values) -> None:
    """Another chart, whose pods have an annotation more, and back."""
    bare, template = pods.cluster.bare, f"{_CHART}/templates/deployment.yaml"
    line = "        torchserve/log-level: {{ .Values.logs.level }}\n"
    before = bare.read(template)
    after = before.replace(line, f"{line}        harness.local/chart: next\n")
    assert after != before
    about = f"{_CHART}/Chart.yaml"
    version = next(x for x in bare.read(about).splitlines() if x.startswith("version: "))
    newer = bare.read(about).replace(version, f"{version}-next")
    with watch.during("another chart"):
        pods.sync({template: after, about: newer})
    watch.quiet(QUIET)
    with watch.during("chart back"):
        pods.revert()


def scale(pods: Pods, watch: Watch, values: Values) -> None:
    """Two pods more, and two fewer."""
    for replicas in (4, 2):
        with watch.during(f"{replicas} pods"):
            pods.sync(pods.release(values={**values, "replicas": replicas}))
        watch.quiet(QUIET)


def drain(pods: Pods, watch: Watch, values: Values) -> None:
    """The servers of a node are drained from it."""
    with watch.during("node-1 is drained"):
        pods.kubectl("drain", "node-1", f"--pod-selector={SERVERS}", "--delete-emptydir-data")
        pods.settle()
    pods.kubectl("uncordon", "node-1")


def evict(pods: Pods, watch: Watch, values: Values) -> None:
    """A pod wants the room that a server has: batch work in vain, one of a higher priority not."""
    # Of pods with the same priority the youngest goes: these, not the proxies.
    with watch.during("a new version"):
        pods.sync(pods.release("2.0", values))
    watch.quiet(QUIET)
    api, before = pods.cluster.api, _uids(pods)
    proxies_before = _uids_of_proxies(pods)
    node = text(pods.servers()[0], "spec", "nodeName")
    with watch.during("batch work waits"):
        api.create(_greedy(pods, node, "batch"))
        watch.quiet(QUIET)
        api.delete(kinds.POD, "batch", "default", seconds=0)
    assert (_uids(pods), _uids_of_proxies(pods)) == (before, proxies_before)
    with watch.during("a server is evicted"):
        api.create(_greedy(pods, node, "urgent"))
        eventually(lambda: before - _uids(pods), _SECONDS)
        pods.settle()
    api.delete(kinds.POD, "urgent", "default", seconds=0)


def _uids_of_proxies(pods: Pods) -> set[str]:
    return {text(each, "metadata", "uid") for each in _pods_of_proxies(pods)}


def _nodes_of_proxies(pods: Pods) -> set[str]:
    return {text(each, "spec", "nodeName") for each in _pods_of_proxies(pods)}


def _pods_of_proxies(pods: Pods) -> list[Value]:
    return pods.cluster.api.list_all(kinds.POD, gateway.NAMESPACE, gateway.PROXIES)


def _greedy(pods: Pods, node: str, priority: str) -> Value:
    """A pod that fits on a node once a server has gone, and not before."""
    api = pods.cluster.api
    api.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": priority},
            "value": _PRIORITIES[priority],
        }
    )
    allocatable = number(dig(api.get(kinds.NODE, node), "status", "allocatable", "cpu"), 0)
    others = sum(
        number(dig(container, "resources", "requests", "cpu"), 0)
        for each in api.list_all(kinds.POD)
        if text(each, "spec", "nodeName") == node
        and text(each, "metadata", "labels", "app.kubernetes.io/component") != "server"
        for container in (
            *items(each, "spec", "containers"),
            *items(each, "spec", "initContainers"),
        )
    )
    container: Value = {
        "name": "pause",
        "image": PAUSE,
        "imagePullPolicy": "Never",
        "resources": {"requests": {"cpu": f"{int(1000 * (allocatable - others))}m"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": priority, "namespace": "default"},
        "spec": {
            "priorityClassName": priority,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }


def never_ready(pods: Pods, watch: Watch, values: Values) -> None:
    """A version whose pods never get ready; then it is taken back."""
    before = _uids(pods)
    with watch.during("a version that never gets ready"):
        pods.cluster.bare.commit(pods.release("9.1", values, handler=_NO_HANDLER), "A bad version")
        pods.request()
        watch.quiet(_UNREADY)
        now = _uids(pods)
    with watch.during("back"):
        commit = pods.undo()
        pods.request()
        pods.cluster.api.wait_for(kinds.HELM_RELEASE, _takes_the_next, seconds=_SECONDS)
        # Else the bad upgrade has its 40 minutes first (docs/promotion.md, A fix that waits).
        pods.cluster.kill("helm-controller")
        pods.follow(commit)
    assert values or before < now, "the new pod is there, and the old ones are"
    assert values or _uids(pods) == before


def _takes_the_next(releases: list[Value]) -> bool:
    """Whether an upgrade has ended, or holds up what a newer commit asks for."""
    return any(status.is_overtaken(each) or reconciliation.ready(each) for each in releases)


def group(pods: Pods, watch: Watch, values: Values) -> None:
    """Another group comes, answers, and goes again: the first group's pods stay."""
    before = _uids(pods)
    with watch.during("another group comes"):
        pods.sync(second_group.files(pods))
        second_group.wait(pods)
        watch.quiet(2)  # from the gateway to its proxies
    with pods.load(5, 4 * QUIET, second_group.MODEL) as other:
        other.quiet(QUIET)
    assert other.losses() == {}, other.why()
    with watch.during("the other group goes"):
        pods.revert()
    assert _uids(pods) == before


def flux(pods: Pods, watch: Watch, values: Values) -> None:
    """Flux's controllers are killed in the middle of an upgrade."""
    _interrupt(pods, watch, values, "source-controller", "kustomize-controller", "helm-controller")


def api_server(pods: Pods, watch: Watch, values: Values) -> None:
    """The API server is killed in the middle of an upgrade."""
    _interrupt(pods, watch, values, "kube-apiserver")


def _interrupt(pods: Pods, watch: Watch, values: Values, *names: str) -> None:
    with watch.during(f"{len(names)} killed in an upgrade"):
        commit = pods.cluster.bare.commit(pods.release("2.0", values), "A change")
        pods.request()
        eventually(lambda: len(pods.servers()) > 2, _SECONDS)
        state = pods.cluster.state
        for name in names:
            pods.cluster.kill(name)
        restarts = {name: state.components[name].restarts for name in names}
        pods.cluster.wait_for(
            lambda now: all(now.components[name].restarts > restarts[name] for name in names)
        )
        pods.cluster.wait_for(lambda now: now.ready)
        pods.follow(commit)


def gateway_controller(pods: Pods, watch: Watch, values: Values) -> None:
    """Envoy Gateway is killed in the middle of an upgrade: the proxies learn of new pods late."""
    with watch.during("a new version, its controller killed"):
        commit = pods.cluster.bare.commit(pods.release("2.0", values), "A change")
        pods.request()
        eventually(lambda: len(pods.servers()) > 2, _SECONDS)
        controller = ("--selector=control-plane=envoy-gateway", "--grace-period=0", "--force")
        pods.kubectl("delete", "pod", f"--namespace={gateway.NAMESPACE}", *controller)
        pods.follow(commit)


def proxies(pods: Pods, watch: Watch, values: Values) -> None:
    """The two proxies are replaced one after the other."""
    where, before = f"--namespace={gateway.NAMESPACE}", _uids_of_proxies(pods)
    with watch.during("the proxies are replaced"):
        pods.kubectl("rollout", "restart", "deployment", where, f"--selector={gateway.PROXIES}")
        pods.kubectl(
            "rollout",
            "status",
            "deployment",
            where,
            f"--selector={gateway.PROXIES}",
            "--timeout=4m",
        )
        eventually(lambda: not before & _uids_of_proxies(pods), _SECONDS)


def certificate(pods: Pods, watch: Watch, values: Values) -> None:
    """The certificate's Secret gets another one, twice."""
    where = ("127.0.0.1", pods.cluster.ports.gateway, pods.entrance.host)
    for what in ("another certificate", "and another"):
        with watch.during(what):
            expected = ssl.PEM_cert_to_DER_cert(gateway.certify(pods.cluster.api))
            eventually(lambda expected=expected: certificate_of(*where) == expected, _SECONDS)  # type: ignore[misc]
        watch.quiet(QUIET)


def kill(victim: str) -> Disturb:
    """The first process of a server whose command line has this text is killed."""

    def disturb(pods: Pods, watch: Watch, values: Values) -> None:
        with watch.during(f"kill -9 of {victim}"):
            pods.kill(victim)
            watch.quiet(QUIET)  # before a probe can say so
            pods.settle()

    return disturb


def eat_memory(pods: Pods, watch: Watch, values: Values) -> None:
    """A worker eats all memory of its container, and the kernel kills it."""
    name = faults.first(pods)
    with watch.during("a worker is out of memory"):
        status, _ = Probes(pods, Timeline()).predict(name, "eat memory")
        assert status != 200, "it had memory enough"
        watch.quiet(QUIET)  # before a probe can say so
        pods.settle()


def hang_store(pods: Pods, watch: Watch, values: Values) -> None:
    """The store of models answers nobody."""
    with watch.during("the store hangs"), store.hang(pods):
        watch.quiet(3 * QUIET)


def kill_pod(pods: Pods, watch: Watch, values: Values) -> None:
    """A pod is deleted without any grace."""
    name = text(pods.servers()[0], "metadata", "name")
    with watch.during("a pod is killed"):
        pods.kubectl("delete", "pod", name, "--namespace=torchserve", "--grace-period=0", "--force")
        pods.settle()


def kill_kubelet(pods: Pods, watch: Watch, values: Values) -> None:
    """A node's kubelet is killed; its supervisor starts it again."""
    with watch.during("kill -9 of a kubelet"):
        pods.kill_component("kubelet", "node-1")
        watch.quiet(QUIET)
        pods.settle()


def kill_node(pods: Pods, watch: Watch, values: Values) -> None:
    """A node loses its power: server, proxy and kubelet at once. Later it comes back."""
    if "node-1" not in _nodes_of_proxies(pods):  # the row before has left both on the other one
        proxies(pods, watch, values)
    assert "node-1" in _nodes_of_proxies(pods)
    with watch.during("a node is down"), pods.cluster.hold("node-1", _SECONDS):
        eventually(lambda: not _is_ready(pods, "node-1"), _SECONDS)
        watch.quiet(2 * QUIET)
    with watch.during("it comes back"):
        pods.settle()


def _is_ready(pods: Pods, node: str) -> bool:
    conditions = items(pods.cluster.api.get(kinds.NODE, node), "status", "conditions")
    return any(
        text(each, "type") == "Ready" and text(each, "status") == "True" for each in conditions
    )
