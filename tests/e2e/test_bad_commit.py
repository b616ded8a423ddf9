"""A bad commit: the last good release goes on, the failure shows, the fixing commit heals."""

from collections.abc import Mapping

import pytest

from harness.core.values import text
from harness.kubernetes import kinds, reconciliation, status
from harness.kubernetes.api import Kind
from tests.e2e.lab import NAME, Lab

_TEMPLATE = "apps/torchserve/chart/templates/service.yaml"
_CHART = "apps/torchserve/chart/Chart.yaml"
_SYNC: dict[str, object] = {
    "enabled": True,
    "source": "s3://models",
    "region": "us-west-2",
    "existingClaim": "model-store",
}

Changes = Mapping[str, str | None]


def _stuck(lab: Lab) -> Changes:
    return lab.release(lab.pods_that("stuck"))


def _invalid_manifest(lab: Lab) -> Changes:
    return lab.replaced("infra/storage/persistentvolumeclaim.yaml", "5Gi", "plenty")


def _template_that_fails(lab: Lab) -> Changes:
    broken = lab.bare.read(_TEMPLATE) + "{{ .Values.no.such.value }}\n"
    return {_TEMPLATE: broken, **lab.replaced(_CHART, "version: 1.", "version: 2.")}


def _values_against_the_schema(lab: Lab) -> Changes:
    return lab.release({"values": {"drainSeconds": "soon"}})


def _failing_hook(lab: Lab) -> Changes:
    spec = {"values": {"modelStore": {"sync": _SYNC}}}
    return lab.release({**spec, **lab.pods_that("fail", kind="Job")})


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
def test_bad_commit(lab: Lab, break_it: object, kind: Kind, name: str, why: str) -> None:
    before = lab.serving()
    assert callable(break_it)
    with lab.timeline.step("commit → failure shows"):
        lab.commit(break_it(lab), "A bad commit")
        lab.failing(kind, name, why=why)
    shown = [row for row in status.collect(lab.api, lab.cluster.repository).rows if row.why]
    assert name in {row.name for row in shown}, "`harness status` names it"
    assert before <= lab.serving(), "the pods of the last good release are the ones that serve"
    with lab.timeline.step("fix → Ready"):
        lab.healed(lab.bare.restore(lab.base))
    assert text(lab.helm_release(), "status", "history", 0, "status") == "deployed"
    assert lab.serving()
    # A failed hook stays for people to look at, and local's next upgrade has none to replace it.
    lab.api.delete(kinds.JOB, "torchserve-model-sync", NAME)
    lab.api.wait_for(
        kinds.POD, lambda _: len(lab.api.list_all(kinds.POD)) == len(lab.pods()), seconds=30
    )


def test_fix_need_not_wait_until_a_bad_upgrade_times_out(lab: Lab) -> None:
    """By itself it does; helm-controller, killed, forgets the upgrade and goes on with the fix."""
    before = lab.serving()
    lab.commit(lab.release({"timeout": "40m", **lab.pods_that("stuck")}), "A bad commit")
    lab.api.wait_for(kinds.POD, lambda _: len(lab.pods()) > len(before), seconds=60, namespace=NAME)
    fix = lab.bare.restore(lab.base)
    reconciliation.request(lab.api)
    lab.wait_for(kinds.HELM_RELEASE, NAME, status.is_overtaken)
    shown = status.format_status(status.collect(lab.api, lab.cluster.repository))
    assert "a newer commit waits until that ends" in shown
    lab.cluster.kill("helm-controller")
    with lab.timeline.step("killed → fix Ready"):
        lab.healed(fix)
    assert lab.serving() == before, "not one pod of the good release was replaced"
