"""The smoke test on a cluster whose API server, Flux, nodes and budgets are real."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.core.values import Value, dig, mapping, text
from harness.kubernetes import kinds, pod_settings
from harness.kubernetes.api import Kind
from harness.kubernetes.transport import ApiError
from harness.smoke import probe_pod, run, target
from harness.smoke.probe_pod import Port
from harness.smoke.report import Report
from tests.e2e.scenario import NAME, Scenario
from tests.smoke.test_applicability import REAL


def check(scenario: Scenario) -> Report:
    return run.run(target.on_this_machine(scenario.cluster))


def failed_checks(report: Report) -> dict[str, str]:
    return {each.name: each.why for each in report.tests if each.outcome == "failed"}


@contextmanager
def patched(scenario: Scenario, kind: Kind, change: Value, back: Value) -> Iterator[None]:
    """An object of TorchServe's differs from what Git says while the block runs."""
    scenario.api.patch(kind, NAME, change, NAME)
    try:
        yield
    finally:
        scenario.api.patch(kind, NAME, back, NAME)


def test_what_is_real_here_passes(scenario: Scenario) -> None:
    report = check(scenario)
    assert failed_checks(report) == {}
    passed = {each.name for each in report.tests if each.outcome == "passed"}
    assert passed == {name for name, kinds_ in REAL.items() if "l" in kinds_}
    assert report.release is not None
    assert report.release.commit == scenario.bare.head()
    assert report.release.digest
    assert (report.verdict, report.target, report.embedded) == ("pass", "local", False)


def test_settings_that_were_edited_are_found(scenario: Scenario) -> None:
    before = pod_settings.of(scenario.deployment())["config.properties"]

    def carrying(config: str, *, paused: bool) -> Value:
        annotations = {f"{pod_settings.PREFIX}config.properties": config}
        return {"spec": {"paused": paused, "template": {"metadata": {"annotations": annotations}}}}

    edited = carrying(before + "job_queue_size=1\n", paused=True)  # or its pods would roll
    with patched(scenario, kinds.DEPLOYMENT, edited, carrying(before, paused=False)):
        failures = failed_checks(check(scenario))
    assert list(failures) == ["the snapshot in the cluster is that of Git"]
    assert f"not what commit {scenario.bare.head()[:12]} makes it" in next(iter(failures.values()))


def test_budget_that_blocks_a_drain_is_found_and_nobody_is_evicted(scenario: Scenario) -> None:
    before = scenario.serving()
    change, back = ({"spec": {"maxUnavailable": count}} for count in (0, 1))
    with patched(scenario, kinds.POD_DISRUPTION_BUDGET, change, back):
        scenario.wait_for(
            kinds.POD_DISRUPTION_BUDGET,
            NAME,
            lambda each: dig(each, "status", "disruptionsAllowed") == 0,
        )
        failures = failed_checks(check(scenario))
        with pytest.raises(ApiError) as refused:
            scenario.api.evict(text(scenario.pods()[0], "metadata", "name"), NAME, dry_run=True)
    assert refused.value.status == 429
    assert list(failures) == ["the disruption budget allows a drain"]
    assert scenario.serving() == before


def test_lost_node_is_found(scenario: Scenario) -> None:
    def is_ready(nodes: list[Value], expected_status: str) -> bool:
        return any(
            text(each, "metadata", "name") == "gpu-0"
            and any(
                (text(one, "type"), text(one, "status")) == ("Ready", expected_status)
                for one in dig(each, "status", "conditions") or ()  # type: ignore[union-attr]
            )
            for each in nodes
        )

    with scenario.lost("gpu-0"):
        scenario.api.wait_for(
            kinds.NODE, lambda failures: is_ready(failures, "Unknown"), seconds=30
        )
        failures = failed_checks(check(scenario))
    scenario.api.wait_for(kinds.NODE, lambda failures: is_ready(failures, "True"), seconds=30)
    assert "gpu-0: NodeStatusUnknown" in failures["every node is ready"]


def test_the_neighbour_is_admitted_with_the_servers_image_only(scenario: Scenario) -> None:
    pod = probe_pod.manifest(scenario.pods()[0], [Port(NAME, "10.0.7.7", 8081, "management")])
    scenario.api.create(pod, dry_run=True)
    stranger = mapping(pod, "spec", "containers", 0) | {"image": "docker.io/other/image:1"}  # type: ignore[operator]
    foreign = {**pod, "spec": {**mapping(pod, "spec"), "containers": [stranger]}}
    with pytest.raises(ApiError, match="not from a registry"):
        scenario.api.create(foreign, dry_run=True)
