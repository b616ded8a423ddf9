"""Callers of the gateway: each one known, by a token for this environment, and to models alone."""

import re
from collections.abc import Iterator

from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import KeyPath, dig, items, text
from harness.policy.facts.gateway_access import (
    Attachment,
    Passage,
    is_fail_open,
    is_optional,
    leads_to_receivers,
    passages,
)
from harness.policy.facts.served_paths import openings
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

_EXPIRES = re.compile(r"\bexp\b")
_WEAK = ("1.0", "1.1")  # versions of TLS


@rule(
    "gateway/authenticated",
    why="TorchServe's own tokens are off: without a policy here anyone has the GPUs for free; the "
    "policy nearest to a route holds alone, and of two on one target the older",
    fix="one SecurityPolicy with jwt (not optional), apiKeyAuth, oidc or extAuth for each target; "
    "cors and the like go into the same one, or into one with mergeType",
    references=("NSA/CISA C-0055",),
)
def callers_authenticate(environment: Environment) -> Iterator[Problem]:
    ways = [way for way in passages(environment) if not leads_to_receivers(way.route)]
    silent: dict[str, Attachment] = {}
    for way in ways:
        for each in way.in_force:
            if not way.asks(each) and str(each.policy) not in silent:
                silent[str(each.policy)] = each
                yield _silence(way, each)
    for gateway in {str(way.gateway): way.gateway for way in ways}.values():
        through = [way for way in ways if way.gateway is gateway]
        unguarded = {str(way.route): way.route for way in through if not way.in_force}
        if len(unguarded) == len({str(way.route) for way in through}):
            message = "no SecurityPolicy asks who its callers are"
            yield problem(gateway, message, "metadata", "name")
        else:
            for route in unguarded.values():
                message = "is open to anyone who reaches the gateway"
                yield problem(route, message, "metadata", "name")
    for patch in environment.of("EnvoyPatchPolicy"):
        message = "changes Envoy's own configuration: whether it still asks for tokens is not known"
        yield problem(patch, message, "spec", "jsonPatches")


def _silence(way: Passage, each: Attachment) -> Problem:
    if is_optional(each.policy):
        message = "lets in callers without a token"
        return problem(each.policy, message, "spec", "jwt", "optional", to=REMOVED)
    if is_fail_open(each.policy):
        message = "lets everybody in while its service does not answer"
        return problem(each.policy, message, "spec", "extAuth", "failOpen", to=REMOVED)
    target = text(each.policy.value, *each.where, "name") or str(way.route)
    other = next((old for level in way.levels for old in level if way.asks(old)), None)
    instead = f", and holds instead of {other.policy}" if other else ""
    return problem(each.policy, f"asks callers of {target} for nothing{instead}", *each.where)


@rule(
    "gateway/authorization",
    why="rules that let somebody in say nothing where everybody else is let in too: an "
    "authorization that refuses nobody only reads as protection",
    fix="defaultAction: Deny, and in the rules who may; or leave the authorization out",
    kinds=("SecurityPolicy",),
)
def authorization_refuses_somebody(policy: Object) -> Iterator[Problem]:
    where = ("spec", "authorization")
    rules = items(policy.value, *where, "rules")
    denies = any(text(each, "action") == "Deny" for each in rules)
    if policy.dig(*where) and text(policy.value, *where, "defaultAction") == "Allow" and not denies:
        yield problem(policy, "refuses nobody", *where, "defaultAction", to="Deny")
    for index, each in enumerate(rules):
        for at, block in enumerate(items(each, "principal", "clientCIDRs")):
            if text(each, "action") == "Allow" and block in ("0.0.0.0/0", "::/0"):
                place = (*where, "rules", index, "principal", "clientCIDRs", at)
                yield problem(policy, f"lets in every address ({block})", *place)


@rule(
    "gateway/tokens-for-us",
    why="a token that the same issuer gave to another program, or to staging, opens the gateway; "
    "keys that are fetched in the clear are those of whoever sits between",
    fix="in each provider: issuer, audiences (torchserve-${ENVIRONMENT}), and an https:// address "
    "in remoteJWKS.uri",
    references=("RFC 8725, 3.8 and 3.9",),
    kinds=("SecurityPolicy",),
)
def tokens_for_us(policy: Object) -> Iterator[Problem]:
    for index, provider in enumerate(items(policy.value, "spec", "jwt", "providers")):
        where: KeyPath = ("spec", "jwt", "providers", index)
        name, uri = text(provider, "name"), text(provider, "remoteJWKS", "uri")
        if not items(provider, "audiences"):
            yield problem(policy, f"{name} takes tokens for any audience", *where, "audiences")
        if not text(provider, "issuer"):
            yield problem(policy, f"{name} takes tokens of any issuer", *where, "issuer")
        if uri and not uri.startswith("https://"):
            yield problem(policy, f"reads keys from {uri}", *where, "remoteJWKS", "uri")


@rule(
    "gateway/tokens-expire",
    why="Envoy takes a token without `exp` for one that never ends: leaked once, it opens the "
    "gateway until the issuer changes its keys",
    fix="authorization: defaultAction Deny, and in each Allow rule a cel that asks for exp",
    kinds=("SecurityPolicy",),
)
def tokens_expire(policy: Object) -> Iterator[Problem]:
    where = ("spec", "authorization")
    allowing = [
        each
        for each in items(policy.value, *where, "rules")
        if text(each, "action") == "Allow" and not _EXPIRES.search(text(each, "cel"))
    ]
    by_default = not policy.dig(*where) or policy.dig(*where, "defaultAction") == "Allow"
    if policy.dig("spec", "jwt") and (by_default or allowing):
        yield problem(policy, "lets in tokens that never expire", *where)


@rule(
    "gateway/predictions-only",
    why="/models, /metrics and the rest of TorchServe's management are for the cluster, not for "
    "callers; what counts is the path after a route has rewritten it",
    fix="match a path of the inference API, and rewrite to nothing else: /predictions, "
    "/explanations, /ping, /api-description, /invocations, /models/NAME/invoke, "
    "/v1/models/NAME:predict, /v2/models, /v2/health",
)
def predictions_only(environment: Environment) -> Iterator[Problem]:
    for each in openings(environment):
        if not leads_to_receivers(each.route):
            yield problem(each.route, f"opens {each.what}", *each.where)


@rule(
    "gateway/tls-version",
    why="TLS 1.0 and 1.1 are broken: who records the traffic reads tokens and requests",
    fix='tls: {minVersion: "1.2"}, or leave it out: 1.2 is the default',
    references=("RFC 8996",),
    kinds=("ClientTrafficPolicy",),
)
def tls_version(policy: Object) -> Iterator[Problem]:
    for key, right in (("minVersion", "1.2"), ("maxVersion", REMOVED)):
        version = str(dig(policy.value, "spec", "tls", key) or "")
        if version in _WEAK:
            yield problem(policy, f"{key} is TLS {version}", "spec", "tls", key, to=right)
