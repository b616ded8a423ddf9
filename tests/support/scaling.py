"""What KEDA asks Prometheus for a group, as the chart writes it."""

from pathlib import Path

import yaml

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import items, text


def queries(checkout: Repository, group: str) -> dict[str, str]:
    """The queries of a group's ScaledObject, by the trigger's name."""
    chart = checkout.root / "apps/torchserve/chart"
    argv: list[str | Path] = [tools.find(checkout, "helm"), "template", group, chart]
    argv += [f"--values={chart}/ci/gpu-values.yaml", "--show-only=templates/scaledobject.yaml"]
    argv += ["--set=autoscaling.kind=keda,autoscaling.maxReplicas=4"]
    argv += ["--set=autoscaling.keda.requestsPerSecond=10"]
    rendered = yaml.safe_load(command.run(argv, timeout=60).stdout)
    triggers = items(rendered, "spec", "triggers")
    return {text(each, "name"): text(each, "metadata", "query") for each in triggers}
