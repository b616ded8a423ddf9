"""Who reaches what: nothing but inference, and only through the gateway with its credentials."""

from collections.abc import Mapping

import pytest

from harness.core.values import items, text
from harness.loadtest.gateway import behind
from harness.smoke import gateway, probe_pod
from harness.smoke.check import Need, check
from harness.smoke.expected import Expected
from harness.smoke.probe_pod import Port
from harness.smoke.target import Cluster
from harness.smoke.torchserve import TorchServe
from harness.snapshot.routes import element

_REFUSED = (401, 403)


@check(
    Need.SERVER,
    then="{kubectl} -n torchserve exec deploy/{group} -- cat /proc/net/tcp /proc/net/tcp6",
    embedded="grep _address {folder}/config.properties",
)
def test_management_listens_on_the_loopback_only(servers: list[TorchServe]) -> None:
    for server in servers:
        listening = server.listening()
        management = server.port("management_address")
        assert management in listening, f"{server.name}: nobody listens on {management}"
        for purpose, port in _closed_ports(server).items():
            for address in listening.get(port, ()):
                open_ = f"{server.name}: {purpose} (port {port}) is open on {address}"
                assert address.is_loopback, open_


@pytest.fixture(scope="module")
def reached(cluster: Cluster, servers: list[TorchServe]) -> list[Port]:
    """What another pod reaches of each server."""
    pods = cluster.pods()
    addresses = {text(pod, "metadata", "name"): text(pod, "status", "podIP") for pod in pods}
    ports = [
        Port(server.name, addresses[server.name], number, purpose)
        for server in servers
        for purpose, number in (_closed_ports(server) | _guarded_ports(server)).items()
    ]
    return probe_pod.reachable_ports(cluster.api, pods[0], ports)


@check(
    Need.CLUSTER,
    Need.POD,
    then="{kubectl} -n torchserve exec deploy/{group} -- "
    "grep address /etc/torchserve/config.properties",
)
def test_management_is_unreachable_from_another_pod(
    servers: list[TorchServe], reached: list[Port]
) -> None:
    closed = _closed_ports(servers[0])
    open_ports = [str(port) for port in reached if port.purpose in closed]
    assert not open_ports, f"another pod reaches {'; '.join(open_ports)}"


@check(Need.CLUSTER, Need.POD, then="{kubectl} -n torchserve describe networkpolicy torchserve")
def test_other_pods_cannot_go_around_the_gateway(
    servers: list[TorchServe], reached: list[Port]
) -> None:
    guarded = _guarded_ports(servers[0])
    open_ports = [str(port) for port in reached if port.purpose in guarded]
    assert not open_ports, (
        f"another pod reaches {'; '.join(open_ports)}: is NetworkPolicy enforced at all?"
    )


@check(Need.GATEWAY, then="{kubectl} -n envoy-gateway-system describe securitypolicy torchserve")
def test_the_gateway_refuses_who_has_no_credentials(
    cluster: Cluster, expect: Mapping[str, Expected]
) -> None:
    endpoint = behind(cluster.gateway, "rest")
    models = sorted({name for git in expect.values() for name, *_ in git.models.entries()})
    for path in [f"/predictions/{element(model)}" for model in models]:
        for headers in ({}, {"Authorization": "Bearer nobody"}):
            status = gateway.post(endpoint, path, headers)
            who = "a wrong token" if headers else "no token"
            failure = f"{endpoint.url}{path} answers {status} to {who}, not 401 (Unauthorized)"
            assert status in _REFUSED, failure


@check(Need.GATEWAY, then="{kubectl} -n torchserve get httproutes,grpcroutes -o yaml")
def test_the_gateway_accepts_every_route(cluster: Cluster) -> None:
    for kind, plural in (("HTTPRoute", "httproutes"), ("GRPCRoute", "grpcroutes")):
        live = {text(each, "metadata", "name"): each for each in cluster.gateway.routes(plural)}
        for route in cluster.rendered().of(kind):
            assert route.name in live, f"there is no {route}"
            parents = items(live[route.name], "status", "parents")
            assert parents, f"{route}: no gateway has taken it up"
            for condition in (each for parent in parents for each in items(parent, "conditions")):
                why = f"{text(condition, 'reason')}: {text(condition, 'message')}"
                refused = f"{route} is not {text(condition, 'type')}: {why}"
                assert text(condition, "status") == "True", refused


def _closed_ports(server: TorchServe) -> dict[str, int]:
    """Ports that only the launcher may reach, by what they are for."""
    return {
        "management": server.port("management_address"),
        "TorchServe's metrics": server.port("metrics_address"),
        "gRPC management": int(server.config["grpc_management_port"]),
    }


def _guarded_ports(server: TorchServe) -> dict[str, int]:
    """Ports for the gateway or Prometheus alone."""
    return {
        "inference": server.port("inference_address"),
        "gRPC inference": int(server.config["grpc_inference_port"]),
        "the launcher": server.launcher_port,
    }
