"""What the pods of an environment ask of its nodes: what is rendered here, and the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from harness.core.values import KeyPath, Value, dig, items, mapping, text
from harness.policy.facts import eks
from harness.policy.facts.pods import Container, Pod, pods
from harness.policy.facts.quantity import quantity
from harness.policy.facts.scale import replicas, rollout, scaler
from harness.policy.recorded.charts import ChartPods, of_release
from harness.policy.recorded.instances import CPU, DISK, GPUS, MEMORY, PODS
from harness.render.objects import Object
from harness.render.rendered import Environment

Needs = Mapping[str, Fraction]
"""What one pod takes of each resource."""

NAMES = {CPU: "cpu", MEMORY: "memory", DISK: "ephemeral-storage"}
EVERYWHERE: Value = {"tolerations": [{"operator": "Exists"}]}
"""The spec of a pod that may be on any node."""

_ON_GPUS: Value = {**EVERYWHERE, "nodeSelector": {"nvidia.com/gpu.present": "true"}}

# What EKS's add-ons run, by their own manifests: how many pods (None: one for each node), the cores
# and the bytes that one requests, and where.
# https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html
_ADDONS: dict[str, tuple[tuple[int | None, str, str, Value], ...]] = {
    "vpc-cni": ((None, "50m", "0", EVERYWHERE),),
    "kube-proxy": ((None, "100m", "0", EVERYWHERE),),
    "eks-pod-identity-agent": ((None, "0", "0", EVERYWHERE),),
    "aws-efs-csi-driver": ((None, "0", "0", EVERYWHERE), (2, "0", "0", {})),
    "aws-ebs-csi-driver": ((None, "30m", "120Mi", EVERYWHERE), (2, "60m", "240Mi", {})),
    "eks-node-monitoring-agent": ((None, "10m", "30Mi", EVERYWHERE), (None, "0", "0", _ON_GPUS)),
    "coredns": ((2, "100m", "70Mi", {}),),
    "metrics-server": ((2, "100m", "200Mi", {}),),
}
_FLUX = {"source-controller": "50m"}  # the others request 100m; all of them 64Mi
_PROXY = {"cpu": "100m", "memory": "512Mi"}  # of a proxy whose EnvoyProxy requests nothing


@dataclass(frozen=True)
class Demand:
    """Pods of one kind.

    Attributes:
        name: who they are, for people.
        spec: their pod's spec, as far as it decides where they may be.
        needs: what one of them takes.
        count: how many there are at once, those that surge included.
        every_node: whether there is one on each node instead.
        guarded: whether a PodDisruptionBudget lets only some of them go at once.
        pod: the template, where it is rendered here.
        written: the object that says how many there are and what one requests, and the two paths;
            where they are not pods of ours.
    """

    name: str
    spec: Value
    needs: Needs
    count: int = 1
    every_node: bool = False
    guarded: bool = False
    pod: Pod | None = field(default=None, compare=False)
    written: tuple[Object, KeyPath, KeyPath] | None = field(default=None, compare=False)


def demands(cluster: eks.Cluster) -> list[Demand]:
    """Everything that runs on the nodes of a cluster."""
    key = f"demands of {cluster.environment}"
    return cluster.project.remember(key, lambda: list(_demands(cluster)))


def _demands(cluster: eks.Cluster) -> Iterator[Demand]:
    environment = cluster.environment
    for subject in pods(environment):
        yield _demand_of(environment, subject)
    for addon in items(cluster.value, "addons"):
        for count, cpu, memory, spec in _ADDONS.get(text(addon, "name"), ()):
            yield _other(text(addon, "name"), spec, {"cpu": cpu, "memory": memory}, count)
    yield from _of_operators(environment)
    for release in environment.of("HelmRelease"):
        if record := of_release(cluster.project.repository, environment, release):
            for each in record.pods:
                values = ("spec", "values")
                paths = ((*values, *each.replicas), (*values, *each.resources, "requests"))
                yield replace(_of_chart(each, record.values(release)), written=(release, *paths))


def _of_operators(environment: Environment) -> Iterator[Demand]:
    """Pods that operators make of objects which are rendered here."""
    for instance in environment.of("FluxInstance"):
        for component in map(str, items(instance.value, "spec", "components")):
            requested = {"cpu": _FLUX.get(component, "100m"), "memory": "64Mi"}
            yield _other(component, {}, requested, 1)
    for proxy in environment.of("EnvoyProxy"):
        yield _proxies(proxy)
    for store in environment.of("Elasticsearch"):
        for index, _ in enumerate(items(store.value, "spec", "nodeSets")):
            yield _of_elastic(store, ("spec", "nodeSets", index), "elasticsearch", "2Gi")
    for kibana in environment.of("Kibana"):
        yield _of_elastic(kibana, ("spec",), "kibana", "1Gi")


def _demand_of(environment: Environment, subject: Pod) -> Demand:
    rolling = rollout(subject.owner, replicas(environment, subject.owner)[1])
    # The chart writes the surge for the number that it knows: availability/one-owner-of-replicas.
    is_contested = scaler(environment, subject.owner) and subject.owner.dig("spec", "replicas")
    return Demand(
        str(subject.owner),
        subject.spec,
        needs(subject),
        rolling.replicas + (0 if is_contested else rolling.surge),
        every_node=subject.owner.kind == "DaemonSet",
        pod=subject,
    )


def needs(subject: Pod) -> Needs:
    """What the scheduler reserves for a pod.

    Init containers run one after the other before the others; a sidecar among them stays.
    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    taken: dict[str, Fraction] = {}
    for resource, name in NAMES.items():
        staying = [each for each in subject.containers if not each.init or _stays(each)]
        starting = [each for each in subject.containers if each.init and not _stays(each)]
        together = sum((request(each, name) for each in staying), Fraction(0))
        alone = max((request(each, name) for each in starting), default=Fraction(0))
        overhead = quantity(dig(subject.spec, "overhead", name)) or Fraction(0)
        taken[resource] = max(together, alone) + overhead
    return {**taken, PODS: Fraction(1), GPUS: subject.whole_gpus}


