"""An autoscaler takes over the number of pods from Git without stopping one."""

from harness.core.values import Value, dig
from harness.kubernetes import kinds
from tests.e2e.scenario import NAME, Scenario


def test_a_horizontal_pod_autoscaler_takes_the_pods_over(scenario: Scenario) -> None:
    """The real controller holds its limits without a metric; nothing here measures CPUs."""

    def pods() -> object:
        return dig(scenario.deployment(), "spec", "replicas")

    def autoscaler(least: int, **values: object) -> dict[str, str | None]:
        scaling = {"kind": "hpa", "minReplicas": least, "maxReplicas": 3}
        return scenario.release({"values": {"replicas": 2, "autoscaling": scaling, **values}})

    scenario.sync(scenario.release({"values": {"replicas": 2}}))
    with scenario.timeline.step("replicas in Git → the autoscaler's"):
        scenario.sync(autoscaler(1))
    assert pods() == 2, "the one that it may have would be what no field means"

    scenario.sync(autoscaler(3))
    with scenario.timeline.step("its minimum raised → more pods"):
        scenario.wait_for(kinds.DEPLOYMENT, NAME, lambda each: dig(each, "spec", "replicas") == 3)
    scenario.sync(autoscaler(1, podDisruptionBudget={"maxUnavailable": 2}))
    assert pods() == 3, "an upgrade leaves them alone"

    # First the autoscaler itself goes to Git's number: it may look once more before it is gone.
    limits: Value = {"values": {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}}
    with scenario.timeline.step("the autoscaler's → replicas in Git"):
        scenario.sync(scenario.release(limits))
        scenario.wait_for(kinds.DEPLOYMENT, NAME, lambda each: dig(each, "spec", "replicas") == 2)
        scenario.sync(scenario.release({"values": {"autoscaling": {"kind": "none"}}}))
    assert pods() == 2
