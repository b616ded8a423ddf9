"""The cluster itself: eksctl.yaml agrees with what runs on it, and opens nothing."""

from collections.abc import Iterator
from difflib import get_close_matches

from harness.core.problem import Problem
from harness.core.values import dig, items, mapping, text
from harness.policy.facts.eks import EFS_READY, STARTUP, Cluster, clusters
from harness.policy.facts.pods import SERVERS, Pod, pods
from harness.policy.project import Project
from harness.policy.rule import problem, rule

_LOGS = {"api", "audit", "authenticator", "controllerManager", "scheduler"}
_ADDONS = (
    *("aws-efs-csi-driver", "coredns", "eks-pod-identity-agent"),
    *("kube-proxy", "metrics-server", "vpc-cni"),
)
_MONITORS = "eks-node-monitoring-agent"
_ENFORCED = "pod-security.kubernetes.io/enforce-version"


@rule(
    "cluster/one-region",
    why="the cluster and its file system are made in the region of eksctl.yaml; the sync Job and "
    "every command ask that of site.yaml",
    fix="give eksctl.yaml and site.yaml the same region: harness init --env <env> AWS_REGION=…",
)
def one_region(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        region = text(cluster.value, "metadata", "region")
        site = cluster.environment.find("ConfigMap", "site", "flux-system")
        if site and text(site.value, "data", "AWS_REGION") != region:
            message = f"AWS_REGION is {site.dig('data', 'AWS_REGION')}, eksctl.yaml says {region}"
            yield Problem(message, site.at("data", "AWS_REGION"), str(site))


@rule(
    "cluster/zones",
    why="EFS has one mount target for each zone of the cluster: a node elsewhere cannot mount it",
    fix="keep the zones of every node group, and of the region, among availabilityZones",
)
def zones(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        region = text(cluster.value, "metadata", "region")
        listed = items(cluster.value, "availabilityZones")
        for zone in listed:
            if not str(zone).startswith(region):
                yield cluster.problem(f"{zone} is not a zone of {region}", "availabilityZones")
        for group in cluster.groups:
            for zone in items(group.value, "availabilityZones"):
                if zone not in listed:
                    yield group.problem(f"{zone} is not a zone of the cluster", "availabilityZones")


@rule(
    "cluster/private",
    why="a node with a public address, or an API open to the world, is one leaked credential away",
    fix="privateNetworking: true, and publicAccess only with publicAccessCIDRs of your own",
    references=("CIS EKS 5.4.1", "CIS EKS 5.4.2", "CIS EKS 5.4.3"),
)
def private(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        endpoints = mapping(cluster.value, "vpc", "clusterEndpoints")
        allowed = items(cluster.value, "vpc", "publicAccessCIDRs")
        if endpoints.get("privateAccess") is not True:
            message = "has no private endpoint"
            yield cluster.problem(message, "vpc", "clusterEndpoints", "privateAccess")
        if endpoints.get("publicAccess") is not False and not allowed:
            message = "opens its API to every address"
            yield cluster.problem(message, "vpc", "clusterEndpoints", "publicAccess")
        for index, network in enumerate(allowed):
            if str(network).endswith("/0"):
                message = f"opens its API to {network}"
                yield cluster.problem(message, "vpc", "publicAccessCIDRs", index)
        for group in cluster.groups:
            if group.value.get("privateNetworking") is not True:
                yield group.problem("its nodes have public addresses", "privateNetworking", to=True)


@rule(
    "cluster/nodes",
    why="a pod that reaches the instance metadata has the node's credentials; an unencrypted disk "
    "keeps models and logs for whoever gets it next",
    fix="disableIMDSv1 and disablePodIMDS: true (hop limit 1), volumeEncrypted: true, "
    "amiFamily: AmazonLinux2023",
    references=("CIS EKS 5.3.1",),
)
def nodes(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        for group in cluster.groups:
            for key in ("disableIMDSv1", "disablePodIMDS", "volumeEncrypted"):
                if group.value.get(key) is not True:
                    yield group.problem(f"{key} is not true", key, to=True)
            if text(group.value, "amiFamily") == "AmazonLinux2":
                yield group.problem(
                    "AmazonLinux2 gets no images any more", "amiFamily", to="AmazonLinux2023"
                )


@rule(
    "cluster/gpu-nodes",
    why="without the taint anything fills a GPU node; without the label the device plugin and the "
    "pods never find it",
    fix='labels: {nvidia.com/gpu.present: "true"} and taint nvidia.com/gpu:NoSchedule',
)
def gpu_nodes(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        for group in cluster.groups:
            taints = [(text(each, "key"), text(each, "effect")) for each in group.taints]
            if group.gpus and ("nvidia.com/gpu", "NoSchedule") not in taints:
                yield group.problem("has GPUs, but no taint keeps others off", "taints")
            name = "nvidia.com/gpu.present"
            label = mapping(group.value, "labels").get(name)
            if group.gpus and label != "true":
                yield group.problem(
                    "has GPUs, but no label nvidia.com/gpu.present", "labels", name, to="true"
                )


@rule(
    "cluster/driver-taints",
    why="without it pods come to a new node before its EFS driver and fail to mount "
    "(aws-efs-csi-driver, README, agent-not-ready); a misspelt one is never taken away, and keeps "
    "every pod off",
    fix="taints of the group: key: efs.csi.aws.com/agent-not-ready, effect: NoExecute",
)
def driver_taints(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        mounting = [
            each
            for each in pods(cluster.environment, *SERVERS)
            if mapping(each.spec, "nodeSelector") and _mounts_efs(each, cluster)
        ]
        for group in cluster.groups:
            keys = [text(each, "key") for each in items(group.value, "taints")]
            drivers = {key.partition("/")[0] for key in STARTUP}
            for index, key in enumerate(keys):
                near = get_close_matches(key, STARTUP, n=1, cutoff=0.8)
                known = key.partition("/")[0] in drivers
                if key not in STARTUP and (near or known):
                    meant = (near or [each for each in STARTUP if each.split("/")[0] in key])[:1]
                    hint = "".join(f"; did you mean {each}?" for each in meant)
                    message = f"no driver takes the taint {key} away{hint}"
                    yield group.problem(message, "taints", index, "key", to=meant[0])
                    break
            else:
                if EFS_READY not in keys and any(
                    group.holds(each.spec) and (group.is_for_gpus or not each.gpus)
                    for each in mounting
                ):
                    message = "its pods mount EFS, but nothing holds them until the driver is ready"
                    yield group.problem(message, "taints")


def _mounts_efs(subject: Pod, cluster: Cluster) -> bool:
    """Whether a pod mounts a volume of the EFS driver."""
    volumes = {
        tuple(text(each.value, "spec", "claimRef", key) for key in ("namespace", "name"))
        for each in cluster.environment.of("PersistentVolume")
        if text(each.value, "spec", "csi", "driver") == EFS_READY.partition("/")[0]
    }
    return any(
        (subject.owner.namespace, text(each, "persistentVolumeClaim", "claimName")) in volumes
        for each in items(subject.spec, "volumes")
    )


@rule(
    "cluster/control-plane",
    why="without audit logs nobody can say what happened; without a key of your own Secrets are "
    "encrypted by nobody you control; extended support costs six times as much",
    fix="all five log types, secretsEncryption.keyARN, upgradePolicy STANDARD, autoModeConfig off",
    references=("CIS EKS 2.1.1", "CIS EKS 5.3.1"),
)
def control_plane(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        logs = ("cloudWatch", "clusterLogging", "enableTypes")
        if missing := _LOGS - {str(each) for each in items(cluster.value, *logs)}:
            yield cluster.problem(f"does not log {' and '.join(sorted(missing))}", *logs)
        if not text(cluster.value, "secretsEncryption", "keyARN"):
            yield cluster.problem("Secrets have no key", "secretsEncryption", "keyARN")
        if dig(cluster.value, "upgradePolicy", "supportType") != "STANDARD":
            yield cluster.problem(
                "takes extended support", "upgradePolicy", "supportType", to="STANDARD"
            )
        if dig(cluster.value, "autoModeConfig", "enabled") is not False:
            yield cluster.problem("leaves Auto Mode open", "autoModeConfig", "enabled")


@rule(
    "cluster/addons",
    why="an addon that is not listed comes with eksctl's settings, or not at all; without "
    "enableNetworkPolicy every NetworkPolicy here is accepted and ignored; without the monitoring "
    "agent node repair sees no GPU fault",
    fix=f"list {', '.join(_ADDONS)}; vpc-cni with enableNetworkPolicy; {_MONITORS} where "
    "nodeRepairConfig is enabled",
    references=("CIS EKS 4.3.1",),
)
def addons(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        listed = {text(each, "name"): each for each in items(cluster.value, "addons")}
        for missing in sorted(set(_ADDONS) - set(listed)):
            yield cluster.problem(f"does not list {missing}", "addons")
        for index, addon in enumerate(items(cluster.value, "addons")):
            configuration = text(addon, "configurationValues").replace('"', "").replace("'", "")
            if (
                text(addon, "name") == "vpc-cni"
                and "enableNetworkPolicy: true" not in configuration
            ):
                yield cluster.problem("vpc-cni enforces no NetworkPolicy", "addons", index)
        repaired = [
            group.name
            for group in cluster.groups
            if dig(group.value, "nodeRepairConfig", "enabled") is True
        ]
        if repaired and _MONITORS not in listed:
            message = f"{_MONITORS} is not listed: of {' and '.join(repaired)} no GPU fault"
            yield cluster.problem(f"{message} is repaired", "addons")


@rule(
    "cluster/version",
    why="pod security follows the version on the namespace's label: one that is not the "
    "cluster's enforces other rules than those that were tested",
    fix="write the version of eksctl.yaml (vX.Y) into the namespaces' enforce-version labels",
)
def version(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        expected = f"v{dig(cluster.value, 'metadata', 'version')}"
        labeled = [each for each in cluster.environment.of("Namespace") if _ENFORCED in each.labels]
        versions = {str(each.labels[_ENFORCED]) for each in labeled}
        if len(labeled) > 1 and len(versions) == 1 and expected not in versions:
            message = f"is {expected}, and all namespaces enforce {versions.pop()}"
            yield cluster.problem(message, "metadata", "version")
            continue
        for namespace in labeled:
            enforced = namespace.labels[_ENFORCED]
            if enforced != expected:
                message = f"enforces {enforced}, the cluster is {expected}"
                yield problem(namespace, message, "metadata", "labels", _ENFORCED, to=expected)
