"""The real exporters that the samples in tests/testdata/exporters are held against."""

import contextlib
import os
import re
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import tools
from harness.core.repository import Repository
from harness.kubernetes import kinds
from harness.local_cluster.local import LocalCluster
from tests.support import prometheus
from tests.support.parent_death import bind_to_parent
from tests.support.processes import free_ports

_SERIES = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? \S+$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Series = tuple[str, Mapping[str, str]]
"""A name, and labels by their names."""


def series(text: str) -> list[Series]:
    """What a page of metrics has, without its values."""
    return [
        (each["name"], dict(_LABEL.findall(each["labels"] or "")))
        for each in _SERIES.finditer(text)
    ]


def page(port: int, path: str = "metrics") -> str:
    """The metrics of a program; nothing while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as response:
            return str(response.read().decode())
    except OSError:
        return ""


@contextlib.contextmanager
def kube_state_metrics(
    repository: Repository, cluster: LocalCluster, folder: Path
) -> Iterator[int]:
    """It, and the port of its metrics."""
    port, telemetry = free_ports(2)
    argv = bind_to_parent(
        [
            tools.find(repository, "kube-state-metrics"),
            f"--kubeconfig={cluster.kubeconfig}",
            "--host=127.0.0.1",
            f"--port={port}",
            "--telemetry-host=127.0.0.1",
            f"--telemetry-port={telemetry}",
        ]
    )
    with prometheus.program([*argv], folder / "kube-state-metrics.log", folder):
        yield port


@contextlib.contextmanager
def flux_operator(repository: Repository, cluster: LocalCluster, folder: Path) -> Iterator[int]:
    """It, and the port of its metrics. It finds no FluxInstance, so that it installs nothing."""
    port, health = free_ports(2)
    argv = bind_to_parent(
        [
            tools.find(repository, "flux-operator"),
            f"--metrics-addr=127.0.0.1:{port}",
            f"--health-addr=127.0.0.1:{health}",
            "--enable-leader-election=false",
            "--reporting-interval=2s",
            f"--storage-path={folder}",
            "--web-server-port=0",
        ]
    )
    env = {
        **os.environ,
        "GODEBUG": "fips140=on",  # it ends without
        "KUBECONFIG": str(cluster.kubeconfig),
        "RUNTIME_NAMESPACE": kinds.FLUX_NAMESPACE,
        "HOME": str(folder),
    }
    with prometheus.program([*argv], folder / "flux-operator.log", folder, env):
        yield port


PROGRAMS = {"flux-operator": flux_operator, "kube-state-metrics": kube_state_metrics}
"""What starts those that are not part of a cluster."""
