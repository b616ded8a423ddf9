"""A report as the terminal has it: the verdict, the limits, and what failed most."""

from pathlib import Path

from harness.loadtest.report import Report, quantity, remarks

_SHOWN = 300  # characters of an example: a whole message of TorchServe's


def _coverage(report: Report) -> str:
    checks = report.generator.checks
    by_status = any("status" in part.answers for part in report.mix)
    unchecked = by_status or (checks and checks.unchecked)
    return "not every response" if unchecked else "every response"


def brief(report: Report) -> str:
    """The report as JSON without what only plots and comparisons need."""
    return report.model_dump_json(
        indent=2,
        exclude={
            "timeline": True,
            "server": {"timeline"},
            "mix": {"__all__": {"histogram", "first_byte_histogram"}},
        },
    )


def text(report: Report, folder: Path) -> str:
    """What is printed: the verdict, its reasons, each SLO, the path of the page."""
    about = (*report.reasons, *remarks(report))
    lines = [f"verdict: {report.verdict}", *(f"  {line}" for line in about), ""]
    width = max(len(slo.of or "all") for slo in report.slo)
    widest = max(10, *(len(slo.metric) for slo in report.slo))
    for slo in report.slo:
        observed = "no response" if slo.observed is None else quantity(slo.observed, slo.unit)
        sign, metric = "✓" if slo.met else "✗", slo.metric.replace("_", " ")
        limit = f"{'≥' if slo.metric == 'throughput' else '≤'} {quantity(slo.limit, slo.unit)}"
        lines.append(
            f"  {sign} {slo.of or 'all':<{width}}  {metric:<{widest}} {observed:>12}  {limit}"
        )
    summary = (
        f"  {report.requests:,} requests, {_coverage(report)} checked: {report.failures:,} failed, "
        f"{report.wrong_answers:,} of them incorrect responses; {report.dropped:,} dropped"
    )
    lines += [
        "",
        summary,
        *_others(report),
        *_most_frequent(report),
        f"  {report.achieved_rps:,.1f} correct responses/s of {report.offered_rps:,.1f} offered",
        *(f"  ! no metrics from {unread}" for unread in report.unread),
        f"  {folder / 'report.html'}",
    ]
    return "\n".join(lines)


def _others(report: Report) -> list[str]:
    """Answers of other statuses that the profile expects, by status."""
    total = report.requests
    return [
        f"  {group.count:,} more were {group.kind} to {group.name}, as the profile expects "
        f"({report.other_answers / max(1, total):.1%} of all judged were such)"
        for group in report.failure_groups
        if group.expected
    ]


def _most_frequent(report: Report) -> list[str]:
    """The most frequent failure, an example of it, and what to do."""
    failures = [group for group in report.failure_groups if not group.expected]
    if not failures:
        return []
    first = max(failures, key=lambda group: group.count)
    total = sum(group.count for group in failures)
    return [
        (
            f"  most frequent failure ({first.count:,} of {total:,}, warm-up included): "
            f"{first.name}: {first.kind}"
        ),
        *([f"    {first.example[:_SHOWN]}"] if first.example else []),
        *([f"    → {first.advice}"] if first.advice else []),
    ]
