"""Values of third-party charts: amounts that are some, and images from where they may come from."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.values import KeyPath, Value, leaves, mapping, text
from harness.policy.facts.admitted import is_admitted, listed_prefixes
from harness.policy.facts.origins import Origins
from harness.policy.facts.quantity import meant, quantity
from harness.policy.project import Project
from harness.policy.recorded.charts import of_release
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_VALUES: KeyPath = ("spec", "values")
_AMOUNTS = {"cpu", "ephemeral-storage", "memory", "sizeLimit", "storage"}
_BYTES = {"ephemeral-storage", "memory", "sizeLimit", "storage"}
_AROUND = {"capacity", "hard", "limits", "requests"}  # a map of resources
_OF_A_DISK = {"persistence", "storage", "volume"}  # whose `size` is one
_LEAST = 1 << 20  # bytes: nothing runs in less
_PROXY = ("spec", "provider", "kubernetes", "envoyDeployment", "container", "image")
_DISTRIBUTION = ("spec", "distribution", "registry")
_KINDS = (
    *("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"),
    *("PersistentVolumeClaim", "PersistentVolume", "ResourceQuota", "LimitRange"),
    *("EnvoyProxy", "BackendTrafficPolicy", "ClientTrafficPolicy"),
)
_GATEWAY_BYTES = {"bufferLimit"}  # of Envoy Gateway's policies
# Tags that their owners move; any other may be one version.
_MOVING = re.compile(r"(?i)(latest|main|master|edge|nightly|stable|dev|develop|canary|head)(-.*)?")
_HOST = re.compile(r"([a-z0-9-]+(\.[a-z0-9-]+)+|localhost)(:\d+)?")


@dataclass(frozen=True, slots=True)
class _Image:
    """An image that values name: what begins its name, its tag, and where each is written."""

    name: str
    path: KeyPath
    tag: str = ""
    tag_path: KeyPath = ()


@rule(
    "resources/quantity",
    why="`50 Gi` and `2 MB` are not quantities of Kubernetes: the API server refuses the object, "
    "or a chart passes the text on to one that it refuses",
    fix="a number and a unit without a space: m for thousandths of a core, Mi and Gi for bytes",
    references=(
        "https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/",
    ),
)
def amounts_are_quantities(environment: Environment) -> Iterator[Problem]:
    for each in environment.of(*_KINDS):
        yield from _slips(each, ("spec",))
    for release in Origins(environment).remote:
        yield from _slips(release, _VALUES)
        for path, written in leaves(release.dig(*_VALUES), _VALUES):
            amount = quantity(written)
            if _is_bytes(path) and amount is not None and 0 < amount < _LEAST:
                message = f"{path[-1]} {written} is {float(amount):g} bytes: a unit is missing?"
                yield problem(release, message, *path)


def _slips(holder: Object, where: KeyPath) -> Iterator[Problem]:
    """Text that begins with a number, where an amount is meant, and is none."""
    for path, written in leaves(holder.dig(*where), where):
        is_number = isinstance(written, str) and re.match(r"\d(?!.*(\{\{|\$\{))", written)
        if is_number and _is_amount(path) and quantity(written) is None:
            message = f"{path[-1]}: {written!r} is not a quantity"
            yield problem(holder, message, *path, to=meant(str(written)) or None)


def _is_amount(path: KeyPath) -> bool:
    key, around = path[-1], path[-2] if len(path) > 1 else ""
    return (
        key in _AMOUNTS
        or key in _GATEWAY_BYTES
        or around in _AROUND
        or (key == "size" and around in _OF_A_DISK)
    )


def _is_bytes(path: KeyPath) -> bool:
    return path[-1] in _BYTES and path[-2] in _AROUND


@rule(
    "images/values",
    why="an image that values take from elsewhere is refused by the admission policy, and one by a "
    "tag that moves runs tomorrow what nobody reviewed",
    fix="the chart's own image, or one by an exact version or digest, from a registry that the "
    "policy image-registry of infra/policies lists",
    references=("CIS EKS 5.1.4", "NSA/CISA C-0055"),
)
def images_of_values(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        listed = listed_prefixes(environment)
        for release in Origins(environment).remote:
            record = of_release(project.repository, environment, release)
            defaults = mapping(record.images) if record else {}
            for image in _images(mapping(release.value, *_VALUES), _VALUES, defaults):
                yield from _faults(release, image, listed)
        for proxy in environment.of("EnvoyProxy"):
            yield from _faults(proxy, _whole(text(proxy.value, *_PROXY), _PROXY), listed)
        for instance in environment.of("FluxInstance"):
            registry = text(instance.value, *_DISTRIBUTION)
            if registry and listed and not is_admitted(f"{registry}/", listed):
                message = f"{registry} is on no list of infra/policies"
                yield problem(instance, message, *_DISTRIBUTION)


def _faults(holder: Object, image: _Image, listed: tuple[str, ...]) -> Iterator[Problem]:
    host, slash, _ = image.name.partition("/")
    if listed and slash and _HOST.fullmatch(host) and not is_admitted(image.name, listed):
        message = f"{image.name} is from no registry on the list"
        yield problem(holder, message, *image.path)
    elif _MOVING.fullmatch(image.tag):
        message = f"the tag {image.tag} moves"
        yield problem(holder, message, *image.tag_path)


def _images(values: Value, path: KeyPath, defaults: Value) -> Iterator[_Image]:
    """The images that values name, in each of the ways of charts."""
    for key, written in values.items():
        below = (*path, str(key))
        if isinstance(written, dict):
            yield from _in_parts(mapping(written), below, defaults)
            yield from _images(mapping(written), below, defaults)
        elif isinstance(written, list):
            for index, each in enumerate(written):
                yield from _images(mapping(each), (*below, index), defaults)
        elif key == "image" and isinstance(written, str):
            yield _whole(written, below)
        elif key == "imageRegistry" and isinstance(written, str):
            yield _Image(f"{written}/", below)


def _whole(image: str, path: KeyPath) -> _Image:
    name, _, digest = image.partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2]
    return _Image(name.removesuffix(f":{tag}"), path, "" if digest else tag, path)


def _in_parts(written: Value, path: KeyPath, defaults: Value) -> Iterator[_Image]:
    """An image of registry, repository and tag; what is not said is the chart's own."""
    registry, repository, tag = (
        str(written.get(key) or "") for key in ("registry", "repository", "tag")
    )
    is_image = path[-1] == "image" or {"repository", "tag"} <= written.keys()
    if is_image and (registry or repository or tag):
        name = "/".join(filter(None, (registry, repository)))
        if not registry and not _HOST.fullmatch(name.partition("/")[0]):
            name = next((each for each in map(str, defaults) if each.endswith(f"/{name}")), name)
        pinned = any(written.get(key) for key in ("digest", "sha"))
        at = "registry" if registry else "repository"
        name = name if repository else f"{name}/"
        yield _Image(name, (*path, at), "" if pinned else tag, (*path, "tag"))
