"""What the API server reports: Flux, nodes, the snapshot, the disruption budget."""

from collections.abc import Callable

from harness.core.errors import InputError
from harness.core.values import dig, items, text
from harness.kubernetes import kinds, pod_settings, reconciliation, status
from harness.kubernetes.transport import ApiError
from harness.smoke.check import Need, check
from harness.smoke.expected import NAME, NAMESPACE, deployments
from harness.smoke.target import Cluster, Target

_RESTARTS = 3  # of a server within a release: a few are crashes that healed, more are a loop
_BLOCKED = 429  # Too Many Requests: the API server's status when a budget forbids an eviction


@check(Need.CLUSTER, then="harness status {at}")
def test_flux_has_applied_the_release_and_everything_is_ready(
    target: Target, cluster: Cluster
) -> None:
    screen = status.collect(cluster.api, target.repository)
    broken = [row for row in screen.rows if row.state not in ("ready", "suspended")]
    assert screen.rows, "there is no object of Flux"
    assert not broken, "\n".join(f"{row.kind}/{row.name}: {row.why}" for row in broken)


@check(Need.CLUSTER, then="{kubectl} get nodes")
def test_every_node_is_ready(cluster: Cluster) -> None:
    nodes = cluster.api.list_all(kinds.NODE)
    assert nodes, "there is no node"
    for node in nodes:
        ready = reconciliation.condition(node, "Ready")
        if text(ready, "status") != "True":
            name = text(node, "metadata", "name")
            why = f"{name}: {text(ready, 'reason')}: {text(ready, 'message')}"
            raise InputError(why, hint=f"{cluster.kubectl} describe node {name}")


@check(Need.CLUSTER, then="harness snapshot check --env {env}; harness status {at}")
def test_the_snapshot_in_the_cluster_is_that_of_git(target: Target, cluster: Cluster) -> None:
    commit = target.release.commit[:12] if target.release else ""
    for group, deployment in deployments(cluster.rendered()).items():
        live = cluster.api.get(kinds.DEPLOYMENT, group, NAMESPACE)
        assert live, f"there is no Deployment {NAMESPACE}/{group}"
        rendered, carried = pod_settings.of(deployment), pod_settings.of(live)
        for key in rendered.keys() | carried.keys():
            differs = f"Deployment {NAMESPACE}/{group}: {key} is not what commit {commit} makes it"
            assert rendered.get(key) == carried.get(key), differs


@check(Need.CLUSTER, then="{kubectl} -n torchserve describe poddisruptionbudget {group}")
def test_the_disruption_budget_allows_a_drain(cluster: Cluster) -> None:
    for group in deployments(cluster.rendered()):
        budget = cluster.api.get(kinds.POD_DISRUPTION_BUDGET, group, NAMESPACE)
        assert budget, f"there is no PodDisruptionBudget {NAMESPACE}/{group}"
        allowed = dig(budget, "status", "disruptionsAllowed")
        assert isinstance(allowed, int), f"the pods of {group} have not been counted yet"
        forever = (
            f"{group}: it allows {allowed} disruptions: a drained node would wait indefinitely"
        )
        assert allowed >= 1, forever
    pods = cluster.pods()
    assert pods, "no server runs"
    for pod in pods:
        name = text(pod, "metadata", "name")
        try:
            cluster.api.evict(name, NAMESPACE, dry_run=True)
        except ApiError as error:
            forbidden = "its budget" if error.status == _BLOCKED else "the API server"
            raise InputError(f"{forbidden} forbids to evict {name}: {error.message}") from error


@check(Need.POD, then="{kubectl} -n torchserve logs deploy/{group} --previous --tail 50")
def test_servers_keep_running(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    """A release's pods are its own: what they count has happened since it rolled out."""
    pods = cluster.pods()
    assert pods, "no server runs"
    for pod in pods:
        for container in items(pod, "status", "containerStatuses"):
            count = dig(container, "restartCount")
            if text(container, "name") != NAME or not isinstance(count, int) or count == 0:
                continue
            last = dig(container, "lastState", "terminated")
            reason = text(last, "reason") or "unknown reason"
            name = text(pod, "metadata", "name")
            note = f"{name} restarted {count} times, last: {reason}, exit {dig(last, 'exitCode')}"
            assert count <= _RESTARTS, f"{note}; more than {_RESTARTS} are a crash loop"
            record_property("note", note)
