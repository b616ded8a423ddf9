"""A bad commit: the last good release goes on, the failure shows, the fixing commit heals."""

from collections.abc import Mapping

import pytest

from harness.core.values import text
from harness.kubernetes import kinds, reconciliation, status
from harness.kubernetes.api import Kind
from tests.e2e.scenario import NAME, Scenario

_TEMPLATE = "apps/torchserve/chart/templates/service.yaml"
_CHART = "apps/torchserve/chart/Chart.yaml"
_SYNC: dict[str, object] = {
    "enabled": True,
    "source": "s3://models",
    "region": "us-west-2",
    "existingClaim": "model-store",
}

Changes = Mapping[str, str | None]


def _stuck(scenario: Scenario) -> Changes:
    return scenario.release(scenario.pods_that("stuck"))


def _invalid_manifest(scenario: Scenario) -> Changes:
    return scenario.replacement("infra/storage/persistentvolumeclaim.yaml", "5Gi", "plenty")


def _template_that_fails(scenario: Scenario) -> Changes:
    broken = scenario.bare.read(_TEMPLATE) + "{{ .Values.no.such.value }}\n"
    return {_TEMPLATE: broken, **scenario.replacement(_CHART, "version: 1.", "version: 2.")}


def _values_against_the_schema(scenario: Scenario) -> Changes:
    return scenario.release({"values": {"drainSeconds": "soon"}})


def _failing_hook(scenario: Scenario) -> Changes:
    spec = {"values": {"modelStore": {"sync": _SYNC}}}
    return scenario.release({**spec, **scenario.patched_pods("fail", kind="Job")})


@pytest.mark.parametrize(
    ("break_it", "kind", "name", "why"),
    [
        pytest.param(
            _stuck, kinds.HELM_RELEASE, NAME, "Helm upgrade failed", id="pods never ready"
        ),
        pytest.param(
            _invalid_manifest, kinds.KUSTOMIZATION, "storage", "quantities", id="manifest"
        ),
        pytest.param(_template_that_fails, kinds.HELM_RELEASE, NAME, "no.such", id="template"),
        pytest.param(
            _values_against_the_schema, kinds.HELM_RELEASE, NAME, "drainSeconds", id="values"
        ),
        pytest.param(_failing_hook, kinds.HELM_RELEASE, NAME, "pre-upgrade", id="pre-upgrade hook"),
    ],
)
def test_bad_commit(scenario: Scenario, break_it: object, kind: Kind, name: str, why: str) -> None:
    before = scenario.serving()
    assert callable(break_it)
    with scenario.timeline.step("commit → failure shows"):
        scenario.commit(break_it(scenario), "A bad commit")
        scenario.failing(kind, name, why=why)
    shown = [
        row for row in status.collect(scenario.api, scenario.cluster.repository).rows if row.why
    ]
    assert name in {row.name for row in shown}, "`harness status` names it"
    assert before <= scenario.serving(), "the pods of the last good release are the ones that serve"
    with scenario.timeline.step("fix → Ready"):
        scenario.wait_until_ready(scenario.bare.restore(scenario.base))
    assert text(scenario.helm_release(), "status", "history", 0, "status") == "deployed"
    assert scenario.serving()
    # A failed hook stays for people to look at, and local's next upgrade has none to replace it.
    scenario.api.delete(kinds.JOB, "torchserve-model-sync", NAME)
    scenario.api.wait_for(
        kinds.POD,
        lambda _: len(scenario.api.list_all(kinds.POD)) == len(scenario.pods()),
        seconds=30,
    )


def test_fix_need_not_wait_until_a_bad_upgrade_times_out(scenario: Scenario) -> None:
    """By itself it does; helm-controller, killed, forgets the upgrade and goes on with the fix."""
    before = scenario.serving()
    scenario.commit(
        scenario.release({"timeout": "40m", **scenario.pods_that("stuck")}), "A bad commit"
    )
    scenario.api.wait_for(
        kinds.POD, lambda _: len(scenario.pods()) > len(before), seconds=60, namespace=NAME
    )
    fix = scenario.bare.restore(scenario.base)
    reconciliation.request(scenario.api)
    scenario.wait_for(kinds.HELM_RELEASE, NAME, status.is_overtaken)
    shown = status.format_status(status.collect(scenario.api, scenario.cluster.repository))
    assert "a newer commit waits until that ends" in shown
    scenario.cluster.kill("helm-controller")
    with scenario.timeline.step("killed → fix Ready"):
        scenario.wait_until_ready(fix)
    assert scenario.serving() == before, "not one pod of the good release was replaced"
