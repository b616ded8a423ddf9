"""Monitoring: what is scraped and evaluated, what alerts say, and whether they notify anybody."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from harness.core.problem import Problem
from harness.core.values import KeyPath, Value, dig, items, leaves, mapping, text
from harness.policy.facts import expressions
from harness.policy.facts.graph import releases_of
from harness.policy.facts.origins import Origins, misspelt
from harness.policy.facts.pods import selects
from harness.policy.facts.population import NAME, PROMETHEUS
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_SPEC: KeyPath = ("prometheus", "prometheusSpec")
_ALERTMANAGER: KeyPath = ("alertmanager", "alertmanagerSpec")
# What chooses objects of a kind, in the values of the chart.
_CHOSEN_BY: dict[str, tuple[KeyPath, str]] = {
    "PodMonitor": (_SPEC, "podMonitor"),
    "ServiceMonitor": (_SPEC, "serviceMonitor"),
    "Probe": (_SPEC, "probe"),
    "PrometheusRule": (_SPEC, "rule"),
    "ScrapeConfig": (_SPEC, "scrapeConfig"),
    "AlertmanagerConfig": (_ALERTMANAGER, "alertmanagerConfig"),
}
_TESTS = Path("tests/monitoring")


@rule(
    "monitoring/selected",
    why="an object that Prometheus' selectors leave out is applied, reported ready and never read: "
    "nothing is scraped, no alert fires, nobody is notified",
    fix="let the selectors in the chart's values take it (podMonitorSelectorNilUsesHelmValues: "
    "false for every label), or put it into a namespace and give it labels that they take",
)
def selected(environment: Environment) -> Iterator[Problem]:
    for release in releases_of(environment, PROMETHEUS):
        values = mapping(release.value, "spec", "values")
        labels: dict[str, Value] = {
            each.name: {NAME: each.name, **each.labels} for each in environment.of("Namespace")
        }
        for kind, (at, name) in _CHOSEN_BY.items():
            within = dig(values, *at, f"{name}NamespaceSelector") or {}
            for each in environment.of(kind):
                if not selects(within, labels.get(each.namespace, {NAME: each.namespace})):
                    message = f"{name}NamespaceSelector of {release} leaves out {each.namespace}"
                    yield problem(each, message, "metadata", "namespace")
                elif not selects(_chosen(release, at, name), each.labels):
                    message = f"{name}Selector of {release} leaves it out"
                    yield problem(each, message, "metadata", "labels")


def _chosen(release: Object, at: KeyPath, name: str) -> object:
    """The selector that the chart makes of its values: by default of its own label."""
    values = mapping(release.value, "spec", "values", *at)
    selector = values.get(f"{name}Selector")
    as_default = values.get(f"{name}SelectorNilUsesHelmValues", at == _SPEC)
    if selector or not as_default:
        return selector or {}
    return {"matchLabels": {"release": text(release.value, "spec", "releaseName") or release.name}}


def _alerts(environment: Environment) -> Iterator[tuple[Object, KeyPath, Value]]:
    """Each alert of this repository, with the object that has it and where."""
    for each in environment.of("PrometheusRule"):
        for at, group in enumerate(items(each.value, "spec", "groups")):
            for index, entry in enumerate(items(group, "rules")):
                if text(entry, "alert"):
                    yield each, ("spec", "groups", at, "rules", index), mapping(entry)


@rule(
    "monitoring/alert-described",
    why="whoever is woken at night has the alert's own words alone: without a severity no route "
    "takes it, without a summary and a runbook nobody knows what it means and what to do",
    fix="give it labels.severity, annotations.summary and annotations.runbook_url",
)
def alert_described(environment: Environment) -> Iterator[Problem]:
    for holder, where, alert in _alerts(environment):
        required_keys = (
            ("labels", "severity"),
            ("annotations", "summary"),
            ("annotations", "runbook_url"),
        )
        lacking = [path for path in required_keys if not text(alert, *path)]
        if lacking:
            names = " and ".join(".".join(path) for path in lacking)
            yield problem(holder, f"{text(alert, 'alert')} has no {names}", *where, "alert")


_SHOWN = re.compile(r"\$labels\.(\w+)")


@rule(
    "monitoring/labels",
    why="what an expression does not give, an alert's text cannot show: it says `a worker of  does "
    "not come back`, and whoever is woken does not know of what",
    fix="name the label in the expression's `by (...)`, or another one in the text",
)
def labels_are_given(environment: Environment) -> Iterator[Problem]:
    for holder, where, alert in _alerts(environment):
        expression = text(alert, "expr")
        aggregates = re.search(r"\bby\s*\(", expression) and "without" not in expression
        for key, written in mapping(alert, "annotations").items() if aggregates else ():
            for label in dict.fromkeys(_SHOWN.findall(str(written))):
                if re.search(rf"\b{label}\b", expression):
                    continue
                message = f"{text(alert, 'alert')} shows {label}, which its expression drops"
                near = difflib.get_close_matches(label, re.findall(r"\w+", expression), 1, 0.8)
                at = ("expr",) if near else ("annotations", str(key))
                yield problem(holder, message + (f": {near[0]}?" if near else ""), *where, *at)


@rule(
    "monitoring/inhibits",
    why="an inhibition names alerts letter by letter: one that is misspelt holds nothing back, and "
    "at night one cause wakes somebody many times",
    fix="write the name of an alert as its rule has it",
)
def inhibitions_name_alerts(environment: Environment) -> Iterator[Problem]:
    names = {text(alert, "alert") for _, _, alert in _alerts(environment)}
    for config in environment.of("AlertmanagerConfig"):
        for path, written in leaves(config.dig("spec"), ("spec",)):
            around = path[:-1]
            is_alert = path[-1] == "value" and config.dig(*around, "name") == "alertname"
            for name in str(written).split("|") if is_alert else ():
                if name not in names and (meant := misspelt(name, names)):
                    message = f"there is no alert {name}; {meant} is meant?"
                    yield problem(config, message, *path, to=str(written).replace(name, meant))


@rule(
    "monitoring/severity",
    why="Alertmanager compares a severity letter by letter: one that is misspelt is taken by no "
    "route, and nobody is notified",
    fix="write a severity that the routes of the AlertmanagerConfig take",
)
def severity_has_a_route(environment: Environment) -> Iterator[Problem]:
    names = [
        name
        for config in environment.of("AlertmanagerConfig")
        for _, route in _routes(mapping(config.value, "spec", "route"), ("spec", "route"))
        for matcher in items(route, "matchers")
        if text(matcher, "name") == "severity"
        for name in text(matcher, "value").split("|")
    ]
    for holder, where, alert in _alerts(environment):
        severity = text(alert, "labels", "severity")
        near = difflib.get_close_matches(severity, names, n=1)
        if severity not in names and near:
            message = f"{text(alert, 'alert')}: no route takes {severity}; {near[0]} is meant?"
            yield problem(holder, message, *where, "labels", "severity", to=near[0])


@rule(
    "monitoring/alert-tested",
    why="an alert that nobody has seen fire may never do so: a misspelt label, a wrong unit, a "
    "time that is too long",
    fix="add a test to tests/monitoring (promtool's own form) in which it stays silent, fires and "
    "resolves",
)
def alert_tested(project: Project) -> Iterator[Problem]:
    files = sorted((project.repository.root / _TESTS).glob("*.yaml"))
    tested = {
        text(case, "alertname")
        for path in files
        for parsed in project.documents(str(path.relative_to(project.repository.root)))
        for test in items(parsed.value, "tests")
        for case in items(test, "alert_rule_test")
    }
    for environment in project.environments.values() if files else ():
        for holder, where, alert in _alerts(environment):
            name = text(alert, "alert")
            if name not in tested:
                yield problem(holder, f"{name} has no test in {_TESTS}", *where, "alert")


@rule(
    "monitoring/expressions",
    why="the operator's webhook refuses the object, or Prometheus the whole file: no alert of it "
    "ever fires",
    fix="correct the expression or the template as Prometheus says",
)
def expressions_parse(project: Project) -> Iterator[Problem]:
    for environment in project.environments.values():
        for holder in environment.of("PrometheusRule"):
            for where, why in _faults(project, holder):
                name = text(holder.value, *where, "alert") or text(holder.value, *where, "record")
                field = "annotations" if "template" in why else "expr"
                yield problem(holder, f"{name}: {why}", *where, field)


def _faults(project: Project, holder: Object) -> list[tuple[KeyPath, str]]:
    """What promtool says of an object, which two environments may have."""
    key = f"faults of {holder.digest}"
    return project.remember(key, lambda: list(expressions.faults(project.repository, holder)))


@rule(
    "monitoring/receivers",
    why="the operator leaves out an AlertmanagerConfig with such a fault, and goes on with the "
    "others: alerts fire and nobody is notified",
    fix="name a receiver of the same object, and a key that the Secret has",
)
def receivers(environment: Environment) -> Iterator[Problem]:
    for config in environment.of("AlertmanagerConfig"):
        known = {text(each, "name") for each in items(config.value, "spec", "receivers")}
        for where, route in _routes(mapping(config.value, "spec", "route"), ("spec", "route")):
            name = text(route, "receiver")
            if name and name not in known:
                yield problem(config, f"there is no receiver {name}", *where, "receiver")
        for where, name, key in _secrets(config):
            secret = environment.find("Secret", name, config.namespace)
            parts = ("data", "stringData")
            if secret and not any(key in mapping(secret.value, part) for part in parts):
                yield problem(config, f"{secret} has no key {key}", *where, "key")


def _routes(route: Value, where: KeyPath) -> Iterator[tuple[KeyPath, Value]]:
    """A route and those below it, each with where it is."""
    yield where, route
    for index, below in enumerate(items(route, "routes")):
        yield from _routes(mapping(below), (*where, "routes", index))


def _secrets(config: Object) -> Iterator[tuple[KeyPath, str, str]]:
    """The Secrets that receivers have addresses and tokens from: where, name and key."""
    for path, key in leaves(items(config.value, "spec", "receivers"), ("spec", "receivers")):
        around = path[:-1]
        name = text(config.value, *around, "name")
        if path[-1] == "key" and name and "configMap" not in path:
            yield around, name, str(key)


@rule(
    "monitoring/told",
    why="alerts fire, Alertmanager shows them to whoever looks, and nobody is notified",
    fix="bring the Secret with the addresses of the receivers: docs/monitoring.md says how",
    severity=Severity.WARNING,
)
def told(project: Project) -> Iterator[Problem]:
    for name in project.sources:
        environment = project.environments[name]
        # Without a domain nobody is served yet.
        if any(each.key.endswith("DOMAIN") for each in environment.unset):
            continue
        for release in releases_of(environment, PROMETHEUS):
            faults = [_silence(environment, each) for each in environment.of("AlertmanagerConfig")]
            if not _tells(release) and None not in faults:
                message = "nobody is notified of alerts"
                silent = problem(release, message, "spec", "values", "alertmanager")
                yield next(filter(None, faults), silent)


def _tells(release: Object) -> bool:
    """Whether the chart's own values have a receiver that is more than a name."""
    where = ("spec", "values", "alertmanager", "config", "receivers")
    return any(len(mapping(each)) > 1 for each in items(release.value, *where))


def _silence(environment: Environment, config: Object) -> Problem | None:
    """Why an AlertmanagerConfig tells nobody; None if it does."""
    origins = Origins(environment)
    for where, name, _ in _secrets(config):
        is_there = environment.find("Secret", name, config.namespace)
        if not is_there and not origins.may_have("Secret", name, config.namespace, by_hand=False):
            message = (
                f"nobody is notified of alerts: there is no Secret {name} in {config.namespace}"
            )
            return problem(config, message, *where, "name")
    is_addressed = any(len(mapping(each)) > 1 for each in items(config.value, "spec", "receivers"))
    message = "nobody is notified of alerts: no receiver has an address"
    return None if is_addressed else problem(config, message, "spec", "receivers")
