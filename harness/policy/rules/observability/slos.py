"""Error budgets: whether what they are computed from is kept as long as they are for."""

from collections.abc import Iterator
from itertools import pairwise

from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath, dig, items, leaves, mapping, text
from harness.core.yamlfile import Document
from harness.policy.facts.quantity import number
from harness.policy.facts.quantity import prometheus_seconds as seconds
from harness.policy.project import Project
from harness.policy.rule import problem, rule

_RETENTION = ("spec", "values", "prometheus", "prometheusSpec", "retention")
_NAMED = {"model", "name"}  # keys of the mix by which an SLO may name what it is of
WINDOW = "28d"
"""The window of error budgets where the profile says none: harness.slo.ErrorBudget's own."""


@rule(
    "slos/retention",
    why="failures that Prometheus has deleted no longer count: if the window is longer than its "
    "retention, more budget seems to be left than is",
    fix="let Prometheus keep data for the window, or shorten `errorBudget.window` in "
    "clusters/<env>/loadtest.yaml",
)
def retention(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        for profile in project.documents(f"clusters/{environment.name}/loadtest.yaml"):
            window = text(profile.value, "errorBudget", "window") or WINDOW
            for release in environment.of("HelmRelease"):
                duration = text(release.value, *_RETENTION)
                if (
                    (length := seconds(duration))
                    and (needed := seconds(window))
                    and length < needed
                ):
                    message = f"Prometheus keeps {duration}, error budgets are for {window}"
                    yield problem(release, message, *_RETENTION, to=window)


@rule(
    "slos/coherent",
    why="a limit that contradicts another one, or that no run can reach or miss, judges nothing: "
    "every promotion is refused, or none",
    fix="let percentiles grow (p50, p99, p99.9), throughput stay below the rate that is offered, "
    "and timeout above every latency; `of` is a name of the mix",
)
def coherent(project: Project) -> Iterator[Problem]:
    for env in project.environments:
        for profile in project.documents(f"clusters/{env}/loadtest.yaml"):
            yield from _contradictions(profile)


def _contradictions(profile: Document) -> Iterator[Problem]:
    names = {str(each) for path, each in leaves(dig(profile.value, "mix")) if _NAMED & {*path[-1:]}}
    offered = max(
        (number(each, 0) for path, each in leaves(dig(profile.value, "stages")) if _is_rate(path)),
        default=0,
    )
    longest = number(dig(profile.value, "timeout"), 30) * 1000
    for index, slo in enumerate(items(profile.value, "slos")):
        where: KeyPath = ("slos", index)
        if (of := text(slo, "of")) and of not in names:
            message = f"the mix has no {of}{did_you_mean(of, names)}"
            yield Problem(message, profile.at((*where, "of")))
        throughput = number(dig(slo, "throughput"), 0)
        if throughput > offered > 0:
            message = f"wants {throughput:g} responses/s of {offered:g} requests/s"
            yield Problem(message, profile.at((*where, "throughput")))
        for kind in ("latency", "firstByte"):
            limits = sorted(
                (number(str(key).removeprefix("p"), 0), number(limit, 0), str(key))
                for key, limit in mapping(slo, kind).items()
            )
            for (_, lower, first), (_, upper, second) in pairwise(limits):
                if lower > upper:
                    message = f"{second} is below {first}: it holds alone"
                    yield Problem(message, profile.at((*where, kind, second)))
            if limits and limits[-1][1] > longest:
                message = f"clients give up after {longest:g} ms: nothing takes longer"
                yield Problem(message, profile.at((*where, kind, limits[-1][2])))


def _is_rate(path: KeyPath) -> bool:
    return not {"from", "peak", "rate", "to"}.isdisjoint(path[-1:])
