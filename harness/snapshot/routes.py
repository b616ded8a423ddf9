"""httproute.yaml and grpcroute.yaml: which requests the gateway hands to a group.

    group = Group("vision", first=False, models=("cat", "dog"), protocols=("torchserve",))
    routes.dump(routes.http_routes(group))

A model's path is more specific than the gateway's own route ``/predictions``, so it wins, whichever
came first. gRPC names the model inside the message, where no route sees it: each group has a host.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

from harness.core.errors import InputError

NAMESPACE = "torchserve"
HOST = "torchserve.${DOMAIN}"
GRPC_HOST = "torchserve-grpc.${DOMAIN}"
GRPC_SERVICE = "org.pytorch.serve.grpc.inference.InferenceAPIsService"
GRPC_OIP_SERVICE = "org.pytorch.serve.grpc.openinference.GRPCInferenceService"
OIP_SERVICE = "inference.GRPCInferenceService"
"""The same service as the protocol itself calls it, and all of its clients."""

MATCHES_OF_RULE = 64
MATCHES_OF_ROUTE = 128
"""The limits of Gateway API 1.6: httproutes.yaml's maxItems, and its rule about their sum."""

IF_NOT_PRESENT = "kustomize.toolkit.fluxcd.io/ssa"
"""Flux's annotation of what it creates once and never changes."""

_SCHEMA = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/datreeio/CRDs-catalog/main/"
    "gateway.networking.k8s.io/{kind}_v1.json\n"
)
_SAFE = "-._~!$&'()*+,;=:@"  # what an element of a path may hold as it is: RFC 3986, 3.3

_OF_MODEL = re.compile(
    r"/(?:predictions|explanations|v2/models)/([^/]+)(?:/.*)?"
    r"|/v1/models/([^/]+):(?:predict|explain)"
    r"|/models/([^/]+)/invoke"
)

Object = dict[str, Any]


class Protocol(StrEnum):
    """A family of paths under which TorchServe's front end takes predictions."""

    TORCHSERVE = "torchserve"
    KSERVE_V1 = "kserve-v1"
    OIP = "oip"
    SAGEMAKER = "sagemaker"


@dataclass(frozen=True, slots=True)
class Cors:
    """What a browser may do, as TorchServe's keys ``cors_allowed_…`` have it: comma-separated."""

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """What the routes of a group are made of.

    Attributes:
        name: of the group, its Helm release and its Service.
        first: it answers what no group claims, and has the gateway's own gRPC host.
        models: the names of those that get their requests here.
        protocols: the families of paths that are let through.
        cors: for browsers of other origins; None leaves them out.
        canary: Flagger writes the route once it is there; Flux makes it and leaves it alone.
    """

    name: str
    first: bool
    models: Sequence[str]
    protocols: Sequence[Protocol] = (Protocol.TORCHSERVE,)
    cors: Cors | None = None
    canary: bool = False


def http_routes(group: Group) -> list[Object]:
    """The HTTPRoutes of a group, none for one without models.

    What does not fit into one route is spread over two, four, …, by the hash of a model's name: a
    model that is added moves no other one. Their number stands in their names, so that all the new
    ones are there before an old one is pruned.
    """
    matches = {name: list(_matches(name, group.protocols)) for name in sorted(group.models)}
    shared = list(_server_matches(group.protocols)) if matches else []
    parts = _spread(matches, MATCHES_OF_ROUTE - len(shared))
    parts[0] = shared + parts[0]
    names = [f"{group.name}-models"]
    if len(parts) > 1:
        names = [f"{names[0]}-{index}-of-{len(parts)}" for index, _ in enumerate(parts, 1)]
    routes = [_http_route(group, *part) for part in zip(names, parts, strict=True) if part[1]]
    for route in routes if group.canary else ():
        route["metadata"]["annotations"] = {IF_NOT_PRESENT: "IfNotPresent"}
    return routes + [_renamed_service(group)] * (Protocol.OIP in group.protocols and bool(matches))


def canary_matches(group: Group) -> list[Object]:
    """The group's requests as a Canary has them: Flagger writes one rule of one route of them.

    Raises:
        InputError: they are more than a rule has, or need what Flagger does not write.
    """
    routes = http_routes(group)
    rules = [rule for route in routes if _by_paths(route) for rule in route["spec"]["rules"]]
    if len(rules) > 1 or group.cors:
        what = "server.corsAllowedOrigin" if group.cors else f"{len(group.models)} models"
        raise InputError(
            f"canary: a Canary's route has one rule without filters, which {what} does not fit",
            hint="serve fewer models in this group (docs/groups.md), or leave canary out",
        )
    return [_canary_match(match) for rule in rules for match in rule["matches"]]


def _by_paths(route: Object) -> bool:
    """Whether a route is of the host of all groups, and not gRPC under another name."""
    return bool(route["spec"]["hostnames"] == [HOST])


def _canary_match(match: Mapping[str, Any]) -> Object:
    kind = {"PathPrefix": "prefix", "Exact": "exact"}[match["path"]["type"]]
    query = {each["name"]: {"exact": each["value"]} for each in match.get("queryParams", ())}
    return {"uri": {kind: match["path"]["value"]}, **({"queryParams": query} if query else {})}


