"""A cluster that is lent runs the scenarios, and comes back as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import Value, mapping, text
from harness.kubernetes import kinds
from harness.kubernetes.api import Api, Kind
from harness.local_cluster import install, local
from harness.local_cluster.local import LocalCluster
from tests.e2e.scenario import Scenario

_ACCOUNT = Kind("v1", "ServiceAccount")
_NODE: Value = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "somebodys"}}


@pytest.fixture(scope="module")
def owner(checkout: Repository) -> Iterator[LocalCluster]:
    """Somebody's cluster, with a node of its own; ours, but for what is not in a fresh one."""
    with local.running(checkout, "e2e-lent", with_flux=False) as cluster, cluster.hold("kwok"):
        cluster.api.apply(_NODE)
        _wait_until_furnished(cluster.api)
        yield cluster


def _wait_until_furnished(api: Api) -> None:
    """Wait until every namespace has what the controllers put into a new one, in their own time."""
    namespaces = {text(each, "metadata", "name") for each in api.list_all(kinds.NAMESPACE)}
    for kind, name in ((kinds.CONFIG_MAP, "kube-root-ca.crt"), (_ACCOUNT, "default")):

        def everywhere(objects: list[Value], name: str = name) -> bool:
            named = [each for each in objects if text(each, "metadata", "name") == name]
            return namespaces <= {text(each, "metadata", "namespace") for each in named}

        api.wait_for(kind, everywhere, seconds=60, what=f"{name} in every namespace")


@pytest.fixture
def lender(owner: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> LocalCluster:
    monkeypatch.setenv("KUBECONFIG", str(owner.kubeconfig))
    return owner


def test_cluster_that_has_a_flux_is_not_taken(lender: LocalCluster, checkout: Repository) -> None:
    before = Scenario(lender).uids()
    with (
        pytest.raises(HarnessError, match="Namespace/flux-system already exists in the cluster"),
        local.running(checkout, "e2e-guest", context="local"),
    ):
        pass
    assert Scenario(lender).uids() == before


def test_lent_cluster_comes_back_as_it_was(lender: LocalCluster, checkout: Repository) -> None:
    installed = install.installed_objects(lender.folder)
    for kind, name in installed:
        lender.api.delete(kind, name)
    lender.api.wait_until_gone({(*each, "") for each in installed}, seconds=60)
    before = Scenario(lender).uids()
    with local.running(checkout, "e2e-guest", nodes_of="production", context="local") as guest:
        assert guest.external
        scenario = Scenario(guest)
        scenario.begin()
        assert {mapping(pod, "spec")["nodeName"] for pod in scenario.pods()}.isdisjoint(
            {"somebodys"}
        )
        node = lender.api.get(kinds.NODE, "somebodys")
        assert mapping(node, "spec")["unschedulable"] is True
        assert Path(guest.kubeconfig).stat().st_mode & 0o77 == 0
    assert Scenario(lender).uids() == before
    node = lender.api.get(kinds.NODE, "somebodys")
    assert "unschedulable" not in mapping(node, "spec")
