"""The routes of an environment, each with the Gateways that it names."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.values import KeyPath, dig, items, text
from harness.policy.facts.gateway_access import ROUTES
from harness.render.objects import Object
from harness.render.rendered import Environment


@dataclass(frozen=True, slots=True)
class Attachment:
    """A route and a Gateway that it names; ``where`` leads to the name in the route."""

    route: Object
    gateway: Object
    where: KeyPath

    @property
    def listeners(self) -> Iterator[tuple[int, object]]:
        """The listeners that the route means: of a name, of a port, or all."""
        section = text(self.route.value, *self.where, "sectionName")
        port = self.route.dig(*self.where, "port")
        for index, listener in enumerate(items(self.gateway.value, "spec", "listeners")):
            if section in ("", text(listener, "name")) and port in (None, dig(listener, "port")):
                yield index, listener


def attachments(environment: Environment) -> Iterator[Attachment]:
    """Every route with each Gateway of its parents that is there."""
    for route in environment.of(*ROUTES):
        for index, parent in enumerate(items(route.value, "spec", "parentRefs")):
            namespace = text(parent, "namespace") or route.namespace
            gateway = environment.find("Gateway", text(parent, "name"), namespace)
            if gateway and text(parent, "kind") in ("", "Gateway"):
                yield Attachment(route, gateway, ("spec", "parentRefs", index))
