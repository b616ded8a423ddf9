"""What the workflows' group may do, asked of a real API server as `auth can-i` asks."""

from dataclasses import dataclass

from harness.core.values import dig
from tests.e2e.scenario import Scenario


@dataclass(frozen=True)
class Attempt:
    """A verb on a resource (with its subresource); everywhere where no namespace is said."""

    verb: str
    resource: str
    namespace: str = ""
    group: str = ""
    name: str = ""

    def is_allowed(self, scenario: Scenario) -> bool:
        resource, _, part = self.resource.partition("/")
        attributes = {
            "verb": self.verb,
            "resource": resource,
            "subresource": part,
            "namespace": self.namespace,
            "group": self.group,
            "name": self.name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "workflow",
                "groups": ["torchserve:smoke", "system:authenticated"],
                "resourceAttributes": attributes,
            },
        }
        return dig(scenario.api.create(review), "status", "allowed") is True


KUSTOMIZE, GATEWAY = "kustomize.toolkit.fluxcd.io", "gateway.networking.k8s.io"
MAY = (
    Attempt("list", "pods"),
    Attempt("list", "nodes"),
    Attempt("list", "kustomizations", group=KUSTOMIZE),
    Attempt("get", "gateways", "envoy-gateway-system", GATEWAY),
    Attempt("get", "configmaps", "flux-system", name="site"),
    Attempt("get", "configmaps", "torchserve", name="torchserve"),
    Attempt("create", "pods/exec", "torchserve"),
    Attempt("create", "pods/portforward", "torchserve"),
    Attempt("create", "pods/portforward", "nvidia"),
    Attempt("list", "deployments", group="apps"),
    Attempt("create", "pods/eviction", "torchserve"),
    Attempt("create", "pods", "smoke"),
)
MAY_NOT = (
    *(Attempt(verb, "secrets") for verb in ("get", "list", "watch")),
    *(Attempt("get", "secrets", each) for each in ("flux-system", "torchserve", "smoke")),
    Attempt("get", "nodes/proxy"),
    Attempt("create", "nodes/proxy"),
    *(Attempt("create", "pods/exec", each) for each in ("flux-system", "kube-system", "smoke")),
    *(Attempt("create", "pods/portforward", each) for each in ("flux-system", "kube-system")),
    Attempt("get", "pods/proxy", "flux-system"),
    Attempt("get", "configmaps", "flux-system", name="flux-runtime-info"),
    Attempt("list", "configmaps", "kube-system"),
    Attempt("create", "serviceaccounts/token", "flux-system"),
    Attempt("create", "pods", "torchserve"),
    Attempt("delete", "pods", "torchserve"),
    Attempt("patch", "kustomizations", "flux-system", KUSTOMIZE),
)


def test_the_workflows_may_look_and_run_the_smoke_test_and_nothing_else(scenario: Scenario) -> None:
    assert [each for each in MAY if not each.is_allowed(scenario)] == []
    assert [each for each in MAY_NOT if each.is_allowed(scenario)] == []
