"""Error budgets: whether what they are computed from is kept as long as they are for."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import text
from harness.policy.project import Project
from harness.policy.rule import problem, rule

_RETENTION = ("spec", "values", "prometheus", "prometheusSpec", "retention")
_WINDOW = "28d"  # harness.slo.ErrorBudget
_DURATION = re.compile(r"(\d+)([hdwy])")
_DAYS = {"h": 1 / 24, "d": 1, "w": 7, "y": 365}


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
                if (days := _days(duration)) and (needed := _days(window)) and days < needed:
                    message = f"Prometheus keeps {duration}, error budgets are for {window}"
                    yield problem(release, message, *_RETENTION, to=window)


def _days(duration: str) -> float | None:
    """Of a duration of one unit; None for any other."""
    match = _DURATION.fullmatch(duration)
    return int(match[1]) * _DAYS[match[2]] if match else None
