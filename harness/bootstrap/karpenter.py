"""infra/foundation/nodes: Karpenter's roles and queue, and the subnets in which it starts nodes.

Only for an environment whose release lists infra/karpenter.
"""

from pathlib import Path

from harness.bootstrap import stack
from harness.bootstrap.installation import Installation
from harness.bootstrap.stack import StackSpec
from harness.bootstrap.step import Inspection
from harness.core import console, yamlfile
from harness.core.values import items
from harness.efs import settings, state

TEMPLATE = Path("infra/foundation/nodes/template.yaml")
DISCOVERY = "karpenter.sh/discovery"
"""The tag by which EC2NodeClass ``gpu`` finds subnets; its value is the cluster's name."""

_COMPONENT = "../../../infra/karpenter"


def inspect(installation: Installation) -> Inspection:
    """Check whether the stack matches the template, and whether the subnets have the tag."""
    if not is_listed(installation):
        return Inspection(("infra/karpenter is not listed",))
    spec = stack_spec(installation)
    existing, changes = stack.inspect(installation, spec)
    if existing and existing.busy:
        return Inspection(changes=changes)
    if subnets := _subnets_without_tag(installation):
        changes += (f"~ {DISCOVERY} on {', '.join(subnets)}",)
    return Inspection((f"stack {spec.name}",), changes)


def build(installation: Installation, update: console.Update) -> None:
    """Create or update the stack, and tag the subnets."""
    stack.change(installation.aws, stack_spec(installation), installation.pace, update)
    if subnets := _subnets_without_tag(installation):
        tag = {"Key": DISCOVERY, "Value": installation.cluster_name}
        installation.aws.call("ec2", "create_tags", Resources=subnets, Tags=[tag])


def is_listed(installation: Installation) -> bool:
    """Return whether the environment's release has the component."""
    path = installation.repository.root / f"apps/torchserve/{installation.env}/kustomization.yaml"
    documents = yamlfile.parse(yamlfile.read_text(path), path)
    return any(_COMPONENT in items(each.value, "resources") for each in documents)


def stack_name(installation: Installation) -> str:
    """The stack of an environment's nodes."""
    return f"torchserve-{installation.env}-nodes"


def stack_spec(installation: Installation) -> StackSpec:
    """Return the stack of an environment's nodes."""
    return StackSpec(
        name=stack_name(installation),
        path=installation.repository.root / TEMPLATE,
        parameters={
            "Environment": installation.env,
            "ClusterName": installation.cluster_name,
        },
        tags={"environment": installation.env, "application": "torchserve"},
    )


def _subnets_without_tag(installation: Installation) -> list[str]:
    """The subnets of the cluster's node groups that Karpenter does not find yet.

    Those of a node group are what Karpenter's documentation tags. They are private (a rule asks
    for ``privateNetworking``), and EFS has mount targets in their zones.
    """
    desired = settings.load(installation.repository, installation.env)
    subnets = state.node_subnets(installation.aws, desired)
    tag = {"Key": DISCOVERY, "Value": installation.cluster_name}
    return sorted(str(each["SubnetId"]) for each in subnets if tag not in each.get("Tags", ()))
