"""A real Envoy as Envoy Gateway sets it up for one route: its names, time limits and retries.

Its listener has no TLS and no token, which tests of the gateway cover elsewhere.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.core.values import Value
from tests.support.processes import free_ports

ROUTE = "httproute/torchserve/torchserve/rule/0"  # Envoy Gateway's name for the servers of a route
_HTTP = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
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
    """Where a running Envoy is."""

    port: int
    admin_port: int


def configuration(port: int, admin_port: int, servers: list[int]) -> Value:
    """Listener, route and servers; times and retries are those of infra/gateway/configs."""
    manager = {
        "@type": f"{_TYPE}{_HTTP}",
        "stat_prefix": "https-10443",
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
    return {
        "admin": {"address": _address(admin_port)},
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
                    "address": _address(port),
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
                    "load_assignment": {
                        "cluster_name": ROUTE,
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {"endpoint": {"address": _address(each)}} for each in servers
                                ]
                            }
                        ],
                    },
                }
            ],
        },
    }


def _address(port: int) -> Value:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextlib.contextmanager
def running(program: Path, folder: Path, servers: list[int]) -> Iterator[Envoy]:
    """An Envoy in front of these ports."""
    port, admin_port = free_ports(2)
    file = folder / "envoy.yaml"
    file.write_text(yaml.safe_dump(configuration(port, admin_port, servers)))
    argv: list[str | Path] = [program, "--config-path", file, "--concurrency", "1"]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, "--disable-hot-restart", "--log-level", "warning"], stdout=log, stderr=log
        )
    try:
        yield Envoy(port, admin_port)
    finally:
        process.terminate()
        process.wait(30)
