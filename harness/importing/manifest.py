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
from harness.core.yamlfile import Document, parse
from harness.importing import command_line, files_there, properties_file
from harness.importing.docker_run import is_torchserve
from harness.importing.files_there import Files
from harness.importing.keys import KNOWN
from harness.importing.source import Remark, Setting, Source, join

_PROPERTY = re.compile(rf"^\s*({'|'.join(sorted(KNOWN))})\s*[=:]", re.MULTILINE)
_CHARTS = {
    "replicas": "replicas",
    "minReplicas": "autoscaling.minReplicas",
    "maxReplicas": "autoscaling.maxReplicas",
    "resources": "resources",
    "nodeSelector": "nodeSelector",
    "tolerations": "tolerations",
    "serviceAccountName": "serviceAccount.name",
}
"""What pods are given, and the chart's value for it; the import writes none of them."""

_UPSTREAM = "torchserve_image"  # a value that TorchServe's own chart alone has
_UPSTREAMS_COMMAND = (
    "torchserve --start --model-store /home/model-server/shared/model-store/ "
    "--ts-config /home/model-server/shared/config/config.properties"
)
"""Written in its template, whatever the values are."""
_UPSTREAMS_PODS = ("n_cpu", "memory_limit", "memory_request")
_UPSTREAMS_PLACES = (
    "management_port",
    "inference_port",
    "metrics_port",
    "grpc_inference_port",
    "pvd_mount",
)

_STORAGE = ("storageUri", "storage")
_KSERVE = ("modelFormat", "storageUri")  # a predictor, in both of its forms

Path_ = tuple[str | int, ...]


def read(text: str, path: Path) -> Source:
    """Read every document of a file.

    Raises:
        InputError: it is no YAML.
    """
    return join(map(_read, parse(text, path)))


def _read(document: Document) -> Source:
    source = Source()
    containers = [(where, each) for where, each in _mappings(document.value) if _is_container(each)]
    serving = [(where, each) for where, each in containers if _serves(each)]
    for where, container in serving:
        source = join((source, _container(document, where, container)))
    if isinstance(document.value, Mapping) and _UPSTREAM in document.value:
        source = join((source, _upstreams_chart(document, document.value)))
    remarks = []
    for where, each in _mappings(document.value):
        for key, node in each.items():
            if isinstance(node, str) and _PROPERTY.search(node) and _is_file(str(key), node):
                first = (document.at((*where, key)).line or 1) + ("\n" in node)
                source = join((source, properties_file.parse(node, document.path, first)))
            elif key in _CHARTS and node:
                remarks.append(_pods(str(key), node, document.at((*where, key))))
            elif key in _STORAGE and node and not isinstance(node, list):
                why = "KServe fetches config/ and model-store/ from there: add both as sources"
                at = document.at((*where, key))
                remarks.append(Remark(str(key), why, at, lost=not source.file, fetched=True))
    return replace(source, remarks=(*source.remarks, *remarks))


def _pods(key: str, node: object, at: Location) -> Remark:
    name = _CHARTS.get(key, "resources")
    return Remark(
        key, f"yours to add to helmrelease.yaml, as the chart's {name}: {_short(node)}", at
    )


def _upstreams_chart(document: Document, values: Mapping[str, object]) -> Source:
    """TorchServe's own chart (``kubernetes/Helm``): its template has the command."""
    source = command_line.parse_words(shlex.split(_UPSTREAMS_COMMAND), document.at((_UPSTREAM,)))
    source = files_there.with_files(source, Files(document.path.parent, {}))
    settings = values.get("torchserve")
    remarks = []
    for key, node in settings.items() if isinstance(settings, Mapping) else ():
        at = document.at(("torchserve", key))
        if key in _UPSTREAMS_PODS:
            remarks.append(_pods(key, node, at))
        elif key in _UPSTREAMS_PLACES:
            remarks.append(
                Remark(key, "the chart: its ports and paths are the same everywhere", at)
            )
        elif key == "n_gpu":
            source = replace(source, gpus=_count(node, key, at))
    return replace(source, remarks=(*source.remarks, *remarks))


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
    return any(key in node for key in (*_KSERVE, "command", "args", "entrypoint", "image", "env"))


