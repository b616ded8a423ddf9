"""What a scenario says about itself: its steps and figures, and the page that shows them all."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from harness.core.page import page, section, table
from harness.loadtest.report import Report

LOAD = ("requests", "failed", "wrong", "dropped")
SIMULATED = "pods run no containers: kwok simulates exec, init containers, probes and images"
PLAYED = "pods are containers; the load balancer is a route, and nobody asks for a token"
"""The same of the scenarios on real nodes, whose files begin with ``test_real``."""


@dataclass
class Timeline:
    """Figures by name: of a step, the seconds that it took; and what load tests counted."""

    figures: dict[str, object] = field(default_factory=dict)
    load: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block."""
        began = time.monotonic()
        yield
        self.figures[f"{name}, s"] = round(time.monotonic() - began, 1)

    def add(self, report: Path) -> None:
        """Count what a load test sent."""
        load_report = Report.read(report)
        counts = (
            load_report.requests,
            load_report.failures,
            load_report.wrong_answers,
            load_report.dropped,
        )
        for name, count in zip(LOAD, counts, strict=True):
            self.load[name] = self.load.get(name, 0) + count

    def __str__(self) -> str:
        figures_shown = {**self.figures, **self.load}
        return " · ".join(f"{name} {value}" for name, value in figures_shown.items())


def render(results: Sequence[Mapping[str, object]]) -> str:
    """The page: every scenario, its seconds as a bar."""
    not_run = sum("not_run" in each for each in results)
    failed = sum(not each["passed"] for each in results) - not_run
    longest = max((_seconds(each) for each in results), default=1.0) or 1.0
    total = sum(map(_seconds, results))
    word = "fail" if failed else "pass"
    about = f"{failed} failed · {not_run} not run · {total:,.0f} s in all · {escape(SIMULATED)}"
    header = (
        f'<header><span class="verdict {word}">{word}</span>'
        f"<h1>{len(results)} scenarios on a real Kubernetes and Flux</h1>"
        f'<p class="about">{about}</p></header>'
    )
    rows = (_row(each, longest) for each in results)
    head = ["", "scenario", "seconds", "", "results"]
    return page("e2e", [header, section("Scenarios", table(head, rows, right={2}, wide={3}))])


def _figure(name: str, value: object) -> str:
    """``kill to Ready: 10 s`` for a name that ends with its unit, as in ``kill to Ready, s``."""
    what, comma, unit = name.rpartition(", ")
    return f"{what}: {value} {unit}" if comma else f"{name}: {value}"


def _row(result: Mapping[str, object], longest: float) -> list[str]:
    good = bool(result["passed"])
    share = _seconds(result) / longest
    figures = result["figures"]
    figures_shown = dict(figures) if isinstance(figures, Mapping) else {}
    figures_shown |= {name: result[name] for name in (*LOAD, "not_run") if name in result}
    failed = "–" if "not_run" in result else '<span class="bad">✗</span>'
    return [
        '<span class="good">✓</span>' if good else failed,
        escape(str(result["scenario"]).replace("_", " ")),
        f"{_seconds(result):,.1f}",
        f'<span class="meter {"good" if good else "bad"}"><i style="width:{share:.0%}"></i></span>',
        "<br>".join(escape(_figure(name, value)) for name, value in figures_shown.items()),
    ]


def _seconds(result: Mapping[str, object]) -> float:
    value = result["seconds"]
    return float(value) if isinstance(value, int | float) else 0.0
