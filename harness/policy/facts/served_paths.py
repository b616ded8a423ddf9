"""What the servers behind a route are asked for, after the route has rewritten it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.values import KeyPath, Value, items, mapping, text
from harness.render.objects import Object
from harness.render.rendered import Environment

_INFERENCE = re.compile(
    r"/(predictions|explanations)(/.+)?|/ping|/api-description|/invocations|/models/[^/]+/invoke"
    r"|/v1/models/[^/]+:(predict|explain)|/v2/models/.+|/v2/health(/.+)?"
    r"|/(org\.pytorch\.serve\.grpc\.open)?inference\.GRPCInferenceService"
)
_SERVICES = (
    "org.pytorch.serve.grpc.inference.InferenceAPIsService",
    "inference.GRPCInferenceService",
    "org.pytorch.serve.grpc.openinference.GRPCInferenceService",
    "grpc.health.v1.Health",
)
# What a regular expression must not reach: TorchServe's other paths, and whatever has no name.
# https://docs.pytorch.org/serve/management_api.html
_CLOSED = (
    *("/models", "/models/", "/models/name", "/models/name/1.0", "/models/name/set-default"),
    *("/workflows", "/workflows/name", "/metrics", "/v1/models", "/v2", "/v2/", "/", "/other"),
)
_CLOSED_SERVICES = (
    "org.pytorch.serve.grpc.management.ManagementAPIsService",
    "grpc.reflection.v1.ServerReflection",
)


@dataclass(frozen=True, slots=True)
class Opening:
    """A path (or gRPC service) that a route opens and should not, and the place that opens it."""

    route: Object
    what: str
    where: KeyPath


def openings(environment: Environment) -> Iterator[Opening]:
    """What routes open of the servers beyond the inference API."""
    for route in environment.of("HTTPRoute"):
        for at, choice in enumerate(items(route.value, "spec", "rules")):
            where: KeyPath = ("spec", "rules", at)
            if not items(choice, "backendRefs"):
                continue
            rewrite = _rewrite(environment, route, choice)
            matches = [mapping(each) for each in items(choice, "matches")]
            for index, match in enumerate(matches or [{}]):
                below = (*where, "matches", index) if matches else where
                kind, path = text(match, "path", "type") or "PathPrefix", _path(match)
                if rewrite and kind in rewrite.matches:
                    kind, path, below = rewrite.kind, rewrite.path, (*where, *rewrite.where)
                if not _is_inference(kind, path):
                    yield Opening(route, path if matches else "every path", below)
    for route in environment.of("GRPCRoute"):
        for at, choice in enumerate(items(route.value, "spec", "rules")):
            yield from _services(route, choice, ("spec", "rules", at))


def _path(match: Value) -> str:
    return text(match, "path", "value") or "/"


@dataclass(frozen=True, slots=True)
class _Rewrite:
    """What the servers get instead of the path that matched, and from which kinds of match."""

    kind: str
    path: str
    where: KeyPath
    matches: tuple[str, ...] = ("Exact", "PathPrefix", "RegularExpression")


def _rewrite(environment: Environment, route: Object, choice: object) -> _Rewrite | None:
    for index, item in enumerate(items(choice, "filters")):
        where: KeyPath = ("filters", index)
        path = mapping(item, "urlRewrite", "path")
        if text(path, "type") == "ReplaceFullPath":
            return _Rewrite("Exact", text(path, "replaceFullPath") or "/", where)
        if text(path, "type") == "ReplacePrefixMatch":
            prefix = text(path, "replacePrefixMatch") or "/"
            return _Rewrite("PathPrefix", prefix, where, ("PathPrefix",))  # of prefixes alone
        if text(item, "extensionRef", "kind") == "HTTPRouteFilter":
            name = text(item, "extensionRef", "name")
            ours = environment.find("HTTPRouteFilter", name, route.namespace)
            path = mapping(ours and ours.value, "spec", "urlRewrite", "path")
            if substitution := text(path, "replaceRegexMatch", "substitution"):
                return _Rewrite("PathPrefix", re.split(r"\\\d", substitution)[0] or "/", where)
    return None


def _is_inference(kind: str, path: str) -> bool:
    if kind != "RegularExpression":
        exact = path if kind == "Exact" else path.rstrip("/") or "/"
        return bool(_INFERENCE.fullmatch(exact)) or (kind == "Exact" and path == "/v2")
    return _reaches_none(path, _CLOSED)


def _reaches_none(pattern: str, closed: tuple[str, ...]) -> bool:
    try:
        return not any(re.fullmatch(pattern, each) for each in closed)
    except re.error:
        return False  # Envoy's RE2 knows what Python does not: nobody can say what it opens


def _services(route: Object, choice: object, where: KeyPath) -> Iterator[Opening]:
    matches = items(choice, "matches")
    for index, match in enumerate(matches):
        service = text(match, "method", "service")
        pattern = text(match, "method", "type") == "RegularExpression"
        if not (service in _SERVICES or (pattern and _reaches_none(service, _CLOSED_SERVICES))):
            yield Opening(route, service or "every service", (*where, "matches", index))
    if not matches and items(choice, "backendRefs"):
        yield Opening(route, "every service", where)
