"""Somebody changes the cluster by hand: Flux puts it back, and leaves an autoscaler alone."""

import time

from harness.core.values import dig, mapping, text
from harness.kubernetes import kinds, reconciliation
from harness.kubernetes.api import Kind
from tests.e2e.scenario import NAME, Scenario


def _reconcile(scenario: Scenario, kind: Kind, name: str) -> None:
    """Ask an object to look now, and wait until it has and is Ready."""
    token = str(time.time())
    scenario.api.reconcile(kind, name, token=token)
    handled = ("status", "lastHandledReconcileAt")
    scenario.wait_for(
        kind, name, lambda each: text(each, *handled) == token and reconciliation.ready(each)
    )


def test_edited_deployment_is_put_back(scenario: Scenario) -> None:
    container = ("spec", "template", "spec", "containers", 0)
    before = dig(scenario.deployment(), *container, "image")
    edited = {
        "spec": {"revisionHistoryLimit": 9, "template": {"metadata": {"labels": {"by": "hand"}}}}
    }
    scenario.api.patch(kinds.DEPLOYMENT, NAME, edited, NAME)
    with scenario.timeline.step("reconcile → repaired"):
        _reconcile(scenario, kinds.HELM_RELEASE, NAME)
    after = scenario.deployment()
    assert dig(after, "spec", "revisionHistoryLimit") == 3
    assert dig(after, *container, "image") == before
    scenario.notes["the interval alone, s"] = "≤ 600"


def test_deleted_object_of_the_release_comes_back(scenario: Scenario) -> None:
    scenario.api.delete(kinds.POD_DISRUPTION_BUDGET, NAME, NAME)
    _reconcile(scenario, kinds.HELM_RELEASE, NAME)
    assert dig(scenario.one(kinds.POD_DISRUPTION_BUDGET, NAME, NAME), "spec", "maxUnavailable") == 1


def test_deleted_object_of_a_kustomization_comes_back(draft: Scenario) -> None:
    draft.sync(draft.note("greeting"))
    draft.api.delete(kinds.CONFIG_MAP, "greeting", NAME)
    _reconcile(draft, kinds.KUSTOMIZATION, "storage")
    assert draft.api.get(kinds.CONFIG_MAP, "greeting", NAME)


def test_request_to_reconcile_outlives_the_next_apply(scenario: Scenario) -> None:
    suspended = {"spec": {"suspend": True}}
    scenario.api.patch(kinds.HELM_RELEASE, NAME, suspended, kinds.FLUX_NAMESPACE)
    scenario.api.reconcile(kinds.HELM_RELEASE, NAME, token="later")
    _reconcile(scenario, kinds.KUSTOMIZATION, "torchserve")
    release = scenario.helm_release()
    assert dig(release, "spec", "suspend") is None, "what kubectl has written is undone"
    annotations = mapping(release, "metadata", "annotations")
    assert annotations["reconcile.fluxcd.io/requestedAt"] == "later"


def test_replicas_of_an_autoscaler_are_left_alone(scenario: Scenario) -> None:
    scaled = {"spec": {"replicas": 2}}
    scenario.api.patch(kinds.DEPLOYMENT, NAME, scaled, NAME, part="scale")
    _reconcile(scenario, kinds.HELM_RELEASE, NAME)
    assert dig(scenario.deployment(), "spec", "replicas") == 2
    scenario.api.patch(kinds.DEPLOYMENT, NAME, {"spec": {"replicas": 1}}, NAME, part="scale")
    scenario.api.wait_for(
        kinds.POD, lambda _: len(scenario.pods()) == 1, seconds=30, namespace=NAME
    )
