"""GPUs: whole, asked for in the one form that schedules, and all of them used."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from harness.core.fix import NOTHING, REMOVED, set_at
from harness.core.problem import Problem
from harness.core.values import dig, items, text
from harness.policy.facts.pods import WORKLOADS, pod
from harness.policy.facts.serving import Server, servers
from harness.policy.project import Project
from harness.policy.rule import rule
from harness.render.objects import Object
from harness.render.rendered import Environment


@rule(
    "gpu/whole",
    why="the device plugin hands out whole GPUs, and strict schemas refuse the bare number",
    fix='write nvidia.com/gpu: "1" (or nvidia.com/mig-1g.5gb: "1"): a whole number in quotes',
    kinds=WORKLOADS,
    like=("the API server",),
)
def whole(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        wrong = [
            (("resources", kind, name), value)
            for kind in ("requests", "limits")
            for name, value in container.gpus(kind).items()
            if not (isinstance(value, str) and value.isdecimal())
        ]
        for path, value in wrong[:1]:
            message = f"{path[-1]}: {value} is not a quoted whole number"
            fixes = (
                set_at(container.owner.at(*container.path, *each), str(number))
                for each, number in wrong
            )
            yield container.problem(message, *path, fix=sum(fixes, NOTHING))


@rule(
    "gpu/limits-equal-requests",
    why="an extended resource cannot be overcommitted: the API server refuses the pod",
    fix="set limits and requests of nvidia.com/gpu to the same number",
    references=("NSA/CISA C-0271",),
    kinds=WORKLOADS,
    like=("the API server",),
)
def limits_equal_requests(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        limits, requests = container.gpus("limits"), container.gpus("requests")
        for name in sorted(limits.keys() | requests.keys()):
            limit, request = limits.get(name), requests.get(name)
            if str(limit) != str(request):
                message = f"requests {request} of {name}, but its limit is {limit}"
                yield container.problem(message, "resources")


@rule(
    "gpu/visible-devices",
    why="NVIDIA_VISIBLE_DEVICES and LD_PRELOAD go around the device plugin: the pod sees GPUs "
    "that belong to others",
    fix="remove the variable and ask for nvidia.com/gpu",
    references=("NSA/CISA C-0055",),
    kinds=WORKLOADS,
)
def visible_devices(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for index, variable in enumerate(items(container.value, "env")):
            if text(variable, "name") in ("NVIDIA_VISIBLE_DEVICES", "LD_PRELOAD"):
                message = f"sets {text(variable, 'name')}"
                yield container.problem(message, "env", index, to=REMOVED)


@rule(
    "gpu/shared-memory",
    why="PyTorch's workers share tensors through /dev/shm, which is 64 MiB unless mounted",
    fix="mount an emptyDir {medium: Memory, sizeLimit: …} at /dev/shm",
)
def shared_memory(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        _, mount = server.container.mount("/dev/shm") or (0, {})  # noqa: S108
        _, volume = server.pod.volume(text(mount, "name")) or (0, {})
        if dig(volume, "emptyDir", "medium") != "Memory":
            yield server.container.problem("has no /dev/shm in memory", "volumeMounts")


@rule(
    "gpu/number-of-gpu",
    why="TorchServe spreads its workers over number_of_gpu: too few leave a paid GPU idle, "
    "too many are dropped without a word",
    fix="write one number: `gpus` in the HelmRelease's values is what a pod gets, numberOfGpu in "
    "serving.yaml what TorchServe uses of it (then `make snapshot`); both 0 is a pod on CPUs",
)
def number_of_gpu(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        for server in servers(environment):
            gpus, setting = server.pod.gpus, server.setting("number_of_gpu") or "0"
            if setting != str(gpus):
                message = f"number_of_gpu is {setting}, but the pod has {gpus}"
                mismatch = server.problem(message, "number_of_gpu")
                yield dataclasses.replace(mismatch, **_correction(project, server))


def _correction(project: Project, server: Server) -> dict[str, Any]:
    """Where somebody has written one of the two numbers, and the other one for it.

    What the release gives comes first: it is the one that differs from the chart's own.
    """
    setting = server.setting("number_of_gpu") or "0"
    owner = server.pod.owner.owner
    release = server.environment.find("HelmRelease", owner.name, owner.namespace)
    if release and release.dig("spec", "values", "gpus") is not None:
        at = release.at("spec", "values", "gpus")
        return {"location": at, "fix": set_at(at, int(setting)) if setting.isdecimal() else NOTHING}
    path = f"apps/torchserve/{server.environment.name}/{server.group}/serving.yaml"
    for document in project.documents(path):
        if dig(document.value, "server", "numberOfGpu") is not None:
            at = document.at(("server", "numberOfGpu"))
            return {"location": at, "fix": set_at(at, server.pod.gpus)}
    return {}
