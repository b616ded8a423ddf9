"""What production runs with, the environment before it has run with: the table says what counts."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.core.problem import Location, Problem
from harness.core.values import KeyPath, Value, dig, items, mapping, text
from harness.core.yamlfile import Document
from harness.policy.facts.serving import Server, servers
from harness.policy.facts.site import without
from harness.policy.project import Project, twins
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

# Fields of objects in which two environments must agree. What is not here may differ: replicas,
# sizes, time limits that follow from them, hosts, receivers of alerts.
_FIELDS: dict[str, tuple[KeyPath, ...]] = {
    "HelmRelease": (
        ("spec", "test", "enable"),
        *(("spec", action, "disableHooks") for action in ("install", "upgrade")),
        *(("spec", action, "disableWait") for action in ("install", "upgrade")),
        *(("spec", action, "crds") for action in ("install", "upgrade")),
        ("spec", "install", "strategy", "name"),
        ("spec", "upgrade", "strategy", "name"),
        ("spec", "upgrade", "remediation", "strategy"),
        ("spec", "upgrade", "force"),
        ("spec", "driftDetection", "mode"),
        ("spec", "postRenderers"),
        ("spec", "dependsOn"),
    ),
    "Kustomization": (
        *(("spec", key) for key in ("dependsOn", "wait", "prune", "force", "healthChecks")),
        *(("spec", key) for key in ("healthCheckExprs", "patches", "images", "components")),
        ("spec", "targetNamespace"),
    ),
    "FluxInstance": (
        ("spec", "components"),
        ("spec", "kustomize", "patches"),
        ("spec", "cluster", "networkPolicy"),
        ("spec", "cluster", "multitenant"),
    ),
}
# Fields that hold a version: staging goes first, production never does.
_VERSIONS: dict[str, KeyPath] = {
    "OCIRepository": ("spec", "ref", "tag"),
    "HelmRelease": ("spec", "chart", "spec", "version"),
    "FluxInstance": ("spec", "distribution", "version"),
}
# Of config.properties, what follows the size of a node or a load, or what only counts.
_BY_SIZE = re.compile(
    r"number_of_gpu|number_of_netty_threads|netty_client_threads|job_queue_size|vmargs"
    r"|default_workers_per_model|model_snapshot|(initial|maximum)_worker_port.*"
    r"|launcher_latency_bounds"
)
# Variables that change what a model or TorchServe computes; others are of a place, such as its log.
_COMPUTES = re.compile(
    r"(TS|TORCH\w*|PYTORCH|CUDA|CUBLAS|NVIDIA|HF|TRANSFORMERS|JAVA\w*)_\w+|LD_PRELOAD"
)
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:[-+].*)?")
_FIX = (
    "make both agree, whichever was meant: a change goes to staging first, soaks there, is "
    "load-tested, and then comes to production"
)


@rule(
    "environments/proven-settings",
    why="a setting that only production has was tried by nobody: the report of staging's load test "
    "and its soak are of other software",
    fix=_FIX,
)
def proven_settings(project: Project) -> Iterator[Problem]:
    for source, target in project.promotions:
        ours, theirs = without(source), without(target)
        for kind, paths in _FIELDS.items():
            for proving, taking in twins(source, target, kind):
                sides = _Side(source, proving, ours), _Side(target, taking, theirs)
                for path in paths:
                    yield from _differing(*sides, path)
        yield from _servers(project, source, target)


@dataclass(frozen=True, slots=True)
class _Side:
    """An object of an environment; ``plain`` takes out of a text what is the site's own."""

    environment: Environment
    subject: Object
    plain: Callable[[str], str]

    def value(self, path: KeyPath) -> object:
        return self.subject.dig(*path)

    def problem(self, message: str, path: KeyPath) -> Problem:
        return problem(self.subject, message, *path)


def _differing(source: _Side, target: _Side, path: KeyPath) -> Iterator[Problem]:
    """One problem where the two differ, at the one that has less: most often it was forgotten."""
    ours, theirs = source.value(path), target.value(path)
    if source.plain(str(ours)) == target.plain(str(theirs)):
        return
    name = path[-1]
    if isinstance(ours or theirs, list):
        lists = (ours if isinstance(ours, list) else [], theirs if isinstance(theirs, list) else [])
        missing = [_words(each) for each in lists[0] if each not in lists[1]]
        more = [_words(each) for each in lists[1] if each not in lists[0]]
        if missing:
            what = f"has no {missing[0]}, which {source.environment.name} has"
            yield target.problem(f"{name} {what}", path)
        elif more:
            what = f"has no {more[0]}, which {target.environment.name} has"
            yield source.problem(f"{name} {what}", path)
    elif theirs and not ours and source.subject.dig(*path) is not None:
        message = f"{name} is {_words(ours)}, in {target.environment.name} {_words(theirs)}"
        yield source.problem(message, path)
    elif bool(ours) != bool(theirs) or (ours and theirs):
        message = f"{name} is {_words(theirs)}, in {source.environment.name} {_words(ours)}"
        yield target.problem(message, path)


