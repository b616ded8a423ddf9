"""Nodes and the images that they run: disks with room for them, CPUs that they are made for."""

import math
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, leaves, text
from harness.policy.facts import eks
from harness.policy.facts.demand import needs
from harness.policy.facts.origins import Origins
from harness.policy.facts.pods import pods
from harness.policy.facts.serving import servers
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.recorded import offerings
from harness.policy.recorded.instances import DISK
from harness.policy.rule import problem, rule

_GIBI = 1 << 30
_SNAPSHOT = 20  # GiB, of the image of Amazon Linux 2023
_IMAGE = 10**10  # bytes that the serving image takes on a node: clusters/<env>/eksctl.yaml


@rule(
    "nodes/disk",
    why="EC2 makes no disk that is smaller than its image's snapshot, 20 GiB for Amazon Linux "
    "2023; one without room for the serving image, about 10 GB unpacked, is full before a pod "
    "starts, and the kubelet evicts what runs",
    fix="raise volumeSize",
    references=("https://github.com/awslabs/amazon-eks-ami/pull/1581",),
)
def disks_hold_images(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        for group in cluster.groups:
            if group.disk < _SNAPSHOT and text(group.value, "amiFamily") == "AmazonLinux2023":
                message = (
                    f"no disk of {group.disk} GiB can be made from an image of {_SNAPSHOT} GiB"
                )
                yield group.problem(message, "volumeSize", to=_SNAPSHOT)
            elif too_small := _without_room(cluster, group):
                yield too_small


def _without_room(cluster: eks.Cluster, group: eks.NodeGroup) -> Problem | None:
    """That a node cannot hold the serving image as well as one server that it has to hold."""
    for server in servers(cluster.environment):
        request = needs(server.pod)[DISK]
        room = group.room.get(DISK)
        if room and group.holds(server.pod.spec) and 0 <= room - request < _IMAGE:
            message = f"a disk of {group.disk} GiB has no room for the serving image next to the "
            message += f"{float(request / _GIBI):g}Gi that {server.pod.owner} asks for"
            enough = math.ceil(((request + _IMAGE) / _GIBI + 1) / 9) * 10
            return group.problem(message, "volumeSize", to=enough)
    return None


@rule(
    "nodes/architecture",
    why="the serving image is built for amd64: on a node with an Arm CPU its containers end with "
    "`exec format error`, and the scheduler does not know it",
    fix='select nodes that run it: values.nodeSelector: {kubernetes.io/arch: "amd64"}, which the '
    "servers and their Jobs take",
    severity=Severity.WARNING,  # it depends on where the scheduler puts them
)
def image_runs_on_nodes(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        images = {
            text(each.value, "image")
            for server in servers(cluster.environment)
            for each in server.pod.containers
            if each.name == server.container.name
        }
        for group in cluster.groups:
            arm = next((each for each in group.types if each.architecture != "amd64"), None)
            for subject in pods(cluster.environment):
                ours = [each for each in subject.containers if text(each.value, "image") in images]
                if arm and ours and group.holds(subject.spec) and not group.is_for_gpus:
                    message = f"{arm.name} has an Arm CPU ({arm.architecture}), and "
                    message += f"{subject.owner}, whose image is amd64, may be placed there"
                    yield group.problem(message, *next(iter(group.instances)))
                    break


@rule(
    "nodes/chosen-by-values",
    why="a pod that selects a label which no node has is Pending forever, and so is the release "
    "that waits for it",
    fix="select a label that a node group of clusters/<env>/eksctl.yaml has, or give it to one",
)
def values_choose_nodes(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        groups = list(cluster.groups)
        # The nodes of a NodePool have labels that it gives them.
        if not groups or any(cluster.environment.of("NodePool")):
            continue
        for release in Origins(cluster.environment).remote:
            for path, expected in leaves(release.dig("spec", "values"), ("spec", "values")):
                *_, around, label = path
                if around == "nodeSelector" and all(
                    group.lacks(str(label), expected) for group in groups
                ):
                    message = f"selects {label}: {expected}, which no node group of eksctl.yaml has"
                    yield problem(release, message, *path)


@rule(
    "nodes/offered",
    why="EC2 has not every type with GPUs in every region, nor in every zone of it: a node group "
    "there is never made, or its nodes are all in one zone",
    fix="choose a type or zones where it is offered; `make instance-types` asks for EC2's newest "
    "list, and `aws ec2 describe-instance-type-offerings` for your account's",
    severity=Severity.WARNING,  # the list may be older, and its zones are another account's
    references=(
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html",
    ),
)
def types_are_offered(project: Project) -> Iterator[Problem]:
    for cluster in eks.clusters(project):
        region = text(cluster.value, "metadata", "region")
        for group in cluster.groups:
            of_group = [str(each) for each in items(group.value, "availabilityZones")]
            zones = of_group or [str(each) for each in items(cluster.value, "availabilityZones")]
            for path, name in group.instances.items():
                offered = offerings.zones(name, region)
                if offered == []:
                    yield group.problem(f"{name} is not offered in {region}", *path)
                elif offered and (len(zones) > len(offered) or not {*zones} & {*offered}):
                    message = f"{name} is offered in {len(offered)} zones of {region} "
                    message += f"({', '.join(offered)} in one account), not in every one of "
                    message += ", ".join(zones)
                    yield group.problem(message, *(("availabilityZones",) if of_group else path))
