"""Prometheus' own settings: figures that fit their disk, and durations that are some."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import KeyPath, dig, items, leaves, mapping, text
from harness.policy.facts.graph import releases_of
from harness.policy.facts.population import PROMETHEUS
from harness.policy.facts.quantity import prometheus_seconds as seconds
from harness.policy.facts.quantity import quantity
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_SPEC: KeyPath = ("spec", "values", "prometheus", "prometheusSpec")
_DISK = ("storageSpec", "volumeClaimTemplate", "spec", "resources", "requests", "storage")
_SIZE = "retentionSize"
_BYTES = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)i?B")  # powers of two, with or without the i
_POWER = {letter: 1024**power for power, letter in enumerate("KMGTPE", 1)} | {"": 1}
_EVERY = "30s"  # the operator's own scrapeInterval
_DURATIONS = {"evaluationInterval", "interval", "retention", "scrapeInterval", "scrapeTimeout"}
_ENDPOINTS = (
    ("PodMonitor", ("spec", "podMetricsEndpoints")),
    ("ServiceMonitor", ("spec", "endpoints")),
)


@rule(
    "monitoring/retention-fits",
    why="Prometheus deletes data by retentionSize alone: one that is no smaller than its disk "
    "fills it, and then nothing is recorded, and no alert fires",
    fix="four fifths of the disk (the log of what is not yet compacted comes on top), as 40GB; GB "
    "means 1024³ bytes there",
    references=("https://prometheus.io/docs/prometheus/latest/storage/#operational-aspects",),
)
def retention_fits(environment: Environment) -> Iterator[Problem]:
    for release in releases_of(environment, PROMETHEUS):
        written = text(release.value, *_SPEC, _SIZE)
        size = _BYTES.fullmatch(written)
        disk = quantity(release.dig(*_SPEC, *_DISK))
        if written and not size:
            close = re.sub(r"\s|(?<=[KMGTPE])i?$", "", written)
            to = next((each for each in (close, f"{close}B") if _BYTES.fullmatch(each)), None)
            yield problem(release, f"{written} is not a size", *_SPEC, _SIZE, to=to)
        elif size and disk and float(size[1]) * _POWER[size[2]] >= disk:
            message = f"{written} of data, on a disk of {release.dig(*_SPEC, *_DISK)}"
            yield problem(release, message, *_SPEC, _SIZE)


@rule(
    "monitoring/durations",
    why="the operator refuses a monitor whose scrapes take longer than the time between them, and "
    "the API server what is not a duration: nothing is scraped",
    fix="a whole number and a unit of Prometheus (30s, 1m, 15d); scrapeTimeout no longer than "
    "interval",
)
def durations(environment: Environment) -> Iterator[Problem]:
    for kind, where in _ENDPOINTS:
        for monitor in environment.of(kind):
            for index, endpoint in enumerate(items(monitor.value, *where)):
                yield from _endpoint(monitor, endpoint, (*where, index))
    for release in releases_of(environment, PROMETHEUS):
        yield from _endpoint(release, release.dig(*_SPEC), _SPEC)


def _endpoint(holder: Object, endpoint: object, where: KeyPath) -> Iterator[Problem]:
    for path, written in leaves(mapping(endpoint), where):
        if path[-1] in _DURATIONS and isinstance(written, str) and seconds(written) is None:
            yield problem(holder, f"{path[-1]}: {written!r} is not a duration", *path)
    every = next(filter(None, (text(endpoint, key) for key in ("interval", "scrapeInterval"))), "")
    timeout, between = seconds(text(endpoint, "scrapeTimeout")), seconds(every or _EVERY)
    if timeout and between and timeout > between:
        message = f"a scrape may take {dig(endpoint, 'scrapeTimeout')}, every {every or _EVERY}"
        yield problem(holder, message, *where, "scrapeTimeout", to=every or _EVERY)