def _serves(container: Mapping[str, object]) -> bool:
    image = container.get("image")
    if isinstance(image, Mapping):
        image = image.get("repository")
    words = [*_words(container.get("command")), *_words(container.get("args"))]
    return (
        command_line.is_start([*_words(container.get("entrypoint")), *words])
        or (isinstance(image, str) and is_torchserve(image))
        or any(key in container for key in _KSERVE)
    )


def _container(document: Document, where: Path_, container: Mapping[str, object]) -> Source:
    key = next((k for k in ("args", "command", "entrypoint", "image") if k in container), "")
    at = document.at((*where, key))
    words = [
        *_words(container.get("entrypoint")),
        *_words(container.get("command")),
        *_words(container.get("args")),
    ]
    image = container.get("image")
    if words and command_line.is_start(words):
        source = command_line.parse_words(words, at)
    elif not words and isinstance(image, str) and is_torchserve(image):
        source = command_line.parse_words(["serve"], at)
    else:
        source = Source()
    variables, remarks = [], []
    for name in ("env", "environment"):
        for number, variable, node in _variables(container.get(name)):
            at = document.at((*where, name, number))
            if node is None:
                remarks.append(Remark(variable, "its value is not here (a Secret, a field)", at))
            else:
                variables.append(Setting(variable, node, at))
    source = replace(
        source,
        variables=(*source.variables, *variables),
        remarks=(*source.remarks, *remarks),
        gpus=_gpus(document, where, container),
    )
    mounts = dict(_mounts(document, container))
    return files_there.with_files(source, Files(document.path.parent, mounts))


def _gpus(document: Document, where: Path_, container: Mapping[str, object]) -> Setting | None:
    """The GPUs of a container: Kubernetes' limits, or compose's reservations."""
    for path, each in _mappings(container, where):
        for key, node in each.items():
            at = document.at((*path, key))
            if str(key).endswith("/gpu") and path[-1:] == ("limits",):
                return _count(node, "number_of_gpu", at)
            if key == "count" and "devices" in path and re.search("gpu|nvidia", str(each)):
                return _count(node, "number_of_gpu", at)
    return None


def _count(node: object, key: str, at: Location) -> Setting | None:
    """A whole number; none for anything else, such as compose's ``all`` or a template."""
    return Setting(key, str(node), at) if str(node).isdecimal() else None


def _words(node: object) -> list[str]:
    if isinstance(node, str):
        try:
            return shlex.split(node)
        except ValueError:
            return node.split()
    return [str(each) for each in node] if isinstance(node, list) else []


def _variables(node: object) -> Iterator[tuple[str | int, str, str | None]]:
    """Each variable of Kubernetes' list, or of compose's list or mapping."""
    if isinstance(node, Mapping):
        for key, each in node.items():
            yield str(key), str(key), None if isinstance(each, Mapping) else _plain(each)
    for number, each in enumerate(node if isinstance(node, list) else ()):
        if isinstance(each, Mapping) and "name" in each:
            plain = _plain(each["value"]) if "value" in each else None
            yield number, str(each["name"]), plain
        elif isinstance(each, str):
            key, equals, text = each.partition("=")
            yield number, key, text if equals else None


def _plain(node: object) -> str:
    return str(node).lower() if isinstance(node, bool) else "" if node is None else str(node)


def _mounts(
    document: Document, container: Mapping[str, object]
) -> Iterator[tuple[PurePosixPath, Path]]:
    """Compose's volumes that are paths of this machine."""
    volumes = container.get("volumes")
    for each in volumes if isinstance(volumes, Sequence) and not isinstance(volumes, str) else ():
        source, target = "", ""
        if isinstance(each, str):
            source, _, rest = each.partition(":")
            target = rest.partition(":")[0]
        elif isinstance(each, Mapping):
            source, target = str(each.get("source", "")), str(each.get("target", ""))
        path = document.path.parent / source
        if source and target and path.exists():
            yield PurePosixPath(target), path


def _short(node: object) -> str:
    text = re.sub(r"['\"{}\[\]]", "", str(node))
    return text if len(text) <= 60 else f"{text[:57]}…"


def is_yaml(text: str, path: Path) -> bool:
    """Whether a text is YAML with a mapping in it."""
    try:
        return any(isinstance(document.value, dict) for document in parse(text, path))
    except InputError:
        return False
