"""How nodes and people reach what they need: ways out, addresses, the roles of drivers."""

import ipaddress
from collections.abc import Iterator

from harness.core.fix import set_at
from harness.core.problem import Problem
from harness.core.values import dig, items, text
from harness.policy.facts.eks import clusters
from harness.policy.project import Project
from harness.policy.rule import rule

# The managed policies of addons' drivers, by a part of their names.
_DRIVERS = {
    "aws-ebs-csi-driver": "EBSCSI",
    "aws-efs-csi-driver": "EFSCSI",
    "aws-mountpoint-s3-csi-driver": "S3",
}


@rule(
    "cluster/driver-roles",
    why="a storage driver with the policy of another one starts, and AWS refuses what it asks",
    fix="give the addon the managed policy of its own driver, such as AmazonEFSCSIDriverPolicy",
)
def driver_roles(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        for number, addon in enumerate(items(cluster.value, "addons")):
            name = text(addon, "name")
            for index, association in enumerate(items(addon, "podIdentityAssociations")):
                for place, granted in enumerate(items(association, "permissionPolicyARNs")):
                    if other := _another_driver(name, str(granted).rpartition("/")[2]):
                        path = ("podIdentityAssociations", index, "permissionPolicyARNs", place)
                        message = f"{name} has the policy of {other}"
                        yield cluster.problem(message, "addons", number, *path)


def _another_driver(name: str, policy: str) -> str:
    others = [driver for driver, part in _DRIVERS.items() if driver != name and part in policy]
    return others[0] if name in _DRIVERS and others else ""


@rule(
    "cluster/way-out",
    why="a node in a private network pulls images and joins its cluster through a NAT gateway: "
    "without one no node ever becomes ready",
    fix="vpc.nat.gateway: Single or HighlyAvailable; a cluster without internet is "
    "privateCluster.enabled: true, and a VPC that exists is named by vpc.id",
)
def way_out(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        path = ("vpc", "nat", "gateway")
        private = any(group.value.get("privateNetworking") is True for group in cluster.groups)
        brought = dig(cluster.value, "vpc", "id") or dig(cluster.value, "vpc", "subnets")
        is_offline = dig(cluster.value, "privateCluster", "enabled") is True
        if text(cluster.value, *path) == "Disable" and private and not (brought or is_offline):
            at = cluster.document.at(path)
            message = "private nodes have no way to a registry, or to their own API server"
            yield Problem(message, at, cluster.problem("").object, fix=set_at(at, "Single"))


# What EKS refuses as a source of its public endpoint: no address of the internet.
_NOT_PUBLIC = [
    ipaddress.IPv4Network(each)
    for each in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("127.0.0.0/8", "169.254.0.0/16"),
    )
]


@rule(
    "cluster/public-addresses",
    why="the public endpoint sees the addresses that the internet knows people by: a private one "
    "never comes there, EKS refuses it, and nobody gets in",
    fix="the address of your office or VPN as the internet sees it (curl checkip.amazonaws.com), "
    "with /32; from inside the VPC the private endpoint answers anybody",
)
def public_addresses(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        path = ("vpc", "publicAccessCIDRs")
        for index, written in enumerate(items(cluster.value, *path)):
            try:
                network = ipaddress.ip_network(str(written), strict=False)
            except ValueError:
                continue  # schema/eksctl says so
            if any(_within(network, each) for each in _NOT_PUBLIC):
                message = f"{written} is private: no request to the public endpoint comes from it"
                yield cluster.problem(message, *path, index)


def _within(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network, other: ipaddress.IPv4Network
) -> bool:
    return isinstance(network, ipaddress.IPv4Network) and network.subnet_of(other)
