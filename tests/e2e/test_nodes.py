"""Nodes and GPUs: what does not fit waits and says why; what was on a lost node comes back."""

import pytest
import yaml

from harness.core.values import Value, dig, mapping, merge, text
from harness.kubernetes import kinds, status
from harness.kubernetes.transport import ApiError
from tests.e2e.scenario import NAME, SERVERS, Scenario

_GPUS = 3  # the production nodes of clusters/production/eksctl.yaml, one GPU each
_PRODUCTION = "apps/torchserve/production/torchserve/helmrelease.yaml"
_PROPERTIES = "apps/torchserve/local/torchserve/config.properties"


def _with_gpus(scenario: Scenario, replicas: int, more: Value | None = None) -> None:
    """TorchServe on the GPU nodes, one GPU a pod."""
    spec: Value = {"values": {"gpus": 1, "replicas": replicas}}
    scenario.sync(scenario.release(merge(spec, more or {})))


def _nodes_of(pods: list[Value]) -> list[str]:
    return sorted(text(pod, "spec", "nodeName") for pod in pods)


def test_gpus_run_out(scenario: Scenario) -> None:
    _with_gpus(scenario, _GPUS)
    assert _nodes_of(scenario.pods()) == [f"gpu-{number}" for number in range(_GPUS)]
    scenario.commit(scenario.release({"values": {"gpus": 1, "replicas": _GPUS + 1}}))

    def waits(objects: list[Value]) -> str | None:
        for pod in objects:
            reason = status.pod_reason(pod)
            if "Insufficient nvidia.com/gpu" in reason:
                return reason
        return None

    reason = scenario.api.wait_for(kinds.POD, waits, seconds=60, namespace=NAME)
    assert "Unschedulable" in reason
    assert len(scenario.serving()) == _GPUS, "the others go on"
    shown = status.format_status(status.collect(scenario.api, scenario.cluster.repository))
    assert "Insufficient nvidia.com/gpu" in shown


def test_rollout_needs_no_gpu_but_those_that_serve(draft: Scenario) -> None:
    """Production's nodes and replicas, and the strategy that the chart has for them."""
    replicas = dig(yaml.safe_load(draft.bare.read(_PRODUCTION)), "spec", "values", "replicas")
    assert replicas == _GPUS, "a GPU for each pod and none to spare"
    _with_gpus(draft, replicas, {"timeout": "60s"})
    before, fewest = draft.serving(), replicas
    changed = draft.replacement(_PROPERTIES, "job_queue_size=100", "job_queue_size=150")
    commit = draft.commit(changed)

    def is_rolled(objects: list[Value]) -> bool:
        nonlocal fewest
        staying = [pod for pod in objects if not dig(pod, "metadata", "deletionTimestamp")]
        ready = {text(pod, "metadata", "uid") for pod in staying if draft.is_ready(pod)}
        fewest = min(fewest, len(ready))
        return len(ready) == replicas and not ready & before

    with draft.timeline.step("commit → all pods replaced"):
        draft.api.wait_for(kinds.POD, is_rolled, seconds=90, namespace=NAME, labels=SERVERS)
    draft.wait_until_ready(commit)
    assert fewest == replicas - 1, "one pod at a time makes room"
    draft.notes["fewest pods Ready"] = f"{fewest} of {replicas}"


def test_drain_respects_the_disruption_budget(draft: Scenario) -> None:
    _with_gpus(draft, 2, {"timeout": "60s", **draft.pods_that(ready_after="5s")})
    first, second = draft.pods()
    draft.api.evict(text(first, "metadata", "name"), NAME)
    with pytest.raises(ApiError) as refused:
        draft.api.evict(text(second, "metadata", "name"), NAME)
    assert refused.value.status == 429
    assert "disruption budget" in str(refused.value)
    uids = {text(first, "metadata", "uid"), text(second, "metadata", "uid")}

    def is_replaced(objects: list[Value]) -> bool:
        return len(draft.serving()) == 2 and len(draft.serving() - uids) == 1

    with draft.timeline.step("evicted → replaced"):
        draft.api.wait_for(kinds.POD, is_replaced, seconds=60, namespace=NAME)
    draft.wait_for_budget()
    draft.api.evict(text(second, "metadata", "name"), NAME)


def test_pods_spread_over_zones(scenario: Scenario) -> None:
    _with_gpus(scenario, _GPUS)
    zones = {
        mapping(scenario.one(kinds.NODE, text(pod, "spec", "nodeName")), "metadata", "labels")[
            "topology.kubernetes.io/zone"
        ]
        for pod in scenario.pods()
    }
    assert len(zones) == _GPUS


def test_pods_of_a_lost_node_are_started_elsewhere(draft: Scenario) -> None:
    _with_gpus(draft, 2)
    lost = _nodes_of(draft.pods())[0]
    with draft.timeline.step("node lost → pod Ready elsewhere"), draft.lost(lost):

        def elsewhere(objects: list[Value]) -> bool:
            nodes = _nodes_of([pod for pod in draft.pods() if draft.is_ready(pod)])
            return len(nodes) == 2 and lost not in nodes

        # A cluster that is lent has its own patience: 50 s, then 300 s.
        seconds = 420 if draft.cluster.external else 60
        draft.api.wait_for(kinds.POD, elsewhere, seconds=seconds, namespace=NAME)
    # The Deployment's controller counts a pod a moment after the pod is Ready.
    draft.wait_for(kinds.DEPLOYMENT, NAME, lambda each: dig(each, "status", "readyReplicas") == 2)
    assert dig(draft.deployment(), "status", "readyReplicas") == 2
    draft.notes["on a real cluster, s"] = "50 until the node counts as lost, 300 until eviction"
