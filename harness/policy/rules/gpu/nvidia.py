"""NVIDIA's own parts: one device plugin, on every GPU node, and no GPU that is shared."""

from collections.abc import Iterator

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.facts import eks
from harness.policy.facts.graph import chart
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render.rendered import Environment

_PLUGINS = ("nvidia-device-plugin", "gpu-operator")
_CONFIGS = (("config", "name"), ("devicePlugin", "config", "name"))
_SHARING = ("timeSlicing", "mps:", "'mps'", "renameByDefault")


@rule(
    "nvidia/one-plugin",
    why="without a device plugin no node has a GPU; two of them register the same one twice",
    fix="keep one HelmRelease of nvidia-device-plugin or gpu-operator",
)
def one_plugin(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        releases = cluster.environment.of("HelmRelease")
        plugins = [release for release in releases if chart(release) in _PLUGINS]
        for group in cluster.groups:
            if group.gpus and not plugins:
                yield group.problem("has GPUs, but nothing installs a device plugin")
        for release in plugins[1:]:
            yield problem(release, f"{plugins[0].name} is a device plugin already", "spec", "chart")


@rule(
    "nvidia/on-gpu-nodes",
    why="DCGM's chart tolerates no GPU taint by itself: its pods never reach the GPUs they measure",
    fix="give the release's values the toleration and the nodeSelector of the GPU node group",
)
def on_gpu_nodes(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        taints = [taint for group in cluster.groups if group.gpus for taint in group.taints]
        for release in cluster.environment.of("HelmRelease"):
            tolerations = items(release.value, "spec", "values", "tolerations")
            if chart(release) == "dcgm-exporter" and not all(
                any(eks.tolerates(each, taint) for each in tolerations) for taint in taints
            ):
                message = "does not tolerate the taint of the GPU nodes"
                yield problem(release, message, "spec", "values", "tolerations")


@rule(
    "nvidia/not-shared",
    why="time slicing and MPS isolate neither memory nor faults: one model's crash is everyone's",
    fix="remove the sharing configuration; a smaller model needs a smaller GPU, or MIG",
)
def no_gpu_sharing(environment: Environment) -> Iterator[Problem]:
    for release in environment.of("HelmRelease"):
        if chart(release) not in _PLUGINS:
            continue
        where = ("spec", "values")
        if any(word in str(release.dig(*where)) for word in _SHARING):
            yield problem(release, "shares GPUs", *where)
        # The chart's own recipe: values name a ConfigMap of the chart's namespace.
        for path in _CONFIGS:
            named = environment.find("ConfigMap", text(release.value, *where, *path))
            if named and any(word in str(named.dig("data")) for word in _SHARING):
                message = f"shares GPUs, by {named}"
                yield problem(release, message, *where, *path, to=REMOVED)
