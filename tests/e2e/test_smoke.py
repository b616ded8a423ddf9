"""The smoke test on a cluster whose API server, Flux, nodes and budgets are real."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.core.values import Value, dig, mapping, text
from harness.kubernetes import kinds, pod_settings
from harness.kubernetes.api import ApiError, Kind
from harness.smoke import probe_pod, run, target
from harness.smoke.probe_pod import Port
from harness.smoke.report import Report
from tests.e2e.lab import NAME, Lab
from tests.smoke.test_applicability import REAL


def check(lab: Lab) -> Report:
    return run.run(target.on_this_machine(lab.cluster))


def failed(report: Report) -> dict[str, str]:
    return {each.name: each.why for each in report.tests if each.outcome == "failed"}


@contextmanager
def patched(lab: Lab, kind: Kind, change: Value, back: Value) -> Iterator[None]:
    """An object of TorchServe's differs from what Git says while the block runs."""
    lab.api.patch(kind, NAME, change, NAME)
    try:
        yield
    finally:
        lab.api.patch(kind, NAME, back, NAME)


def test_what_is_real_here_passes(lab: Lab) -> None:
    report = check(lab)
    assert failed(report) == {}
    passed = {each.name for each in report.tests if each.outcome == "passed"}
    assert passed == {name for name, kinds_ in REAL.items() if "l" in kinds_}
    assert report.release is not None
    assert report.release.commit == lab.bare.head()
    assert report.release.digest
    assert (report.verdict, report.target, report.embedded) == ("pass", "local", False)


def test_settings_that_were_edited_are_found(lab: Lab) -> None:
    before = pod_settings.of(lab.deployment())["config.properties"]

    def carrying(config: str, *, paused: bool) -> Value:
        annotations = {f"{pod_settings.PREFIX}config.properties": config}
        return {"spec": {"paused": paused, "template": {"metadata": {"annotations": annotations}}}}

    edited = carrying(before + "job_queue_size=1\n", paused=True)  # or its pods would roll
    with patched(lab, kinds.DEPLOYMENT, edited, carrying(before, paused=False)):
        found = failed(check(lab))
    assert list(found) == ["the snapshot in the cluster is that of Git"]
    assert f"not what commit {lab.bare.head()[:12]} makes it" in next(iter(found.values()))


def test_budget_that_blocks_a_drain_is_found_and_nobody_is_evicted(lab: Lab) -> None:
    before = lab.serving()
    change, back = ({"spec": {"maxUnavailable": count}} for count in (0, 1))
    with patched(lab, kinds.POD_DISRUPTION_BUDGET, change, back):
        lab.wait_for(
            kinds.POD_DISRUPTION_BUDGET,
            NAME,
            lambda each: dig(each, "status", "disruptionsAllowed") == 0,
        )
        found = failed(check(lab))
        with pytest.raises(ApiError) as refused:
            lab.api.evict(text(lab.pods()[0], "metadata", "name"), NAME, dry_run=True)
    assert refused.value.status == 429
    assert list(found) == ["the disruption budget allows a drain"]
    assert lab.serving() == before


def test_lost_node_is_found(lab: Lab) -> None:
    def is_ready(found: list[Value], wanted: str) -> bool:
        return any(
            text(each, "metadata", "name") == "gpu-0"
            and any(
                (text(one, "type"), text(one, "status")) == ("Ready", wanted)
                for one in dig(each, "status", "conditions") or ()  # type: ignore[union-attr]
            )
            for each in found
        )

    with lab.lost("gpu-0"):
        lab.api.wait_for(kinds.NODE, lambda found: is_ready(found, "Unknown"), seconds=30)
        found = failed(check(lab))
    lab.api.wait_for(kinds.NODE, lambda found: is_ready(found, "True"), seconds=30)
    assert "gpu-0: NodeStatusUnknown" in found["every node is ready"]


def test_the_neighbour_is_admitted_with_the_servers_image_only(lab: Lab) -> None:
    pod = probe_pod.manifest(lab.pods()[0], [Port(NAME, "10.0.7.7", 8081, "management")])
    lab.api.create(pod, dry_run=True)
    stranger = mapping(pod, "spec", "containers", 0) | {"image": "docker.io/other/image:1"}  # type: ignore[operator]
    foreign = {**pod, "spec": {**mapping(pod, "spec"), "containers": [stranger]}}
    with pytest.raises(ApiError, match="not from a registry"):
        lab.api.create(foreign, dry_run=True)
