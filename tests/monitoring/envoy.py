"""A real Envoy as Envoy Gateway sets it up for one route: its names, time limits and retries.

Its listener has no TLS and no token, which tests of the gateway cover elsewhere.
"""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.core import repository
from harness.core.values import Value, items, mapping
from tests.support.processes import eventually, free_ports

ROUTE = "httproute/torchserve/torchserve/rule/0"  # Envoy Gateway's name for the servers of a route
PROXY = repository.find(Path(__file__)).root / "infra/gateway/configs/envoyproxy.yaml"
_HTTP = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TRACES = "tracing"
_TYPE = "type.googleapis.com/"
_PREVIOUS = "envoy.retry_host_predicates.previous_hosts"
_OTHER_HOST = {
    "name": _PREVIOUS,
    "typed_config": {
        "@type": f"{_TYPE}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}


@dataclass(frozen=True, slots=True)
class Envoy:
    """Where a running Envoy is, and the file of its access log."""

    port: int
    admin_port: int
    access_log: Path


def configuration(address: Envoy, servers: list[int], collector: int = 0) -> Value:
    """Listener, route and servers; times, retries and the access log are those of infra/gateway.

    Args:
        address: where it is to be.
        servers: ports of the route's endpoints.
        collector: port that takes spans by OTLP over gRPC; without one there are none.
    """
    manager: Value = {
        "@type": f"{_TYPE}{_HTTP}",
        "stat_prefix": "https-10443",
        "access_log": [_access_log(address.access_log)],
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "torchserve",
                    "domains": ["*"],
                    "routes": [
                        {
                            "name": f"{ROUTE}/match/0/*",
                            "match": {"prefix": "/predictions"},
                            "route": {
                                "cluster": ROUTE,
                                "timeout": "130s",
                                "retry_policy": {
                                    "retry_on": "connect-failure",
                                    "num_retries": 2,
                                    "host_selection_retry_max_attempts": 5,
                                    "retry_host_predicate": [_OTHER_HOST],
                                },
                            },
                        }
                    ],
                }
            ]
        },
    }
    if collector:
        manager = {**manager, "tracing": _tracing()}
    return {
        "admin": {"address": _address(address.admin_port)},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.fixed_heap",
                    "typed_config": {
                        "@type": f"{_TYPE}envoy.extensions.resource_monitors.fixed_heap.v3"
                        ".FixedHeapConfig",
                        "max_heap_size_bytes": 1228 << 20,
                    },
                }
            ],
            "actions": [
                {
                    "name": "envoy.overload_actions.stop_accepting_requests",
                    "triggers": [
                        {
                            "name": "envoy.resource_monitors.fixed_heap",
                            "threshold": {"value": 0.98},
                        }
                    ],
                }
            ],
        },
        "static_resources": {
            "listeners": [
                {
                    "name": "https",
                    "address": _address(address.port),
                    "filter_chains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": manager,
                                }
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": ROUTE,
                    "connect_timeout": "2s",
                    "lb_policy": "LEAST_REQUEST",
                    "circuit_breakers": {
                        "thresholds": [{"max_requests": 1024, "max_retries": 1024}]
                    },
                    "load_assignment": endpoints(ROUTE, servers),
                },
                *([_collector(collector)] if collector else []),
            ],
        },
    }


def _access_log(path: Path) -> Value:
    """As Envoy Gateway 1.9 translates infra/gateway's, but for the file: standard output."""
    proxy = yaml.safe_load(PROXY.read_text())
    (log,) = items(proxy, "spec", "telemetry", "accessLog", "settings")
    formatter = f"{_TYPE}envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"
    name = "envoy.formatter.req_without_query"
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_TYPE}envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {
                "json_format": mapping(log, "format", "json"),
                "formatters": [{"name": name, "typed_config": {"@type": formatter}}],
            },
        },
    }


def _tracing() -> Value:
    """As Envoy Gateway translates infra/tracing/gateway, but for the share that is sampled: all."""
    config = f"{_TYPE}envoy.config.trace.v3.OpenTelemetryConfig"
    return {
        "client_sampling": {"value": 0},
        "random_sampling": {"value": 100},
        "overall_sampling": {"value": 100},
        "spawn_upstream_span": True,
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": config,
                "grpc_service": {"envoy_grpc": {"cluster_name": _TRACES}},
                "service_name": "torchserve.envoy-gateway-system",
            },
        },
    }


def _collector(port: int) -> Value:
    options = f"{_TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"@type": options, "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": _TRACES,
        "connect_timeout": "10s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
        },
        "load_assignment": endpoints(_TRACES, [port]),
    }


def endpoints(cluster: str, ports: list[int]) -> Value:
    endpoints = [{"endpoint": {"address": _address(each)}} for each in ports]
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": endpoints}]}


def _address(port: int) -> Value:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextlib.contextmanager
def running(program: Path, folder: Path, servers: list[int], collector: int = 0) -> Iterator[Envoy]:
    """An Envoy in front of these ports, which sends spans to that of a collector."""
    address = address_in(folder)
    with started(program, folder, address, configuration(address, servers, collector)):
        yield address


def address_in(folder: Path) -> Envoy:
    """Where an Envoy of this folder can be."""
    port, admin_port = free_ports(2)
    return Envoy(port, admin_port, folder / "access.log")


@contextlib.contextmanager
def started(program: Path, folder: Path, address: Envoy, settings: Value) -> Iterator[None]:
    """An Envoy with a configuration of its own; it listens when the block begins."""
    file = folder / "envoy.yaml"
    file.write_text(yaml.safe_dump(settings))
    argv: list[str | Path] = [program, "--config-path", file, "--concurrency", "1"]
    argv += ["--disable-hot-restart", "--log-level", "warning", "--file-flush-interval-msec", "100"]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        eventually(lambda: _listens(address.port))
        yield
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False
