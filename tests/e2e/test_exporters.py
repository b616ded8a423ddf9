"""The samples that dashboards and alerts are tried with are what the real exporters write.

Real: Flux's controllers, flux-operator, kube-state-metrics, an API server with the release. DCGM
needs NVIDIA's library, and is not here.
"""

import contextlib
from collections.abc import Iterator

import pytest

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, text
from harness.kubernetes import kinds
from harness.local_cluster import install, local
from harness.local_cluster.local import LocalCluster
from harness.schema import catalog
from tests.e2e.scenario import Scenario
from tests.monitoring.exporters import SAMPLES, text_after
from tests.support import exporters
from tests.support.exporters import Series
from tests.support.processes import eventually

OPERATOR = "fluxcd.controlplane.io"
pytestmark = [pytest.mark.load, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster(checkout: Repository) -> Iterator[LocalCluster]:
    with local.running(checkout, "exporters", nodes_of="production") as started:
        definitions = install.definitions(catalog.find(checkout) / catalog.CRDS)
        operators = [each for each in definitions if text(each, "spec", "group") == OPERATOR]
        install.install(started.api, operators, seconds=60)
        _label_kinds_of_flux(started)
        Scenario(started).begin()
        yield started


def _label_kinds_of_flux(cluster: LocalCluster) -> None:
    """As they are when the operator has installed them: it reports of such kinds alone."""
    labels: Value = {"metadata": {"labels": {"app.kubernetes.io/part-of": "flux"}}}
    for each in cluster.api.list_all(kinds.CRD):
        if text(each, "spec", "group").endswith(".toolkit.fluxcd.io"):
            cluster.api.patch(kinds.CRD, text(each, "metadata", "name"), labels)


@pytest.fixture(scope="module")
def pages(
    checkout: Repository, cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[int]]]:
    """The ports at which each sample's exporter answers."""
    folder = tmp_path_factory.mktemp("exporters")
    with contextlib.ExitStack() as until:
        ports = {
            name: [until.enter_context(start(checkout, cluster, folder))]
            for name, start in exporters.PROGRAMS.items()
            if tools.at_hand(checkout, name)
        }
        yield {**ports, "flux-controllers": [*cluster.ports.metrics]}


def _sample(exporter: str) -> list[Series]:
    return exporters.series(text_after((SAMPLES / f"{exporter}.txt").read_text(), 0))


def _forms(series: list[Series]) -> set[tuple[str, frozenset[str]]]:
    """Each name with the names of its labels."""
    return {(name, frozenset(labels)) for name, labels in series}


def _bounds(series: list[Series]) -> dict[str, set[float]]:
    """Of each histogram."""
    bounds: dict[str, set[float]] = {}
    for name, labels in series:
        if "le" in labels:
            bounds.setdefault(name, set()).add(float(labels["le"]))
    return bounds


@pytest.mark.parametrize("exporter", ["flux-controllers", "flux-operator", "kube-state-metrics"])
def test_a_sample_has_the_names_labels_and_bounds_of_the_real_exporter(
    exporter: str, pages: dict[str, list[int]]
) -> None:
    if exporter not in pages:
        pytest.skip(f"harness tools {exporter}")
    sample = _sample(exporter)
    assert sample

    def real() -> list[Series]:
        actual = exporters.series("\n".join(map(exporters.page, pages[exporter])))
        return actual if {name for name, _ in actual} >= {name for name, _ in sample} else []

    actual = eventually(real, 60)
    assert _forms(sample) - _forms(actual) == set()
    real_bounds = _bounds(actual)
    assert {name: real_bounds[name] for name in _bounds(sample)} == _bounds(sample)
