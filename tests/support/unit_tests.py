"""promtool's unit tests as samples of a real Prometheus: what an alert fires at, until now.

    for batch in batches(firings(tests)):
        fill(promtool, folder / "tsdb", batch)

A test that is 25 minutes old when its alert fires becomes samples of the last 25 minutes. Tests
that have a metric in common are not put into one batch: they would change each other's sums.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.values import Value, items, mapping, text

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_VALUE = re.compile(r"(?P<from>_|-?[\d.e]+)(?P<step>[+-][\d.e]+)?(x(?P<times>\d+))?")
SERVERS = "launcher_torchserve_up"
"""Without it every server is missing, and no other alert is told."""


@dataclass(frozen=True)
class Firing:
    """An alert, and the series at which it fires after ``seconds``."""

    alert: str
    labels: Value
    seconds: int
    interval: int
    series: tuple[Value, ...]

    @property
    def metrics(self) -> set[str]:
        return {text(each, "series").partition("{")[0] for each in self.series}

    def lines(self, now: int) -> Iterator[tuple[str, str]]:
        """Its samples in OpenMetrics' text form, each with its metric."""
        begin = now - self.seconds
        for each in self.series:
            name = re.sub(r'", (?=\w)', '",', text(each, "series"))
            metric = name.partition("{")[0]
            # A time that is measured from the start of a test.
            shift = begin if metric.endswith("_timestamp_seconds") else 0
            for index, value in enumerate(expand(text(each, "values"))):
                at = begin + index * self.interval
                if value is not None and at <= now:
                    yield metric, f"{name} {value + shift:g} {at}"


def expand(values: str) -> Iterator[float | None]:
    """The samples of promtool's short form: ``0+5x2`` is 0 5 10, ``1x2`` 1 1 1, ``_`` is none."""
    for word in values.split():
        match = _VALUE.fullmatch(word)
        assert match, word
        times = int(match["times"] or 0)
        if match["from"] == "_":
            yield from [None] * max(1, times)
        else:
            for index in range(times + 1):
                yield float(match["from"]) + float(match["step"] or 0) * index


def firings(tests: object) -> Iterator[Firing]:
    """Of each alert the first test at which it fires."""
    alerts = set()
    for test in items(tests, "tests"):
        for case in items(test, "alert_rule_test"):
            alert = text(case, "alertname")
            if alert not in alerts and (expected := items(case, "exp_alerts")):
                alerts.add(alert)
                yield Firing(
                    alert,
                    mapping(expected[0], "exp_labels"),
                    _duration(text(case, "eval_time")),
                    _duration(text(test, "interval")),
                    tuple(mapping(each) for each in items(test, "input_series")),
                )


def _duration(written: str) -> int:
    return sum(int(n) * _SECONDS[unit] for n, unit in re.findall(r"(\d+)([smh])", written))


def batches(firings: Iterator[Firing]) -> list[list[Firing]]:
    """As few groups as it takes, none of which has two tests with the same metric."""
    groups: list[list[Firing]] = []
    for each in firings:
        for group in groups:
            if not any(each.metrics & other.metrics for other in group):
                group.append(each)
                break
        else:
            groups.append([each])
    return groups


def fill(promtool: Path, folder: Path, batch: list[Firing]) -> None:
    """Write the samples of a batch as blocks of Prometheus' own storage, by promtool."""
    now = int(time.time())
    lines: dict[str, list[str]] = {}
    for each in batch:
        for metric, line in each.lines(now):
            lines.setdefault(metric, []).append(line)
    if not any(SERVERS in each.metrics for each in batch):
        lines[SERVERS] = [f'{SERVERS}{{pod="x"}} 1 {now}']
    source = folder.with_suffix(".txt")
    text_form = []
    for metric, samples in lines.items():
        text_form += [f"# TYPE {metric} unknown", *samples]
    source.write_text("\n".join([*text_form, "# EOF", ""]))
    argv: list[str | Path] = [promtool, "tsdb", "create-blocks-from", "openmetrics", source, folder]
    completed = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
