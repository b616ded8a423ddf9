"""Routes of the models: each model's requests reach a server that has it."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.values import KeyPath, Value, items, mapping, text
from harness.policy.facts.pods import pods_of_service
from harness.policy.facts.serving import Server, servers
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.snapshot.routes import element


@dataclass(frozen=True, slots=True)
class _Match:
    """One match of a route: what it is about, where it stands, and where its requests go."""

    route: Object
    match: Value
    where: KeyPath
    targets: list[object]

    @property
    def path(self) -> str:
        return text(self.match, "path", "value")

    @property
    def same_as(self) -> str:
        """Equal for two matches that no gateway can tell apart."""
        kind = text(self.match, "path", "type") or "PathPrefix"
        hosts = items(self.route.value, "spec", "hostnames")
        return str((kind, dict(sorted(self.match.items())), hosts))

    def covers(self, path: str) -> bool:
        """Whether it is a prefix of a path: one ends at an element (Gateway API)."""
        return f"{path}/".startswith(f"{self.path.rstrip('/')}/")


def _matches(environment: Environment) -> Iterator[_Match]:
    for route in environment.of("HTTPRoute"):
        for at, choice in enumerate(items(route.value, "spec", "rules")):
            for index, match in enumerate(items(choice, "matches")):
                where = ("spec", "rules", at, "matches", index)
                yield _Match(route, mapping(match), where, items(choice, "backendRefs"))


@rule(
    "routes/once",
    why="of two routes for one path the older decides, whichever group it belongs to",
    fix="leave the model in one group, and name it under `unrouted` in the other's serving.yaml; "
    "then `make snapshot`",
)
def once(environment: Environment) -> Iterator[Problem]:
    earlier: dict[str, Object] = {}
    for match in _matches(environment):
        other = earlier.setdefault(match.same_as, match.route)
        shared = match.path.startswith("/v2") and not match.path.startswith("/v2/models")
        if other is not match.route and not shared:
            yield problem(match.route, f"{match.path} is a path of {other} too", *match.where)


@rule(
    "routes/own-group",
    why="a model whose requests reach another group's server, or none, answers 404",
    fix="`make snapshot` writes each group's routes; their Service has the group's name",
)
def own_group(environment: Environment) -> Iterator[Problem]:
    matches = list(_matches(environment))
    for name, having in _servers_of_models(environment).items() if matches else ():
        path = f"/predictions/{element(name)}"
        around = [match for match in matches if match.covers(path)]
        match = max(around, key=lambda each: len(each.path), default=None)
        if match is None:
            yield having[0].problem(f"no route leads to {name}", "model_snapshot")
        elif wrong := _leads_elsewhere(environment, match, having):
            message = f"{path} leads to {wrong}, where {name} is not served"
            yield problem(match.route, message, *match.where)


def _servers_of_models(environment: Environment) -> dict[str, list[Server]]:
    having: dict[str, list[Server]] = {}
    for server in servers(environment):
        for name in sorted({versioned.rpartition("/")[0] for versioned in server.models}):
            having.setdefault(name, []).append(server)
    return having


def _leads_elsewhere(
    environment: Environment, match: _Match, having: list[Server]
) -> Object | None:
    """The Service behind a match that selects no pod of the servers that have a model."""
    for target in match.targets:
        namespace = text(target, "namespace") or match.route.namespace
        service = environment.find("Service", text(target, "name"), namespace)
        if service and not any(
            server.pod in pods_of_service(service, environment) for server in having
        ):
            return service
    return None


_OF_MODELS = ("/predictions", "/explanations", "/v1/models", "/v2/models")


@rule(
    "routes/path",
    why="clients ask /predictions/NAME: an exact match of the path before the name is one that "
    "nobody asks, and every prediction answers 404",
    fix="type: PathPrefix",
)
def paths_are_asked(environment: Environment) -> Iterator[Problem]:
    for match in _matches(environment):
        if text(match.match, "path", "type") == "Exact" and match.path.rstrip("/") in _OF_MODELS:
            message = f"no client asks {match.path} itself: models are below it"
            yield problem(match.route, message, *match.where, "path", "type", to="PathPrefix")
