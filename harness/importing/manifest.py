"""YAML that starts TorchServe: compose, Kubernetes, KServe, or the values of a Helm chart.

Whatever the schema, a container has ``command`` or ``args``, ``env`` or ``environment``; a text
that is a config.properties is one wherever it stands.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from harness.core.errors import InputError, Location
from harness.core.values import mapping
from harness.core.yamlfile import Document, parse, parse_block
from harness.importing import (
    chart_values,
    command_line,
    compose,
    dockerfile,
    ecs,
    kserve,
    objects,
    pods,
    properties_file,
    volumes,
)
from harness.importing.docker_run import is_torchserve
from harness.importing.files_there import Piece
from harness.importing.keys import KNOWN
from harness.importing.source import Remark, Setting, Source, join
from harness.importing.volumes import Pod

_PROPERTY = re.compile(rf"^\s*({'|'.join(sorted(KNOWN))})\s*[=:]", re.MULTILINE)
_KEYS = ("command", "args", "entrypoint", "entryPoint", "image", "env", "build")
_VARIABLES = ("env", "environment", "extraEnv", "extraEnvVars", "environment_variables")
_OWN_KEYS = {key for key in KNOWN if "_" in key}  # not version, models, debug
_FEWEST = 2  # keys of config.properties in a mapping that is one

Path_ = tuple[str | int, ...]


def read(text: str, path: Path) -> Source:
    """Read every document of a file.

    Raises:
        InputError: it is not YAML, or starts more than one TorchServe.
    """
    documents = parse(text, path)
    maps = dict(_config_maps(documents))
    starts: list[Location] = []
    source = join([_read(document, maps, starts) for document in documents])
    if len(starts) > 1:
        lines = ", ".join(str(each.line) for each in starts)
        raise InputError(
            f"{len(starts)} containers start TorchServe, in the lines {lines}",
            at=path,
            hint="an import makes one group: give each in a file of its own (docs/groups.md)",
        )
    return source


def _config_maps(documents: Sequence[Document]) -> Iterator[tuple[str, dict[str, Piece]]]:
    """The texts of each ConfigMap, by its name."""
    for document in documents:
        for where, each in _mappings(document.value):
            texts, metadata = each.get("data"), each.get("metadata")
            if each.get("kind") == "ConfigMap" and isinstance(texts, Mapping):
                name = str(metadata.get("name")) if isinstance(metadata, Mapping) else ""
                yield (
                    name,
                    {
                        str(key): Piece(
                            pods.plain(node), _text_at(document, (*where, "data", key), node)
                        )
                        for key, node in texts.items()
                    },
                )


def _text_at(document: Document, where: Path_, node: object) -> Location:
    """Where a text begins: behind its key, or on the next line."""
    line = (document.at(where).line or 1) + ("\n" in str(node))
    return Location(document.path, line)


def _read(
    document: Document, maps: Mapping[str, Mapping[str, Piece]], starts: list[Location]
) -> Source:
    """Read a document; ``starts`` gets the place of each container that serves."""
    parts, paths = [], list[Path_]()
    for where, each in _mappings(document.value):
        if _is_container(each) and _serves(each, where):
            parts.append(_container(document, where, each, maps))
            paths += [where] if parts[-1] != Source() else []
            if parts[-1].commands and not kserve.is_runtime(document.value):
                starts.append(document.at(where))
        for key, node in each.items():
            if isinstance(node, str) and _PROPERTY.search(node) and _is_file(str(key), node):
                first = _text_at(document, (*where, key), node).line or 1
                parts.append(properties_file.parse(node, document.path, first))
            elif isinstance(node, str) and key == "values" and "\n" in node:
                inner = parse_block(node, document.at((*where, key)))
                parts += [_read(block, maps, starts) for block in inner]
            elif isinstance(node, Mapping) and len(_OWN_KEYS & node.keys()) >= _FEWEST:
                parts.append(_as_mapping(document, (*where, key), node))
    if isinstance(document.value, Mapping):
        parts.append(_beside(document, document.value, paths))
    return join(parts)


def _as_mapping(document: Document, where: Path_, node: Mapping[str, object]) -> Source:
    """A config.properties whose keys a chart has as YAML."""
    settings = tuple(
        Setting(str(key), pods.plain(each), document.at((*where, key)))
        for key, each in node.items()
    )
    return Source(properties=settings)


def _beside(document: Document, node: Mapping[str, object], paths: Sequence[Path_]) -> Source:
    """What a document says besides how its containers start; ``paths`` are those that serve."""
    remarks: list[Remark] = []
    if objects.is_object(node):
        for where, each in _mappings(node):
            if objects.is_object(each) and (where == () or where[0] == "items"):
                serves = any(path[: len(where)] == where for path in paths)
                remarks += objects.remarks(replace_root(document, where), each, serves=serves)
    elif not isinstance(node.get("services"), Mapping) and "containerDefinitions" not in node:
        return chart_values.read(document, node, serves=bool(paths))
    return Source(remarks=tuple(remarks))


def replace_root(document: Document, where: Path_) -> Document:
    """A document whose root is a part of another one."""
    size = len(where)
    lines = {key[size:]: line for key, line in document.lines.items() if key[:size] == where}
    return replace(document, lines=lines) if where else document


def _is_file(key: str, node: str) -> bool:
    return "\n" in node.strip() or key.endswith((".properties", ".cfg"))


def _mappings(node: object, where: Path_ = ()) -> Iterator[tuple[Path_, Mapping[str, object]]]:
    if isinstance(node, Mapping):
        yield where, node
        for key, each in node.items():
            yield from _mappings(each, (*where, key))
    elif isinstance(node, list):
        for number, each in enumerate(node):
            yield from _mappings(each, (*where, number))


def _is_container(node: Mapping[str, object]) -> bool:
    return kserve.is_model(node) or any(key in node for key in _KEYS)


def image(container: Mapping[str, object]) -> str:
    """The image of a container, or of a chart's values."""
    node = container.get("image")
    if isinstance(node, Mapping):
        node = "/".join(str(node[key]) for key in ("registry", "repository") if node.get(key))
    return node if isinstance(node, str) else ""


