"""The report as a page to look at."""

import re
from collections.abc import Iterator
from html import escape

import yaml

from harness.core.page import page, section, table
from harness.loadtest.charts import charts, number
from harness.loadtest.outcome import Objective
from harness.loadtest.report import Latency, Part, Report, quantity, remarks

_MEANS = {
    "pass": "the server kept every limit, and the run can be trusted",
    "fail": "the server missed a limit",
    "invalid": "the run cannot be trusted to judge the server",
}


def render(report: Report) -> str:
    """The whole page."""
    title = f"{report.verdict}: load test of {report.target.url}"
    return page(
        title,
        [
            _header(report),
            _reasons(report),
            _numbers(report),
            section("SLOs", _slos(report)),
            f'<h2>Over time</h2><div class="plots">{_plots(report)}</div>',
            section("By model and stage", _parts(report)),
            _failures(report),
            _slowest(report),
            section("How the run checked itself", _checks(report)),
            section("What was run", _setting(report)),
            _footer(report),
        ],
    )


def _header(report: Report) -> str:
    target = report.target
    where = f"gateway of {target.gateway}" if target.gateway else target.url
    facts = [
        f"<b>{escape(where)}</b> ({target.protocol.upper()})",
        "embedded server on this machine: never evidence" if report.embedded else "",
        f"release <code>{escape(report.release.commit[:12])}</code>" if report.release else "",
        escape(report.started.replace("T", " ").replace("+00:00", " UTC")),
        f"{report.profile.content['arrivals']} arrivals for {report.seconds:g} s",
        f"{report.judged_seconds:g} s judged",
        *map(_prose, remarks(report)),
    ]
    return (
        f'<header><span class="verdict {report.verdict}">{report.verdict}</span>'
        f"<h1>Load test: {_MEANS[report.verdict]}</h1>"
        f'<p class="about">{" · ".join(fact for fact in facts if fact)}</p></header>'
    )


def _reasons(report: Report) -> str:
    if not report.reasons:
        return ""
    lines = "".join(f"<p>{_prose(reason)}</p>" for reason in report.reasons)
    return f'<div class="reasons {report.verdict}">{lines}</div>'


def _numbers(report: Report) -> str:
    latency = report.latency_ms
    shown = [
        ("achieved of offered", number(report.achieved_rps), f"of {number(report.offered_rps)}/s"),
        ("requests judged", f"{report.requests:,}", ""),
        ("failed", f"{report.failures:,}", f"{report.wrong_answers:,} wrong"),
        ("p50", *_percentile(latency.p50)),
        ("p95", *_percentile(latency.p95)),
        ("p99", *_percentile(latency.p99)),
        ("sent late by, p99", _ms(report.lateness_ms.p99), "ms"),
    ]
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value} <small>{unit}</small></dd></div>"
        for name, value, unit in shown
    )
    return f'<dl class="numbers">{cells}</dl>'


def _slos(report: Report) -> str:
    head = ["", "", "limit", "observed", "of the limit", "requests", "over the limit", "enough?"]
    return table(head, (_slo(slo) for slo in report.slo), right={2, 3, 5, 6}, wide={5, 6})


def _slo(slo: Objective) -> Iterator[str]:
    yield '<span class="good">✓ met</span>' if slo.met else '<span class="bad">✗ missed</span>'
    yield escape(f"{slo.of or 'all'} {slo.metric.replace('_', ' ')}")
    yield f"{'≥' if slo.metric == 'throughput' else '≤'} {quantity(slo.limit, slo.unit)}"
    yield "no response" if slo.observed is None else quantity(slo.observed, slo.unit)
    used = min(1.0, slo.observed / slo.limit) if slo.observed is not None and slo.limit else None
    tone = "good" if slo.met else "bad"
    width = 1.0 if slo.observed is None else used
    yield (
        ""
        if width is None
        else f'<span class="meter {tone}"><i style="width:{width:.0%}"></i></span>'
    )
    yield f"{slo.requests:,}"
    yield "" if slo.violations is None else f"{slo.violations:,}"
    if slo.needed is None:
        yield '<span class="soft">exact count</span>'
    else:
        sure = "yes" if slo.sure else '<span class="unsure">no</span>'
        yield f"{sure}:&nbsp;needs&nbsp;{slo.needed:,}"


def _plots(report: Report) -> str:
    return "\n".join(plot.figure() for plot in charts(report))


