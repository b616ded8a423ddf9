"""The GPUs: offered by the nodes, and visible in the pods that request them."""

from harness.core.values import Value, dig, text
from harness.kubernetes import kinds
from harness.smoke.check import Need, check
from harness.smoke.target import Cluster
from harness.smoke.torchserve import TorchServe

_RESOURCE = "nvidia.com/gpu"
_LABEL = "nvidia.com/gpu.present=true"
_PLUGIN = "app.kubernetes.io/name=nvidia-device-plugin"


@check(Need.GPU, then="{kubectl} describe nodes -l nvidia.com/gpu.present=true")
def test_nodes_offer_their_gpus(cluster: Cluster) -> None:
    nodes = cluster.api.list_all(kinds.NODE, labels=_LABEL)
    assert nodes, f"no node has the label {_LABEL}"
    offered = {text(node, "metadata", "name"): _gpus(node) for node in nodes}
    without = [name for name, gpus in offered.items() if not gpus]
    assert not without, f"{', '.join(without)}: no {_RESOURCE} is allocatable"
    requested = sum(server.gpus for server in cluster.servers())
    assert sum(offered.values()) >= requested, f"{requested} GPUs are requested: {offered}"


@check(Need.GPU, then="{kubectl} -n nvidia get pods -o wide")
def test_the_device_plugin_is_healthy(cluster: Cluster) -> None:
    sets = cluster.api.list_all(kinds.DAEMON_SET, "nvidia", _PLUGIN)
    scheduled = sum(_count(each, "desiredNumberScheduled") for each in sets)
    nodes = len(cluster.api.list_all(kinds.NODE, labels=_LABEL))
    assert scheduled >= nodes, f"it is meant to run on {scheduled} of {nodes} GPU nodes"
    for each in sets:
        desired = _count(each, "desiredNumberScheduled")
        for what in ("numberReady", "updatedNumberScheduled"):
            name, count = text(each, "metadata", "name"), _count(each, what)
            assert count == desired, f"DaemonSet nvidia/{name}: {what} {count} of {desired}"


@check(Need.GPU, then="{kubectl} -n torchserve exec deploy/{group} -- nvidia-smi")
def test_each_pod_sees_its_gpus(servers: list[TorchServe]) -> None:
    for server in servers:
        lines = server.output_of("nvidia-smi --list-gpus").splitlines()
        visible = sum(line.startswith("GPU ") for line in lines)
        assert server.gpus, f"{server.name} was given no GPU"
        assert visible == server.gpus, f"{server.name} sees {visible} GPUs of {server.gpus}"


def _gpus(node: Value) -> int:
    return int(text(node, "status", "allocatable", _RESOURCE) or 0)


def _count(daemon_set: Value, what: str) -> int:
    count = dig(daemon_set, "status", what)
    return count if isinstance(count, int) else 0