def _words(field: object) -> str:
    if isinstance(field, dict):
        name = field.get("name") or field.get("kind")
        if target := mapping(field, "target"):  # of a patch
            return f"patch of {text(target, 'kind')} {text(target, 'name')}".rstrip()
        return str(name or ", ".join(map(str, field)))
    if field is None:
        return "not set"
    return str(field).lower() if isinstance(field, bool) else str(field)


def _servers(project: Project, source: Environment, target: Environment) -> Iterator[Problem]:
    ours = {server.group: server for server in servers(source)}
    models = {
        key: (server, each) for server in ours.values() for key, each in server.models.items()
    }
    for server in servers(target):
        if proving := ours.get(server.group):
            yield from _options(project, proving, server)
            yield from _variables(proving, server)
        for key, model in server.models.items():
            if key in models:
                yield from _model(project, key, models[key], (server, model))


def _options(project: Project, ours: Server, theirs: Server) -> Iterator[Problem]:
    for key in sorted(set(ours.entries) | set(theirs.entries)):
        if not _BY_SIZE.fullmatch(key) and ours.setting(key) != theirs.setting(key):
            name = ours.environment.name
            message = f"{key} is {_set(theirs, key)}, in {name} {_set(ours, key)}"
            camel = re.sub(r"_(\w)", lambda match: match[1].upper(), key)
            yield Problem(message, _place(project, theirs, ("server", camel)))


def _set(server: Server, key: str) -> str:
    return server.setting(key) or "not set"


def _model(
    project: Project, key: str, ours: tuple[Server, Value], theirs: tuple[Server, Value]
) -> Iterator[Problem]:
    (source, proven), (target, served) = ours, theirs
    ignored = {"marName", "defaultVersion"}  # archives are another rule's
    if _size(source) != _size(target):
        ignored |= {"minWorkers", "maxWorkers"}
    name = key.partition("/")[0]
    differing = [
        setting
        for setting in sorted({*proven, *served} - ignored)
        if proven.get(setting) != served.get(setting)
    ]
    if differing:
        in_target, in_source = (
            ", ".join(f"{setting} {each.get(setting)}" for setting in differing)
            for each in (served, proven)
        )
        at = _place(project, target, ("models", name, differing[0]))
        yield Problem(f"{name} has {in_target}; in {source.environment.name}: {in_source}", at)


def _size(server: Server) -> object:
    resources = mapping(server.container.value, "resources")
    return str(resources), server.setting("number_of_gpu")


def _place(project: Project, server: Server, path: KeyPath) -> Location:
    """The line of serving.yaml; the generated file's, where that does not exist."""
    env = server.environment.name
    file = f"apps/torchserve/{env}/{server.group}/serving.yaml"
    documents = project.documents(file)
    return documents[0].at(path) if documents else server.problem("", "model_snapshot").location


def _variables(ours: Server, theirs: Server) -> Iterator[Problem]:
    proven, used = _values(ours), _values(theirs)
    for name in sorted(set(proven) | set(used)):
        if _COMPUTES.fullmatch(name) and proven.get(name) != used.get(name):
            index = list(used).index(name) if name in used else 0
            source = ours.environment.name
            message = (
                f"{name} is {used.get(name, 'not set')}, in {source} {proven.get(name, 'not set')}"
            )
            yield theirs.container.problem(message, "env", index)


def _values(server: Server) -> dict[str, str]:
    plain = without(server.environment)
    return {
        text(each, "name"): plain(str(dig(each, "value") or mapping(each, "valueFrom")))
        for each in items(server.container.value, "env")
    }


@rule(
    "environments/proven-versions",
    why="a new version of Flux, Kubernetes or a chart that comes to production first shows its "
    "faults to users",
    fix=_FIX,
)
def proven_versions(project: Project) -> Iterator[Problem]:
    for source, target in project.promotions:
        for kind, path in _VERSIONS.items():
            for proving, taking in twins(source, target, kind):
                if message := _ahead(proving.dig(*path), taking.dig(*path), source.name):
                    yield problem(taking, message, *path)
        ours, theirs = (_cluster(project, each.name) for each in (source, target))
        if ours and theirs:
            version = ("metadata", "version")
            if message := _ahead(
                dig(ours.value, *version), dig(theirs.value, *version), source.name
            ):
                yield Problem(f"Kubernetes: {message}", theirs.at(version))


def _cluster(project: Project, env: str) -> Document | None:
    return next(iter(project.documents(f"clusters/{env}/eksctl.yaml")), None)


def _ahead(ours: object, theirs: object, source: str) -> str:
    """What to say if ``theirs`` is the newer of two versions; of a range nobody can tell."""
    newer = _numbers(theirs) > _numbers(ours) > ()
    return f"{theirs} is newer than {source}'s {ours}" if newer else ""


def _numbers(version: object) -> tuple[int, ...]:
    exact = _VERSION.fullmatch(str(version))
    return tuple(map(int, exact[1].split("."))) if exact else ()
