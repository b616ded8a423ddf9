"""A service of docker compose: its image or its build, its command, and what else it is given."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from harness.core.values import mapping
from harness.core.yamlfile import Document
from harness.importing import docker_run, dockerfile, pods, shell
from harness.importing.source import Remark, Setting, Source

Path_ = tuple[str | int, ...]

_DOLLARS = "\ue002"
_READ = {"image", "build", "command", "entrypoint", "environment", "env_file", "volumes", "gpus"}
_PLACES = {
    "ports": "clients use the gateway, with TLS and tokens, at another address (docs/gateway.md)",
    "expose": "the chart: its ports and paths are the same everywhere",
    "networks": "the chart's networkPolicy: nothing goes out; who has to goes under its egress",
    "depends_on": "not imported: what it calls stays yours, and goes under networkPolicy.egress",
    "links": "not imported: what it calls stays yours, and goes under networkPolicy.egress",
    "healthcheck": "the launcher's /live and /ready (docs/probes.md)",
    "logging": "docs/logging.md: JSON lines, collected on each node",
    "secrets": "docs/secrets.md: a Secret, and the chart's env, envFrom or extraVolumes",
    "configs": "the chart's extraVolumes: a ConfigMap, if a handler reads it",
    "labels": "the chart's podLabels, if something here reads them",
    "user": "uid 1000, as everywhere here",
    "stop_grace_period": "drainSeconds: as long as the longest answer",
    "stop_signal": "the launcher drains after SIGTERM",
    "ulimits": "the nodes': no pod sets them",
    "extra_hosts": "the chart's podSpec.hostAliases",
    "dns": "the chart's podSpec.dnsConfig",
    "ipc": "the chart's sharedMemory",
    "working_dir": "the launcher's working folder",
    "scale": "the chart's replicas",
    "extends": "not followed: `docker compose config > rendered.yaml`, and import that",
    "placement": "the chart's nodeSelector, topologySpread and podSpec",
    "update_config": "the chart's rollout: one pod at a time, proved ready",
    "rollback_config": "Flux goes back to the last release that was ready",
}
_NOTHING = {
    *(
        "container_name",
        "restart",
        "restart_policy",
        "hostname",
        "stdin_open",
        "tty",
        "init",
        "profiles",
        "platform",
    ),
    *("deploy", "pull_policy", "attach", "runtime", "mem_limit", "cpus", "shm_size", "replicas"),
    *("mem_reservation", "memswap_limit", "cpu_count", "device_ids"),
}
_REFUSED = {"privileged", "cap_add", "devices", "network_mode", "pid", "security_opt"}


def builds_torchserve(service: Mapping[str, object]) -> bool:
    """Whether a service is built here: its Dockerfile tells whether it serves."""
    return "build" in service


def read(document: Document, where: Path_, service: Mapping[str, object]) -> Source:
    """How a service is started; nothing, if its Dockerfile starts something else."""
    folder = document.path.parent
    known = dict(docker_run.env_file(folder / ".env"))
    node = _interpolate(service, known)
    assert isinstance(node, dict)  # noqa: S101 - a mapping stays one
    image = str(node.get("image", ""))
    variables = [*_variables(document, where, node, folder)]
    settings = [setting for setting, _ in variables if setting]
    forms = {}
    for key in ("entrypoint", "command"):
        form = node.get(key)
        at = document.at((*where, key))
        if isinstance(form, (str, list)):
            # Compose splits a text into words itself; upstream's entry point joins them again.
            words = dockerfile.split(form) if isinstance(form, str) else map(str, form)
            forms[key] = ([*words], at)
    build = node.get("build")
    build = build if isinstance(build, Mapping) else {"context": str(build)} if build else {}
    arguments = {key: text or "" for _, key, text in pods.variables(build.get("args"))}
    context = folder / str(build.get("context", "."))
    run = dockerfile.Run(
        context=context if build else None,
        target=str(build.get("target", "")),
        arguments=arguments,
        entrypoint=forms.get("entrypoint"),
        command=forms.get("command"),
        variables=tuple(settings),
        mounts=dict(_mounts(node, folder)),
    )
    path = context / str(build.get("dockerfile", "Dockerfile"))
    if build and docker_run.exists(path) and path.is_file():
        source = dockerfile.read(path.read_text(errors="replace"), path, run)
        if not (source.commands or source.problems or docker_run.is_torchserve(image)):
            return Source()
    elif build and not (docker_run.is_torchserve(image) or forms):
        return Source()
    else:
        source = dockerfile.of_image(image, document.at((*where, "image")), run)
    remarks = [remark for _, remark in variables if remark]
    remarks += _remarks(document, where, node)
    return dockerfile.with_remarks(source, remarks, gpus=_gpus(document, where, node))


def _interpolate(node: object, known: Mapping[str, str]) -> object:
    """``${NAME:-default}`` by the file .env and defaults; ``$$`` is a dollar sign."""
    if isinstance(node, Mapping):
        return {key: _interpolate(each, known) for key, each in node.items()}
    if isinstance(node, list):
        return [_interpolate(each, known) for each in node]
    if isinstance(node, str):
        text = shell.expand(node.replace("$$", _DOLLARS), known)
        return text.replace(_DOLLARS, "$")
    return node


def _variables(
    document: Document, where: Path_, node: Mapping[str, object], folder: Path
) -> Iterator[tuple[Setting | None, Remark | None]]:
    files = node.get("env_file")
    for each in files if isinstance(files, list) else [files] if files else []:
        name = str(each.get("path")) if isinstance(each, Mapping) else str(each)
        at = document.at((*where, "env_file"))
        if not docker_run.exists(folder / name):
            why = f"{name} is not here: its variables are unknown → add it as a source"
            yield None, Remark("env_file", why, at, lost=True)
        yield from ((Setting(*pair, at), None) for pair in docker_run.env_file(folder / name))
    for number, key, text in pods.variables(node.get("environment")):
        at = document.at((*where, "environment", number))
        if text is None:
            yield None, Remark(key, "its value is not here (the shell that runs compose)", at)
        else:
            yield Setting(key, text, at), None


def _mounts(node: Mapping[str, object], folder: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """The volumes that are paths of this machine."""
    volumes = node.get("volumes")
    for each in volumes if isinstance(volumes, list) else ():
        if isinstance(each, str):
            target, path = docker_run.mount(each, folder)
        else:
            pair = mapping(each)
            target = PurePosixPath(str(pair.get("target", "")))
            path = folder / str(pair.get("source", ""))
        if str(target) != "." and path != folder and docker_run.exists(path):
            yield target, path


def _gpus(document: Document, where: Path_, node: Mapping[str, object]) -> Setting | None:
    """How many GPUs a service gets."""
    for path, device in _devices(node):
        at = document.at((*where, *path))
        if isinstance(device.get("device_ids"), list):
            return Setting("number_of_gpu", str(len(device["device_ids"])), at)
        if setting := pods.count("number_of_gpu", device.get("count"), at):
            return setting
    for _, key, text in pods.variables(node.get("environment")):
        if key == "NVIDIA_VISIBLE_DEVICES" and text and text not in ("all", "none", "void"):
            at = document.at((*where, "environment"))
            return Setting("number_of_gpu", str(len(text.split(","))), at)
    return pods.count("number_of_gpu", node.get("gpus"), document.at((*where, "gpus")))


def _devices(node: Mapping[str, object]) -> Iterator[tuple[Path_, Mapping[str, list[str]]]]:
    inner: object = node
    path = ("deploy", "resources", "reservations", "devices")
    for key in path:
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    for number, each in enumerate(inner if isinstance(inner, list) else ()):
        if isinstance(each, Mapping) and re.search("gpu|nvidia", str(each)):
            yield (*path, number), each


def _remarks(document: Document, where: Path_, node: Mapping[str, object]) -> Iterator[Remark]:
    deploy = node.get("deploy")
    deploy = deploy if isinstance(deploy, Mapping) else {}
    replicas = deploy.get("replicas") or node.get("scale")
    if replicas:
        yield pods.value("replicas", replicas, document.at((*where, "deploy", "replicas")))
    limits = dict(_limits(node, deploy))
    if limits:
        sizes = {"requests": limits, "limits": {k: v for k, v in limits.items() if k == "memory"}}
        yield pods.value("resources", sizes, document.at(where))
    if size := node.get("shm_size"):
        yield pods.value(
            "sharedMemory", docker_run.quantity(size), document.at((*where, "shm_size"))
        )
    more = {
        key: each for key, each in deploy.items() if key not in ("resources", "replicas", "mode")
    }
    node = {**more, **node}
    for key in (each for each in node if each not in _READ | _NOTHING):
        at = document.at((*where, "deploy", key) if key in more else (*where, key))
        if key in _REFUSED and node[key] not in (False, "bridge", "default"):
            yield Remark(key, "the namespace refuses it (pod security: restricted)", at, lost=True)
        elif not key.startswith("x-") and node[key] is not None:
            yield Remark(key, _PLACES.get(key, "not imported: the chart's podSpec may have it"), at)
    volumes = node.get("volumes")
    for number, each in enumerate(volumes if isinstance(volumes, list) else ()):
        at = document.at((*where, "volumes", number))
        pair = each if isinstance(each, Mapping) else {}
        source, _, target = str(each).partition(":")
        source, target = str(pair.get("source", source)), str(pair.get("target", target))
        why = "settings and archives were read from it; what else a handler reads: extraVolumes"
        if not docker_run.exists(document.path.parent / source):
            why = (
                f"{source} is not here: if archives lie in it, --store FOLDER; what else a handler "
            )
            why += "reads: the chart's extraVolumes"
        yield Remark(f"volume {target}", why, at)


def _limits(node: Mapping[str, object], deploy: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    resources = deploy.get("resources")
    limits = resources.get("limits") if isinstance(resources, Mapping) else None
    limits = limits if isinstance(limits, Mapping) else {}
    if cpus := limits.get("cpus") or node.get("cpus"):
        yield "cpu", str(cpus)
    if memory := limits.get("memory") or node.get("mem_limit"):
        yield "memory", docker_run.quantity(memory)