def _stays(container: Container) -> bool:
    return container.dig("restartPolicy") == "Always"


def request(container: Container, name: str) -> Fraction:
    """What a container requests of a resource; its limit, where it requests nothing."""
    resources = container.dig("resources")
    amounts = (quantity(dig(resources, kind, name)) for kind in ("requests", "limits"))
    return next((each for each in amounts if each is not None), Fraction(0))


def _other(name: str, spec: Value, requested: Value, count: int | None) -> Demand:
    """Pods that something else makes; without a count one for each node."""
    taken = {each: quantity(requested.get(key)) or Fraction(0) for each, key in NAMES.items()}
    return Demand(name, spec, {**taken, PODS: Fraction(1)}, count or 0, every_node=count is None)


def _of_chart(recorded: ChartPods, values: Value) -> Demand:
    """What a third-party chart makes, as its record says: the same with the chart and without."""
    replicas = dig(values, *recorded.replicas)
    resources = mapping(values, *recorded.resources)
    requested = {**mapping(resources, "limits"), **mapping(resources, "requests")}
    placement = mapping(values, *recorded.placement)
    spec = {key: placement[key] for key in ("nodeSelector", "tolerations") if key in placement}
    on_gpus = _ON_GPUS if recorded.on_gpus else {}
    count = replicas if isinstance(replicas, int) else 1
    budget = mapping(values, *recorded.budget) if recorded.budget else {}
    pods_of_it = _other(
        recorded.name, {**on_gpus, **spec}, requested, None if recorded.per_node else count
    )
    return replace(pods_of_it, guarded=budget.get("enabled", bool(budget)) is True)


def _proxies(proxy: Object) -> Demand:
    """What Envoy Gateway makes of an EnvoyProxy."""
    kubernetes = mapping(proxy.value, "spec", "provider", "kubernetes")
    deployment = mapping(kubernetes, "envoyDeployment")
    requested = {**_PROXY, **mapping(deployment, "container", "resources", "requests")}
    most = dig(kubernetes, "envoyHpa", "maxReplicas") or dig(deployment, "replicas") or 1
    count = most if isinstance(most, int) else 1
    proxies = _other(
        f"the proxies of {proxy.name}", mapping(deployment, "pod"), requested, max(1, count)
    )
    where = ("spec", "provider", "kubernetes", "envoyDeployment")
    paths = ((*where, "replicas"), (*where, "container", "resources", "requests"))
    return replace(proxies, guarded="envoyPDB" in kubernetes, written=(proxy, *paths))


def _of_elastic(owner: Object, where: KeyPath, name: str, memory: str) -> Demand:
    """What Elastic's operator makes of an object of its.

    Args:
        owner: an Elasticsearch or a Kibana.
        where: leads to what it says of these pods.
        name: of the container that is the program itself.
        memory: what the operator requests for it where nobody says how much.
            https://www.elastic.co/docs/deploy-manage/deploy/cloud-on-k8s/manage-compute-resources
    """
    spec = mapping(owner.value, *where, "podTemplate", "spec")
    names = [text(each, "name") for each in items(spec, "containers")]
    index = names.index(name) if name in names else len(names)
    at = (*where, "podTemplate", "spec", "containers", index, "resources")
    resources = mapping(owner.value, *at)
    requested = {
        "memory": memory,
        **mapping(resources, "limits"),
        **mapping(resources, "requests"),
    }
    count = owner.dig(*where, "count")
    pods_of_it = _other(str(owner), spec, requested, count if isinstance(count, int) else 1)
    return replace(pods_of_it, written=(owner, (*where, "count"), (*at, "requests")))
