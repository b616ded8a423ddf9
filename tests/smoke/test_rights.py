"""Whatever the workflows ask of a cluster is in infra/policies, and no more than that.

What Kubernetes itself makes of these rules is seen in tests/e2e/test_access.py.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.kubernetes import status
from harness.local_cluster import connect
from harness.promotion import running
from tests.smoke.conftest import Installation

GROUP = {"kind": "Group", "name": "torchserve:smoke", "apiGroup": "rbac.authorization.k8s.io"}
BY_METHOD = {"GET": "list", "POST": "create", "DELETE": "delete"}


@dataclass(frozen=True)
class Right:
    """To use verbs on a resource, in one namespace or (empty) everywhere."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""

    def covers(self, request: "Right") -> bool:
        return (
            (self.group, self.resource, self.verb)
            == (request.group, request.resource, request.verb)
            and self.namespace in ("", request.namespace)
            and self.name in ("", request.name)
        )


@pytest.fixture(scope="module")
def granted(checkout: Repository) -> list[Right]:
    """What the group has."""
    files = (checkout.root / "infra" / "policies").glob("*role*.yaml")
    objects = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    roles = {
        (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace")): each
        for each in objects
        if "rules" in each
    }
    return [
        right
        for each in objects
        if GROUP in each.get("subjects", ())
        for right in _rights(
            roles[
                each["roleRef"]["kind"],
                each["roleRef"]["name"],
                each["metadata"].get("namespace"),
            ]
        )
    ]


def _rights(role: dict[str, Any]) -> Iterator[Right]:
    namespace = role["metadata"].get("namespace", "")
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Right(group, resource, verb, namespace, name)


def right(call: str) -> Right | None:
    """The right that a call takes; None for what every authenticated user may ask."""
    method, _, path = call.partition(" ")
    words = path.strip("/").split("/")
    group, rest = ("", words[2:]) if words[0] == "api" else ("".join(words[1:2]), words[3:])
    if not rest:  # /version, and which kinds there are
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    verb = "get" if method == "GET" and name else BY_METHOD[method]
    return Right(group, "/".join([rest[0], *rest[2:]]), verb, namespace, name)


@pytest.mark.torchserve
def test_all_that_the_workflows_ask_is_granted(
    installation: Installation, granted: list[Right]
) -> None:
    assert installation.target.cluster
    api, gateway = installation.target.cluster.api, installation.target.cluster.gateway
    installation.check()
    status.collect(api, installation.target.repository)
    gateway.release()
    gateway.gateway(gateway.route("httproutes"))
    for look in (
        lambda: connect.confirm(api, "staging"),
        lambda: running.observe(api, installation.target.repository),
    ):
        # Nothing was released there: what counts is what it asked.
        with contextlib.suppress(HarnessError):
            look()
    requests = {request for call in installation.state.calls if (request := right(call))}
    requests |= {  # by kubectl, and where that API server has no such kind
        *(Right("", "pods/exec", verb, "torchserve", "any") for verb in ("create", "get")),
        Right("gateway.networking.k8s.io", "grpcroutes", "list", "torchserve"),
        Right("", "pods", "watch", "smoke"),
    }
    assert [each for each in requests if not any(have.covers(each) for have in granted)] == []


def test_nothing_that_is_granted_is_a_secret_or_a_way_into_a_node(granted: list[Right]) -> None:
    resources = {each.resource for each in granted}
    assert not resources & {"*", "nodes/proxy", "pods/proxy", "secrets", "serviceaccounts/token"}
    everywhere = {each.verb for each in granted if not each.namespace}
    assert everywhere == {"get", "list", "watch"}
    changes = {
        (each.resource, each.namespace)
        for each in granted
        if each.verb in ("create", "delete", "patch", "update")
    }
    assert changes == {
        ("pods", "smoke"),
        ("pods/eviction", "torchserve"),
        ("pods/exec", "torchserve"),
        ("pods/portforward", "nvidia"),  # /metrics of the servers and of the GPUs: decision 20
        ("pods/portforward", "torchserve"),
    }
