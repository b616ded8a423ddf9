"""What is recorded of third-party charts, so that a machine without them checks values too.

tools/charts/<chart>.json holds, for one version: the keys that its values take, which pods it
makes, and which values decide how many and how large they are. `make chart-records` writes it from
the chart (record_charts.py); ``source`` says where the chart was taken from.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from harness.core.repository import Repository
from harness.core.values import KeyPath, Value, dig, items, mapping, merge, text
from harness.render.objects import Object
from harness.render.rendered import Environment

FOLDER = Path("tools/charts")
OPEN = "map"
"""A map of any keys: labels, annotations, what goes into a pod as it is."""

# What goes into a pod as it is has Kubernetes' own keys, whatever the chart's documentation says.
_KUBERNETES: dict[str, dict[str, object]] = {
    "resources": {"requests": OPEN, "limits": OPEN, "claims": "list"},
    "affinity": {"nodeAffinity": OPEN, "podAffinity": OPEN, "podAntiAffinity": OPEN},
}
_TOLERATION = {"key", "operator", "value", "effect", "tolerationSeconds"}


@dataclass(frozen=True, slots=True)
class ChartPods:
    """Pods of one kind that a chart makes. Paths lead to its values.

    Attributes:
        per_node: whether it is a DaemonSet.
        on_gpus: whether the chart itself keeps it on nodes with GPUs.
        replicas: how many; empty where it is always one.
        resources: what each requests.
        placement: where nodeSelector and tolerations are.
        budget: its PodDisruptionBudget; empty where the chart has none.
    """

    name: str
    per_node: bool
    on_gpus: bool
    replicas: KeyPath
    resources: KeyPath
    placement: KeyPath
    budget: KeyPath


@dataclass(frozen=True)
class ChartRecord:
    """A chart as it was at one version.

    Attributes:
        digest: SHA-256 of its archive; empty where that could not be looked up.
        keys: its keys: a map of them, or the name of a type.
        defaults: its own values, as far as ``pods`` names them.
        images: the images that its values name, each with its tag.
    """

    chart: str
    version: str
    digest: str
    keys: Value
    defaults: Value
    pods: tuple[ChartPods, ...]
    images: Value = field(default_factory=dict)

    def is_of(self, version: str) -> bool:
        """Whether a version is the recorded one."""
        return self.version.removeprefix("v") == version.removeprefix("v")

    def values(self, release: Object) -> Value:
        """The values of a release, over the chart's own; a null takes a key out, as in Helm."""
        return merge(self.defaults, mapping(release.value, "spec", "values"))


def chart_and_version(environment: Environment, release: Object) -> tuple[str, str]:
    """The name and the version of a third-party chart; empty of one that is ours.

    The version is empty too where only a digest, or a range, names it.
    """
    chart = mapping(release.value, "spec", "chart", "spec")
    reference = mapping(chart, "sourceRef") or mapping(release.value, "spec", "chartRef")
    kind, name = text(reference, "kind"), text(reference, "name")
    source = environment.find(kind, name, text(reference, "namespace") or release.namespace)
    if not source or kind not in ("OCIRepository", "HelmRepository"):
        return "", ""
    if kind == "OCIRepository":
        tag = str(source.dig("spec", "ref", "tag") or "")
        return text(source.value, "spec", "url").rstrip("/").rpartition("/")[2], tag
    return text(chart, "chart"), text(chart, "version")


def of_release(
    repository: Repository, environment: Environment, release: Object
) -> ChartRecord | None:
    """The record of a release's chart, whichever version it is of; None where there is none."""
    name, _ = chart_and_version(environment, release)
    return load(repository, name) if name else None


@lru_cache(maxsize=64)  # each rule asks about the same few charts
def load(repository: Repository, chart: str) -> ChartRecord | None:
    """The record of a chart; None where there is none."""
    path = repository.root / FOLDER / f"{chart}.json"
    if not path.is_file():
        return None
    content = json.loads(path.read_bytes())
    return ChartRecord(
        chart,
        text(content, "version"),
        text(content, "digest"),
        mapping(content, "keys"),
        mapping(content, "defaults"),
        tuple(map(_pods, items(content, "pods"))),
        mapping(content, "images"),
    )


def _pods(entry: object) -> ChartPods:
    paths = (_path(text(entry, key)) for key in ("replicas", "resources", "placement", "budget"))
    per_node, on_gpus = (dig(entry, key) is True for key in ("perNode", "onGpus"))
    return ChartPods(text(entry, "name"), per_node, on_gpus, *paths)


def _path(dotted: str) -> KeyPath:
    return tuple(dotted.split(".")) if dotted else ()


def misfits(keys: Value, values: Value) -> Iterator[tuple[KeyPath, str]]:
    """The values that a chart with these keys does not read or not so, and what is wrong."""
    for key, passed in values.items():
        name = str(key)
        if name not in keys:
            near = difflib.get_close_matches(name, keys, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield (name,), f"is not a value of the chart{hint}"
            continue
        yield from (((name, *path), why) for path, why in _misfit(name, keys[name], passed))


def _misfit(name: str, known: object, passed: object) -> Iterator[tuple[KeyPath, str]]:
    if passed is None or known == "any":
        return
    if known == "list":
        yield from _list_misfit(name, passed)
    elif isinstance(known, Mapping) or known == OPEN:
        below = known if isinstance(known, Mapping) else _KUBERNETES.get(name)
        if not isinstance(passed, Mapping):
            yield (), "has to be a map of keys"
        elif name == "resources" and _is_by_container(passed):
            for part, resources in passed.items():
                yield from (
                    ((str(part), *path), why) for path, why in _misfit(name, known, resources)
                )
        elif below is not None:
            yield from misfits(mapping(below), mapping(passed))
    elif known == "boolean" and not isinstance(passed, bool) and not _is_template(passed):
        yield (), 'has to be true or false: text is true to a template, "false" too'
    elif isinstance(passed, Mapping | list):
        yield (), f"has to be a {known}"


def _is_by_container(resources: Mapping[object, object]) -> bool:
    """Whether a chart takes resources for each of its containers, by name."""
    keys = _KUBERNETES["resources"].keys()
    return not resources.keys() & keys and all(
        each is None or (isinstance(each, Mapping) and each.keys() & keys)
        for each in resources.values()
    )


def _list_misfit(name: str, passed: object) -> Iterator[tuple[KeyPath, str]]:
    if not isinstance(passed, list):
        yield (), "has to be a list"
        return
    for index, each in enumerate(passed if name == "tolerations" else ()):
        for key in sorted(set(mapping(each)) - _TOLERATION):
            near = difflib.get_close_matches(key, _TOLERATION, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield (index, key), f"is not a key of a toleration{hint}"


def _is_template(passed: object) -> bool:
    return isinstance(passed, str) and ("{{" in passed or "${" in passed)
