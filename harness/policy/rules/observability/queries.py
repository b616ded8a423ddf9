"""Queries of alerts, dashboards and autoscalers: they ask for metrics that something exports."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath, items, leaves, text
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.recorded import metrics
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_DASHBOARDS = Path("infra/monitoring/dashboards")  # which `harness generate` makes JSON of


@dataclass(frozen=True, slots=True)
class _Query:
    """PromQL of an object, or of a dashboard that it holds."""

    holder: Object
    expression: str
    where: KeyPath
    dashboard: str = ""

    def problem(self, project: Project, message: str, name: str) -> Problem:
        """A problem of the query; of a dashboard, where the file that people write names it."""
        path = str(_DASHBOARDS / f"{self.dashboard}.yaml")
        if self.dashboard and (project.repository.root / path).is_file():
            at = project.tree.mention((path,), rf"\b{name}\b")
            return Problem(message, at, str(self.holder))
        return problem(self.holder, message, *self.where)


def _queries(environment: Environment) -> Iterator[_Query]:
    for holder in environment.of("PrometheusRule"):
        for at, group in enumerate(items(holder.value, "spec", "groups")):
            for index, entry in enumerate(items(group, "rules")):
                entry_path = ("spec", "groups", at, "rules", index)
                yield _Query(holder, text(entry, "expr"), (*entry_path, "expr"))
    for scaled in environment.of("ScaledObject"):
        for index, trigger in enumerate(items(scaled.value, "spec", "triggers")):
            where = ("spec", "triggers", index, "metadata", "query")
            yield _Query(scaled, text(trigger, "metadata", "query"), where)
    for holder in environment.of("ConfigMap"):
        for path, content in leaves(holder.dig("data"), ("data",)):
            if str(path[-1]).endswith(".json") and '"expr":' in str(content):
                name = str(path[-1]).removesuffix(".json")
                for expression in _expressions(str(content)):
                    yield _Query(holder, expression, ("data", name), name)


@lru_cache(maxsize=64)  # environments have the same dashboards, and each rule asks
def _expressions(dashboard: str) -> tuple[str, ...]:
    try:
        content = json.loads(dashboard)
    except ValueError:
        return ()  # Grafana says so
    return tuple(str(each) for path, each in leaves(content) if path[-1] == "expr")


@rule(
    "monitoring/metrics",
    why="a query for what nothing exports or records finds nothing: the alert never fires, the "
    "panel stays empty, and both look as if all were well",
    fix="ask for a metric of docs/launcher.md, or for what a rule here records",
)
def metrics_exist(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        recorded = [
            text(entry, "record")
            for holder in environment.of("PrometheusRule")
            for group in items(holder.value, "spec", "groups")
            for entry in items(group, "rules")
        ]
        for query in _queries(environment):
            for name in metrics.unknown_to_us(query.expression):
                if query.holder.kind != "ScaledObject":  # autoscaling/query says so
                    message = f"no server exports {name}{did_you_mean(name, metrics.SERVERS)}"
                    yield query.problem(project, message, name)
            for name in metrics.rules_without_record(query.expression, recorded):
                message = f"no rule records {name}{did_you_mean(name, recorded)}"
                yield query.problem(project, message, name)


@rule(
    "monitoring/metrics-recorded",
    why="a metric that is not among those of the program which its name begins with is newer than "
    "what is recorded of that, or misspelt: then its alert never fires",
    fix="correct the name, or add it to harness/policy/recorded/exported_metrics.json",
    severity=Severity.WARNING,
)
def metrics_are_recorded(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        for query in _queries(environment):
            for name, known in metrics.without_record(query.expression):
                message = f"nothing is recorded to export {name}{did_you_mean(name, known)}"
                yield query.problem(project, message, name)
