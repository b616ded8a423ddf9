"""What the workflows' group may do, and nothing else."""

from tests.e2e.attempt import Attempt
from tests.e2e.scenario import Scenario

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
    assert [each for each in MAY if not each.is_allowed(scenario.api)] == []
    assert [each for each in MAY_NOT if each.is_allowed(scenario.api)] == []