def _serves(container: Mapping[str, object], where: Path_) -> bool:
    if "initContainers" in where or not kserve.may_serve(container, where):
        return False
    words = [
        word
        for key in ("entrypoint", "entryPoint", "command", "args")
        for word in split(container.get(key))
    ]
    if words[:1] == ["torch-model-archiver"]:
        return False
    return (
        command_line.is_start(words)
        or is_torchserve(image(container))
        or kserve.is_model(container)
        or (where[:1] == ("services",) and compose.builds_torchserve(container))
    )


def _container(
    document: Document,
    where: Path_,
    container: Mapping[str, object],
    maps: Mapping[str, Mapping[str, Piece]],
) -> Source:
    """How a container is started, and what else it is given."""
    if len(where) == 2 and where[0] == "services":
        return compose.read(document, where, container)
    is_model = kserve.is_model(container)
    key = next((k for k in ("args", "command", *_KEYS) if k in container), "")
    at = document.at((*where, key) if key else where)
    variables, remarks = _environment(document, where, container, maps)
    pod = _pod_of(document.value, where)
    texts = dict(_mounts(pod, container, maps))
    entry = split(container.get("command") or container.get("entryPoint"))
    words = split(container.get("args"))
    if "entryPoint" in container:  # of ECS, whose command is what Kubernetes calls args
        entry, words = split(container["entryPoint"]), split(container.get("command"))
    if is_model and not command_line.is_start([*entry, *words]):
        variables += kserve.variables(document, where, container, variables)
        source = command_line.parse_words([*kserve.COMMAND, *words], at)
        source = replace(source, variables=tuple(variables))
    else:
        run = dockerfile.Run(
            entrypoint=(entry, at) if entry else None,
            command=(words, at) if words or entry else None,
            variables=tuple(variables),
            texts=texts,
        )
        source = dockerfile.of_image(image(container), at, run)
    if pod is not None:
        left = {**container, "envFrom": _unread(container, maps)}
        remarks += _pod(document, where, pod, left, source)
    elif where[:1] == ("containerDefinitions",):
        remarks += ecs.remarks(document, where, container)
    gpus = _gpus(document, where, container)
    return replace(source, remarks=(*source.remarks, *remarks), gpus=gpus)


def _unread(
    container: Mapping[str, object], maps: Mapping[str, Mapping[str, Piece]]
) -> list[Mapping[str, object]]:
    """The ConfigMaps and Secrets with variables that are not in this file."""
    return [
        each
        for each in pods.mappings(container.get("envFrom"))
        if str(mapping(each.get("configMapRef")).get("name")) not in maps
    ]


def _gpus(document: Document, where: Path_, container: Mapping[str, object]) -> Setting | None:
    """The GPUs of a container: Kubernetes' limits, ECS' requirements, or compose's reservations."""
    for path, each in _mappings(container, where):
        if path[-1:] == ("limits",) and (gpu := pods.gpus(each)):
            return pods.count("number_of_gpu", gpu[1], document.at((*path, gpu[0])))
        is_gpu = re.search("gpu|nvidia", str(each), re.IGNORECASE)
        for key in ("count", "value") if is_gpu else ():
            if key in each and path[-2:-1] in (("devices",), ("resourceRequirements",)):
                return pods.count("number_of_gpu", each[key], document.at((*path, key)))
    return None


