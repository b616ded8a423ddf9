"""Third-party charts: what a release says is what its chart reads, at the version that it pins.

It is compared with what is recorded of the chart (harness.policy.recorded.charts), so that a
machine that could not fetch the chart reports the same
(docs/decisions/0010-charts-of-the-network.md).
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping

from harness.core.fix import NOTHING, REMOVED, Fix, set_at
from harness.core.problem import Problem
from harness.core.values import KeyPath, Value, dig, mapping
from harness.policy.facts.quantity import quantity
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.recorded.charts import (
    FOLDER,
    ChartRecord,
    chart_and_version,
    misfits,
    of_release,
)
from harness.policy.rule import problem, rule
from harness.render.objects import Object

_VALUES = ("spec", "values")
# Of another form `sources/exact-version` says that it is none.
_EXACT = re.compile(r"v?\d+\.\d+\.\d+(?![\w.]).*")


@rule(
    "helm/values-known",
    why="a chart ignores a value that it does not know, without a word: who sets it believes that "
    "it holds",
    fix="correct the key: what the chart's version takes is recorded in tools/charts",
)
def values_known(project: Project) -> Iterator[Problem]:
    for release, record, version in _releases(project):
        if record and record.is_of(version or record.version):
            for path, why in misfits(record.keys, mapping(release.value, *_VALUES)):
                name = ".".join(map(str, path))
                message = f"{name} {why} ({record.chart})"
                yield problem(release, message, *_VALUES, *path, fix=_rename(release, path, why))


@rule(
    "helm/values-recorded",
    why="what is recorded of a chart says which values it takes; of another version, or without a "
    "record, a misspelt one is not seen",
    fix="`harness tools`, which fetches the chart, then `make chart-records`",
    severity=Severity.WARNING,
)
def values_recorded(project: Project) -> Iterator[Problem]:
    for release, record, version in _releases(project):
        where = "chart" if release.dig("spec", "chart") else "chartRef"
        if not record:
            message = f"nothing in {FOLDER} says which values its chart takes"
            yield problem(release, message, "spec", where)
        elif _EXACT.fullmatch(version) and not record.is_of(version):
            message = f"the recorded keys of {record.chart} are of {record.version}, not {version}"
            yield problem(release, message, "spec", where)


@rule(
    "helm/values-unconfirmed",
    why="a value that the recorded version of the chart did not take is new since, or misspelt: "
    "then the chart ignores it without a word",
    fix="correct the key, or record the newer chart: `harness tools`, then `make chart-records`",
    severity=Severity.WARNING,
)
def values_unconfirmed(project: Project) -> Iterator[Problem]:
    for release, record, version in _releases(project):
        if record and version and not record.is_of(version):
            for path, why in misfits(record.keys, mapping(release.value, *_VALUES)):
                name = ".".join(map(str, path))
                message = f"{name} {why} ({record.chart} {record.version}; this is {version})"
                yield problem(release, message, *_VALUES, *path)


def _rename(release: Object, path: KeyPath, why: str) -> Fix:
    """The value under the key that was probably meant, unless that is there too."""
    meant = re.search(r"did you mean (\S+)\?", why)
    if not meant or release.dig(*_VALUES, *path[:-1], meant[1]) is not None:
        return NOTHING
    at = release.at(*_VALUES, *path)
    if at.field is None:
        return NOTHING
    field = dataclasses.replace(at.field, keys=(*at.field.keys[:-1], meant[1]))
    passed = release.dig(*_VALUES, *path)
    return set_at(at, REMOVED) + set_at(dataclasses.replace(at, field=field), passed)


def _releases(project: Project) -> Iterator[tuple[Object, ChartRecord | None, str]]:
    """Every release of a third-party chart, with what is recorded of the chart, and its version."""
    for environment in project.environments.values():
        for release in environment.of("HelmRelease"):
            chart, version = chart_and_version(environment, release)
            if chart:
                yield release, of_release(project.repository, environment, release), version


@rule(
    "helm/values-resources",
    why="the API server refuses a container whose limit is below its request: the release is "
    "installed, and none of its pods comes",
    fix="raise the limit, or lower the request; what the chart sets itself holds where the values "
    "are silent (null takes it out)",
)
def values_resources(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        for release in environment.of("HelmRelease"):
            if chart_and_version(environment, release)[0]:
                record = of_release(project.repository, environment, release)
                values = record.values(release) if record else mapping(release.value, *_VALUES)
                yield from _contradictions(release, values)


def _contradictions(release: Object, values: Value) -> Iterator[Problem]:
    for path, resources in _resources(values, ()):
        for name, limit in mapping(resources, "limits").items():
            most, least = quantity(limit), quantity(dig(resources, "requests", name))
            if most is not None and least is not None and most < least:
                requested = dig(resources, "requests", name)
                message = f"requests {requested} of {name}, but its limit is {limit}"
                by_release = release.dig(*_VALUES, *path, "limits", name) is not None
                kind, to = ("limits", requested) if by_release else ("requests", limit)
                yield problem(release, message, *_VALUES, *path, kind, str(name), to=to)


def _resources(values: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    """Every map among values that says requests and limits, and its path."""
    if isinstance(values, Mapping):
        if {"requests", "limits"} <= values.keys():
            yield path, values
        for key, below in values.items():
            yield from _resources(below, (*path, str(key)))
    elif isinstance(values, list):
        for index, below in enumerate(values):
            yield from _resources(below, (*path, index))
