"""Policies let Prometheus in where it scrapes, and nobody else."""

import subprocess
from collections.abc import Iterator, Mapping

import pytest
import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping, text
from harness.policy.facts.pods import selects
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from tests.monitoring.monitors import MONITORS

# The number of each monitor's port, and labels of a pod that it scrapes.
SCRAPED: Mapping[str, tuple[object, Value]] = {
    "torchserve": ("launcher", {"torchserve/group": "torchserve"}),
    "envoy": (19001, {"gateway.envoyproxy.io/owning-gateway-name": "torchserve"}),
    "flux-operator": (8080, {"app.kubernetes.io/name": "flux-operator"}),
    "flux-controllers": (8080, {"app": "notification-controller"}),
    "dcgm-exporter": (9400, {"app.kubernetes.io/name": "dcgm-exporter"}),
    "cert-manager": (9402, {"app.kubernetes.io/name": "cert-manager"}),
}
MONITORING = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
# What FluxInstance's networkPolicy brings: https://github.com/fluxcd/flux2 manifests/policies
FLUX = [
    {
        "name": "allow-egress",
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
    },
    {
        "name": "allow-scraping",
        "spec": {
            "podSelector": {},
            "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 8080}]}],
        },
    },
    {
        "name": "allow-webhooks",
        "spec": {
            "podSelector": {"matchLabels": {"app": "notification-controller"}},
            "ingress": [{"from": [{"namespaceSelector": {}}]}],
        },
    },
]


@pytest.fixture(scope="module", params=["staging", "production"])
def environment(checkout: Repository, request: pytest.FixtureRequest) -> Environment:
    return Renderer(checkout).candidate(request.param)


@pytest.fixture(scope="module")
def of_flux(
    checkout: Repository, environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> list[Value]:
    """Flux's policies as the FluxInstance of the environment patches them."""
    folder = tmp_path_factory.mktemp("flux")
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    policies = [
        {
            **kind,
            "metadata": {"name": each["name"], "namespace": "flux-system"},
            "spec": each["spec"],
        }
        for each in FLUX
    ]
    (folder / "policies.yaml").write_text(yaml.safe_dump_all(policies))
    instance = environment.find("FluxInstance", "flux")
    assert instance is not None
    patches = [
        each
        for each in items(instance.value, "spec", "kustomize", "patches")
        if text(each, "target", "kind") == "NetworkPolicy"
    ]
    listing = {"resources": ["policies.yaml"], "patches": patches}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(listing))
    argv = [tools.find(checkout, "kustomize"), "build", str(folder)]
    built = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [mapping(each) for each in yaml.safe_load_all(built)]


def callers(policies: list[Value], labels: Value, port: object) -> Iterator[Value]:
    """Whom policies let in at a port of a pod with these labels."""
    for policy in policies:
        if not selects(dig(policy, "spec", "podSelector"), labels):
            continue
        for allowed in items(policy, "spec", "ingress"):
            ports = [dig(each, "port") for each in items(allowed, "ports")]
            if not ports or port in ports:
                yield from (mapping(each) for each in items(allowed, "from"))


def test_every_monitor_is_among_them() -> None:
    names = {text(each, "metadata", "name") for each in yaml.safe_load_all(MONITORS.read_text())}
    assert names == set(SCRAPED)


@pytest.mark.parametrize("name", SCRAPED)
def test_prometheus_is_let_in_and_nobody_else(
    name: str, environment: Environment, of_flux: list[Value]
) -> None:
    port, labels = SCRAPED[name]
    monitor = environment.find("PodMonitor", name)
    assert monitor is not None
    assert selects(monitor.dig("spec", "selector"), labels)
    (namespace,) = items(monitor.value, "spec", "namespaceSelector", "matchNames")
    policies = [
        mapping(each.value)
        for each in environment.of("NetworkPolicy")
        if each.namespace == namespace
    ]
    if namespace == "flux-system":
        policies += of_flux
    # Pods of a namespace may talk among themselves.
    others = [each for each in callers(policies, labels, port) if set(each) != {"podSelector"}]
    assert [dig(each, "namespaceSelector") for each in others] == [MONITORING]


def test_nobody_calls_the_controller_of_notifications(of_flux: list[Value]) -> None:
    called = list(callers(of_flux, {"app": "notification-controller"}, 9292))
    assert called == [{"podSelector": {}}]


def test_what_is_not_patched_would_be_open() -> None:
    policies: list[Value] = [{"spec": mapping(each, "spec")} for each in FLUX]
    called = list(callers(policies, {"app": "notification-controller"}, 9292))
    assert {"namespaceSelector": {}} in called
