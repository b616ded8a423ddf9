"""The settings that pods carry: annotations of their template, which the chart's servers mount.

A ReplicaSet keeps those of its release, so a pod of it never reads another release's.
"""

from harness.core.values import Value, mapping

PREFIX = "torchserve/"


def of(workload: Value) -> dict[str, str]:
    """Name and text of each file that the pods of a workload have; none before December 2026."""
    annotations = mapping(workload, "spec", "template", "metadata", "annotations")
    return {
        key.removeprefix(PREFIX): str(value)
        for key, value in annotations.items()
        if key.startswith(PREFIX)
    }
