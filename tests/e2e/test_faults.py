"""Parts of the machinery fail: everything converges, and nothing is lost or stuck."""

import pytest

from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds, reconciliation
from tests.e2e.scenario import NAME, Scenario


def _nothing_is_stuck(scenario: Scenario) -> None:
    history = items(scenario.helm_release(), "status", "history")
    assert text(history[0], "status") == "deployed"
    stored = [
        text(secret, "metadata", "labels", "status")
        for secret in scenario.api.list_all(kinds.SECRET, NAME, "owner=helm")
    ]
    assert stored
    assert not [status for status in stored if status.startswith("pending")]


def test_git_server_is_down_for_a_while(scenario: Scenario) -> None:
    with scenario.cluster.hold("git-server"):
        commit = scenario.commit(scenario.note("greeting"))
        scenario.failing(kinds.GIT_REPOSITORY, kinds.ROOT, why="connection refused")
        assert scenario.serving(), "what ran goes on"
        assert reconciliation.ready(scenario.helm_release())
    with scenario.timeline.step("server back → Ready"):
        scenario.cluster.sync(commit)
    assert scenario.api.get(kinds.CONFIG_MAP, "greeting", NAME)


def test_source_controller_is_killed_while_it_fetches(scenario: Scenario) -> None:
    commit = scenario.bare.commit(scenario.note("greeting"), "A change")

    def fetches(source: Value) -> bool:
        return text(reconciliation.condition(source, "Ready"), "status") == "Unknown" or text(
            source, "status", "artifact", "revision"
        ).endswith(commit)

    scenario.api.reconcile(kinds.GIT_REPOSITORY, kinds.ROOT)
    scenario.wait_for(kinds.GIT_REPOSITORY, kinds.ROOT, fetches)
    scenario.cluster.kill("source-controller")
    with scenario.timeline.step("killed → Ready"):
        scenario.cluster.wait_for(lambda state: state.ready)
        scenario.cluster.sync(commit)
    assert scenario.api.get(kinds.CONFIG_MAP, "greeting", NAME)


def test_helm_controller_is_killed_in_the_middle_of_an_upgrade(scenario: Scenario) -> None:
    commit = scenario.commit(
        scenario.release({"timeout": "60s", **scenario.pods_that(ready_after="6s")})
    )

    def upgrading(releases: list[Value]) -> bool:
        return any(
            text(each, "metadata", "labels", "status") == "pending-upgrade" for each in releases
        )

    scenario.api.wait_for(kinds.SECRET, upgrading, seconds=60, namespace=NAME, labels="owner=helm")
    scenario.cluster.kill("helm-controller")
    with scenario.timeline.step("killed → Ready"):
        scenario.cluster.wait_for(lambda state: state.ready)
        scenario.cluster.sync(commit)
    _nothing_is_stuck(scenario)
    annotations = dig(scenario.deployment(), "spec", "template", "metadata", "annotations")
    assert text(annotations, "harness.local/ready-after") == "6s"


@pytest.mark.parametrize("component", ["kube-apiserver", "etcd"])
def test_control_plane_is_killed_while_a_commit_arrives(scenario: Scenario, component: str) -> None:
    if scenario.cluster.external:
        pytest.skip("the control plane is somebody's")
    pods = scenario.serving()
    commit = scenario.commit(scenario.note("greeting"))
    scenario.cluster.kill(component)
    with scenario.timeline.step("killed → Ready"):
        scenario.cluster.wait_for(lambda state: state.components[component].restarts > 0)
        scenario.cluster.wait_for(lambda state: state.ready)
        scenario.cluster.sync(commit)
    assert scenario.api.get(kinds.CONFIG_MAP, "greeting", NAME)
    assert scenario.serving() == pods, "not one pod was lost"
    _nothing_is_stuck(scenario)
