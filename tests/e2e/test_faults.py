"""Parts of the machinery fail: everything converges, and nothing is lost or stuck."""

import pytest

from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds, reconciliation
from tests.e2e.lab import NAME, Lab


def _nothing_is_stuck(lab: Lab) -> None:
    history = items(lab.helm_release(), "status", "history")
    assert text(history[0], "status") == "deployed"
    stored = [
        text(secret, "metadata", "labels", "status")
        for secret in lab.api.list_all(kinds.SECRET, NAME, "owner=helm")
    ]
    assert stored
    assert not [status for status in stored if status.startswith("pending")]


def test_git_server_is_down_for_a_while(lab: Lab) -> None:
    with lab.cluster.hold("git-server"):
        commit = lab.commit(lab.note("greeting"))
        lab.failing(kinds.GIT_REPOSITORY, kinds.ROOT, why="connection refused")
        assert lab.serving(), "what ran goes on"
        assert reconciliation.ready(lab.helm_release())
    with lab.timeline.step("server back → Ready"):
        lab.cluster.sync(commit)
    assert lab.api.get(kinds.CONFIG_MAP, "greeting", NAME)


def test_source_controller_is_killed_while_it_fetches(lab: Lab) -> None:
    commit = lab.bare.commit(lab.note("greeting"), "A change")

    def fetches(source: Value) -> bool:
        return text(reconciliation.condition(source, "Ready"), "status") == "Unknown" or text(
            source, "status", "artifact", "revision"
        ).endswith(commit)

    lab.api.reconcile(kinds.GIT_REPOSITORY, kinds.ROOT)
    lab.wait_for(kinds.GIT_REPOSITORY, kinds.ROOT, fetches)
    lab.cluster.kill("source-controller")
    with lab.timeline.step("killed → Ready"):
        lab.cluster.wait_for(lambda state: state.ready)
        lab.cluster.sync(commit)
    assert lab.api.get(kinds.CONFIG_MAP, "greeting", NAME)


def test_helm_controller_is_killed_in_the_middle_of_an_upgrade(lab: Lab) -> None:
    commit = lab.commit(lab.release({"timeout": "60s", **lab.pods_that(ready_after="6s")}))

    def upgrading(found: list[Value]) -> bool:
        return any(
            text(each, "metadata", "labels", "status") == "pending-upgrade" for each in found
        )

    lab.api.wait_for(kinds.SECRET, upgrading, seconds=60, namespace=NAME, labels="owner=helm")
    lab.cluster.kill("helm-controller")
    with lab.timeline.step("killed → Ready"):
        lab.cluster.wait_for(lambda state: state.ready)
        lab.cluster.sync(commit)
    _nothing_is_stuck(lab)
    annotations = dig(lab.deployment(), "spec", "template", "metadata", "annotations")
    assert text(annotations, "harness.local/ready-after") == "6s"


@pytest.mark.parametrize("component", ["kube-apiserver", "etcd"])
def test_control_plane_is_killed_while_a_commit_arrives(lab: Lab, component: str) -> None:
    if lab.cluster.external:
        pytest.skip("the control plane is somebody's")
    pods = lab.serving()
    commit = lab.commit(lab.note("greeting"))
    lab.cluster.kill(component)
    with lab.timeline.step("killed → Ready"):
        lab.cluster.wait_for(lambda state: state.components[component].restarts > 0)
        lab.cluster.wait_for(lambda state: state.ready)
        lab.cluster.sync(commit)
    assert lab.api.get(kinds.CONFIG_MAP, "greeting", NAME)
    assert lab.serving() == pods, "not one pod was lost"
    _nothing_is_stuck(lab)
