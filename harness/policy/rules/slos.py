"""Error budgets: whether what they are computed from is kept as long as they are for."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import text
from harness.policy.project import Project
from harness.policy.quantity import prometheus_seconds as seconds
from harness.policy.rule import problem, rule

_RETENTION = ("spec", "values", "prometheus", "prometheusSpec", "retention")
_WINDOW = "28d"  # harness.slo.ErrorBudget


@rule(
    "slos/retention",
    why="what Prometheus has forgotten was spent by nobody: of a window longer than it keeps "
    "figures, more budget seems to be left than is",
    fix="let Prometheus keep figures for the window, or shorten `errorBudget.window` in "
    "clusters/<env>/loadtest.yaml",
)
def retention(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        for profile in project.documents(f"clusters/{environment.name}/loadtest.yaml"):
            window = text(profile.value, "errorBudget", "window") or _WINDOW
            for release in environment.of("HelmRelease"):
                duration = text(release.value, *_RETENTION)
                if (
                    (length := seconds(duration))
                    and (needed := seconds(window))
                    and length < needed
                ):
                    message = f"Prometheus keeps {duration}, error budgets are for {window}"
                    yield problem(release, message, *_RETENTION, to=window)