def _pod_of(node: object, where: Path_) -> tuple[Path_, Mapping[str, object]] | None:
    """The pod spec around a container, with its path."""
    for size in range(len(where) - 1, -1, -1):
        inner = node
        for key in where[:size]:
            inner = inner[key]  # type: ignore[index]
        if isinstance(inner, Mapping) and where[size] in ("containers", "model", "pytorch"):
            return where[:size], inner
    return None


def _pod(
    document: Document,
    where: Path_,
    pod: tuple[Path_, Mapping[str, object]],
    container: Mapping[str, object],
    source: Source,
) -> Iterator[Remark]:
    """Everything else of a pod, and of what makes it."""
    path, spec = pod
    command = source.commands[0] if source.commands else None
    store = next((each.value for each in source.properties if each.key == "model_store"), "")
    store = (command.model_store or store if command else store).rstrip("/")
    config = command.config if command else ""
    whole = Pod(path, spec, container, config, store or "/home/model-server/model-store")
    if "resources" in container:
        yield from pods.resources(container["resources"], document.at((*where, "resources")))
    if path[-1:] == ("predictor",) or kserve.is_model(container):
        yield from kserve.remarks(document, path, spec, container)
    else:
        yield from pods.pod(document, path, spec)
        yield from pods.workload(document, path)
    if not kserve.is_model(container):
        yield from pods.container(document, where, container)
    yield from _containers(document, whole, where)
    yield from volumes.remarks(document, whole)


def _containers(document: Document, pod: Pod, where: Path_) -> Iterator[Remark]:
    """The other containers of a pod; one that fills the model store first has no work left."""
    for key, place in (("initContainers", "initContainers"), ("containers", "sidecars")):
        listed = pod.spec.get(key)
        others: list[object] = []
        for number, each in enumerate(listed if isinstance(listed, list) else ()):
            at = document.at((*pod.where, key, number))
            if key == "initContainers" and volumes.fills_store(pod, each):
                why = "the sync Job brings the archives: give what it fetches with --store, once"
                name = each.get("name", "") if isinstance(each, Mapping) else ""
                yield Remark(f"initContainer {name}", why, at)
            elif (*pod.where, key, number) != where:
                others.append(each)
        if others:
            at = document.at((*pod.where, key))
            yield pods.value(place, volumes.beside(pod, others), at)


def _mounts(
    pod: tuple[Path_, Mapping[str, object]] | None,
    container: Mapping[str, object],
    maps: Mapping[str, Mapping[str, Piece]],
) -> Iterator[tuple[PurePosixPath, tuple[Piece, ...]]]:
    """The texts of ConfigMaps of this file that are mounted into a container."""
    sources = {
        str(each.get("name")): str(mapping(each.get("configMap")).get("name"))
        for each in pods.mappings(pod[1].get("volumes") if pod else None)
    }
    for mount in pods.mappings(container.get("volumeMounts")):
        texts = maps.get(sources.get(str(mount.get("name")), ""), {})
        for key, piece in texts.items():
            target = PurePosixPath(str(mount.get("mountPath", "/")))
            if mount.get("subPath"):
                if mount["subPath"] == key:
                    yield target, (piece,)
            else:
                yield target / key, (piece,)


def _environment(
    document: Document,
    where: Path_,
    container: Mapping[str, object],
    maps: Mapping[str, Mapping[str, Piece]],
) -> tuple[list[Setting], list[Remark]]:
    variables, remarks = [], []
    for each in pods.mappings(container.get("envFrom")):
        name = mapping(each.get("configMapRef")).get("name")
        for key, piece in maps.get(str(name), {}).items():
            variables.append(Setting(key, piece.text, piece.at))
    for name in _VARIABLES:
        for number, variable, node in pods.variables(container.get(name)):
            at = document.at((*where, name, number))
            if variable == "STORAGE_URI":
                remarks.append(kserve.storage(variable, at))
            elif node is None:
                remarks.append(Remark(variable, "its value is not here (a Secret, a field)", at))
            elif "{{" in node:
                why = f"KServe or Helm fills it in: add {variable}=VALUE as a source"
                remarks.append(Remark(variable, why, at))
            else:
                variables.append(Setting(variable, node, at))
    return variables, remarks


def split(node: object) -> list[str]:
    """The words of a command, whether a text or a list."""
    if isinstance(node, str):
        try:
            return shlex.split(node)
        except ValueError:
            return node.split()
    return [str(each) for each in node] if isinstance(node, list) else []


def is_yaml(text: str, path: Path) -> bool:
    """Whether a text is YAML with a mapping in it."""
    try:
        return any(isinstance(document.value, dict) for document in parse(text, path))
    except InputError:
        return False
