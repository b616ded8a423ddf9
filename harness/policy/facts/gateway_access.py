"""Who may pass the gateway: which security policies hold for a route, and what they ask for.

Precedence is Envoy Gateway's own: a policy on a rule of a route, on the route, on a listener, on
the Gateway; the first level that has one holds alone, unless its policy merges. Of two on one
target the older holds, which no file says: each of them has to be good.
https://gateway.envoyproxy.io/docs/concepts/gateway_api_extensions/security-policy/
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.values import KeyPath, items, mapping, text
from harness.policy.facts.pods import selects
from harness.render.objects import Object
from harness.render.rendered import Environment

ROUTES = ("HTTPRoute", "GRPCRoute")
_IDENTIFIES = ("apiKeyAuth", "basicAuth", "extAuth", "oidc")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A security policy, and the place in it that names what it is for."""

    policy: Object
    where: KeyPath


@dataclass(frozen=True, slots=True)
class Passage:
    """A way through the gateway: a rule of a route, by a listener of its Gateway."""

    route: Object
    gateway: Object
    levels: tuple[tuple[Attachment, ...], ...]

    @property
    def in_force(self) -> tuple[Attachment, ...]:
        """The policies of the first level that has any; each of them may be the one that holds."""
        return next(filter(None, self.levels), ())

    def asks(self, attachment: Attachment) -> bool:
        """Whether nobody passes a policy unknown; one that merges keeps what its Gateway's asks."""
        if identifies(attachment.policy):
            return True
        below = self.levels[self.levels.index(self.in_force) + 1 :]
        inherited = [each for level in below for each in level]
        is_silent = not mapping(attachment.policy.value, "spec", "jwt")
        merges = bool(text(attachment.policy.value, "spec", "mergeType")) and is_silent
        return merges and any(identifies(each.policy) for each in inherited)


def parents(environment: Environment, route: Object) -> Iterator[tuple[int, Object | None]]:
    """The Gateway of each of a route's parentRefs, with its index; None where there is none."""
    for index, parent in enumerate(items(route.value, "spec", "parentRefs")):
        namespace = text(parent, "namespace") or route.namespace
        yield index, environment.find("Gateway", text(parent, "name"), namespace)


def passages(environment: Environment) -> Iterator[Passage]:
    """Every way through the gateways of an environment."""
    for route in environment.of(*ROUTES):
        for index, gateway in parents(environment, route):
            named = text(route.value, "spec", "parentRefs", index, "sectionName")
            listeners = [
                text(each, "name") for each in items(gateway and gateway.value, "spec", "listeners")
            ]
            for rule in items(route.value, "spec", "rules") if gateway else ():
                for listener in [named] if named else listeners:
                    targets = [
                        (route, text(rule, "name")),
                        (route, ""),
                        (gateway, listener),
                        (gateway, ""),
                    ]
                    levels = (
                        tuple(_attachments(environment, target, section))
                        for target, section in targets
                        if target and (section or (target, section) in ((route, ""), (gateway, "")))
                    )
                    if gateway:
                        yield Passage(route, gateway, tuple(levels))


def _attachments(environment: Environment, target: Object, section: str) -> Iterator[Attachment]:
    for policy in environment.of("SecurityPolicy"):
        if policy.namespace != target.namespace:
            continue  # Envoy Gateway looks in the policy's own namespace alone
        for where, named in _targets(policy):
            if (
                text(named, "kind") == target.kind
                and text(named, "name") == target.name
                and text(named, "sectionName") == section
            ):
                yield Attachment(policy, where)
        for index, selector in enumerate(items(policy.value, "spec", "targetSelectors")):
            chosen = text(selector, "kind") == target.kind and selects(selector, target.labels)
            if chosen and not section:
                yield Attachment(policy, ("spec", "targetSelectors", index))


def _targets(policy: Object) -> Iterator[tuple[KeyPath, object]]:
    for index, named in enumerate(items(policy.value, "spec", "targetRefs")):
        yield ("spec", "targetRefs", index), named
    yield ("spec", "targetRef"), policy.dig("spec", "targetRef")


def identifies(policy: Object) -> bool:
    """Whether a policy on its own lets in nobody whom it does not know."""
    spec = mapping(policy.value, "spec")
    if any(mapping(spec, kind) for kind in _IDENTIFIES) and not is_fail_open(policy):
        return True
    return bool(items(spec, "jwt", "providers")) and not is_optional(policy)


def is_optional(policy: Object) -> bool:
    """Whether a caller without a token passes, as no authorization asks for its claims."""
    jwt = mapping(policy.value, "spec", "jwt")
    rules = [
        each
        for each in items(policy.value, "spec", "authorization", "rules")
        if text(each, "action") == "Allow"
    ]
    denies = text(policy.value, "spec", "authorization", "defaultAction") != "Allow"
    by_claims = denies and rules and all(mapping(each, "principal", "jwt") for each in rules)
    return jwt.get("optional") is True and not by_claims


def is_fail_open(policy: Object) -> bool:
    """Whether callers pass while the service that would know them does not answer."""
    return mapping(policy.value, "spec", "extAuth").get("failOpen") is True


def leads_to_receivers(route: Object) -> bool:
    """Whether nothing but Flux's receivers is behind a route: they verify what a forge has signed.

    That each has a secret to do so is a rule of its own (notifications/receiver-secret).
    https://fluxcd.io/flux/components/notification/receivers/#secret-reference
    """
    backends = [
        (text(backend, "namespace") or route.namespace, text(backend, "name"))
        for each in items(route.value, "spec", "rules")
        for backend in items(each, "backendRefs")
    ]
    return set(backends) == {("flux-system", "webhook-receiver")}