def _parts(report: Report) -> str:
    head = ["", "offered/s", "correct/s", "requests", "failed", "dropped"]
    head += ["p50", "p95", "p99", "p99.9", "max", "service p50", "service p99"]
    named: list[tuple[str, Part]] = [(part.name, part) for part in report.mix]
    named += [
        (f"{stage.kind}{'' if stage.judged else ' (not judged)'}", stage) for stage in report.stages
    ]
    rows = ([escape(name), *_part(part)] for name, part in named)
    return table(head, rows, right=set(range(1, len(head))), wide={3, 5, 9, 10, 11, 12})


def _part(part: Part) -> Iterator[str]:
    yield number(part.offered_rps)
    yield number(part.achieved_rps)
    yield f"{part.requests:,}"
    yield f'<span class="bad">{part.failures:,}</span>' if part.failures else "0"
    yield f'<span class="unsure">{part.dropped:,}</span>' if part.dropped else "0"
    yield from _latency(part.latency_ms)
    yield _ms(part.service_ms.p50)
    yield _ms(part.service_ms.p99)


def _latency(latency: Latency) -> Iterator[str]:
    for value in (latency.p50, latency.p95, latency.p99, latency.p99_9, latency.max):
        yield _ms(value)


def _failures(report: Report) -> str:
    if not report.failure_groups:
        return ""
    rows = (
        [
            f"{group.count:,}",
            escape(group.name),
            f'<span class="bad">{escape(group.kind)}</span>',
            f'<code class="text">{escape(group.example)}</code>',
        ]
        for group in report.failure_groups
    )
    return section(
        "Failures, warm-up included", table(["", "of", "kind", "first example"], rows, {0})
    )


def _slowest(report: Report) -> str:
    if not report.slowest:
        return ""
    rows = (
        [
            escape(slow.name),
            f"{slow.t:,.1f} s",
            number(slow.latency_ms),
            f"<code>{slow.trace_id}</code>",
        ]
        for slow in report.slowest
    )
    head = ["", "due at", "latency, ms", "trace"]
    return section("The slowest traced requests", table(head, rows, right={1, 2}))


def _checks(report: Report) -> str:
    rows = (
        [
            '<span class="good">✓</span>' if check.passed else '<span class="unsure">✗</span>',
            escape(check.name),
            escape(check.found),
            escape(check.limit),
            f'<span class="soft">{escape(check.why)}</span>',
        ]
        for check in report.checks
    )
    return table(["", "check", "found", "limit", "why"], rows, wide={4})


def _setting(report: Report) -> str:
    generator, server = report.generator, report.server
    versions = ", ".join(f"{name} {version}" for name, version in generator.versions.items())
    generators = (
        f"{generator.processes} on {generator.machine}; the busiest used {generator.cpu_max:.0%}"
        f" of a core, {generator.in_flight_max:,} in flight at most"
    )
    rows = [
        ["profile", f"<code>{escape(report.profile.path or 'given by the caller')}</code>"],
        ["generators", escape(generators)],
        ["versions", escape(versions)],
    ]
    if server:
        figures = (
            f"{server.scrapes:,} scrapes of {', '.join(server.pods)} (from {server.source}), "
            f"{server.missed:,} missed;"
            f" {server.http_5xx:,.0f} responses of 5xx, {server.restarts:,.0f} restarts of workers"
        )
        rows.append(["server metrics", escape(figures)])
    rows += [["no metrics from", escape(str(unread))] for unread in report.unread]
    if report.release:
        rows.append(["release", f"<code>{escape(str(report.release))}</code>"])
    content = escape(yaml.safe_dump(report.profile.content, sort_keys=False, allow_unicode=True))
    return (
        table([], rows)
        + f"<details><summary>The profile, as it was read</summary><pre>{content}</pre></details>"
    )


def _footer(report: Report) -> str:
    return (
        "<footer>Latency runs from the moment a request was due to its whole correct response; "
        "service time, from the moment it was sent. A failed request "
        "counts in the percentiles as one without a response. Histograms are HDR, with three"
        f" significant digits. Schema version {report.schema_version}.</footer>"
    )


def _prose(text: str) -> str:
    """A sentence, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _percentile(value: float | None) -> tuple[str, str]:
    """A percentile and its unit; one that lies among the failures has none."""
    return ("–", "no response") if value is None else (number(value), "ms")


def _ms(value: float | None) -> str:
    return "–" if value is None else number(value)