def grpc_route(group: Group) -> Object:
    """The GRPCRoute of a group; a model of another group is unknown at its host."""
    services = [GRPC_SERVICE] + [GRPC_OIP_SERVICE] * (Protocol.OIP in group.protocols)
    rule = {
        "matches": [{"method": {"service": service}} for service in services],
        "backendRefs": [{"name": group.name, "port": 7070}],
    }
    return _route("GRPCRoute", f"{group.name}-models", grpc_host(group), [rule])


def grpc_host(group: Group) -> str:
    """The host that gRPC's clients of a group's models call."""
    return GRPC_HOST if group.first else f"{group.name}.{GRPC_HOST}"


def element(model: str) -> str:
    """A model's name as an element of a path."""
    return quote(model, safe=_SAFE)


def model_of(path: str) -> str | None:
    """The model that a request's path names, by any of the protocols; None where it names none."""
    parts = urlsplit(path)
    if parts.path == "/invocations":
        return next(iter(parse_qs(parts.query).get("model_name", [])), None)
    if matched := _OF_MODEL.fullmatch(parts.path):
        return unquote(next(filter(None, matched.groups())))
    return None


def dump(header: str, objects: Sequence[Object]) -> str:
    """Routes as the text of a file; a comment alone if there are none."""
    kind = str(objects[0]["kind"]).lower() if objects else ""
    schema = _SCHEMA.format(kind=kind) if kind else ""
    return schema + header + yaml.safe_dump_all(objects, sort_keys=False, explicit_start=False)


def _matches(model: str, protocols: Sequence[Protocol]) -> Iterator[Object]:
    """The matches of one model: a prefix ends at an element, so ``cat`` is not ``cats``."""
    name = element(model)
    if Protocol.TORCHSERVE in protocols:
        yield _prefix(f"/predictions/{name}")
        yield _prefix(f"/explanations/{name}")
    if Protocol.KSERVE_V1 in protocols:
        yield _exact(f"/v1/models/{name}:predict")
        yield _exact(f"/v1/models/{name}:explain")
    if Protocol.OIP in protocols:
        yield _prefix(f"/v2/models/{name}")
    if Protocol.SAGEMAKER in protocols:
        yield {**_exact("/invocations"), "queryParams": [{"name": "model_name", "value": model}]}
        yield _exact(f"/models/{name}/invoke")


def _server_matches(protocols: Sequence[Protocol]) -> Iterator[Object]:
    """What names no model: any group that speaks the protocol may answer it."""
    if Protocol.OIP in protocols:
        yield _exact("/v2")
        yield _prefix("/v2/health")


def _prefix(path: str) -> dict[str, object]:
    return {"path": {"type": "PathPrefix", "value": path}}


def _exact(path: str) -> dict[str, object]:
    return {"path": {"type": "Exact", "value": path}}


def _spread(matches: Mapping[str, list[Object]], limit: int) -> list[list[Object]]:
    """The matches in the fewest parts, a power of two, that hold at most ``limit`` each."""
    count = 1
    while True:
        parts: list[list[Object]] = [[] for _ in range(count)]
        for name, of_model in matches.items():
            digest = hashlib.sha256(name.encode()).digest()
            parts[int.from_bytes(digest[:4]) % count].extend(of_model)
        if all(len(part) <= limit for part in parts):
            return parts
        count *= 2


def _http_route(group: Group, name: str, matches: Sequence[Object]) -> Object:
    filters = [{"type": "CORS", "cors": _cors(group.cors)}] if group.cors else []
    rules = [
        {
            "matches": list(matches[start : start + MATCHES_OF_RULE]),
            **({"filters": filters} if filters else {}),
            "backendRefs": [{"name": group.name, "port": 8080}],
        }
        for start in range(0, len(matches), MATCHES_OF_RULE)
    ]
    return _route("HTTPRoute", name, HOST, rules)


def _renamed_service(group: Group) -> Object:
    """A route for clients that come with the Open Inference Protocol's own name of its service.

    A gRPC call is an HTTP/2 request whose path names the service, and the messages are the same; a
    GRPCRoute cannot rewrite it. Its host is one of its own: kinds may not share one on a listener.
    """
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": f"/{GRPC_OIP_SERVICE}"}}
    rule = {
        "matches": [_prefix(f"/{OIP_SERVICE}")],
        "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}],
        "backendRefs": [{"name": group.name, "port": 7070}],
    }
    return _route("HTTPRoute", f"{group.name}-v2", f"{group.name}-v2.{GRPC_HOST}", [rule])


def _cors(cors: Cors) -> Object:
    parts = {
        "allowOrigins": cors.origins,
        "allowMethods": cors.methods,
        "allowHeaders": cors.headers,
    }
    return {key: list(values) for key, values in parts.items() if values}


def _route(kind: str, name: str, host: str, rules: Sequence[Object]) -> Object:
    parent = {"name": NAMESPACE, "namespace": "envoy-gateway-system", "sectionName": "https"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"parentRefs": [parent], "hostnames": [host], "rules": list(rules)},
    }
