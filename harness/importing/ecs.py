"""A container of a task definition of ECS: what else it is given."""

from collections.abc import Iterator, Mapping

from harness.core.yamlfile import Document
from harness.importing.source import Remark

_READ = {
    "name",
    "image",
    "command",
    "entryPoint",
    "environment",
    "resourceRequirements",
    "essential",
}
_PLACES = {
    "memory": "the chart's resources, in MiB",
    "memoryReservation": "the chart's resources, in MiB",
    "cpu": "the chart's resources: 1024 are a core",
    "secrets": "docs/secrets.md: a Secret, and the chart's env with valueFrom",
    "portMappings": "clients use the gateway, at another address (docs/gateway.md)",
    "logConfiguration": "docs/logging.md: JSON lines, collected on each node",
    "mountPoints": "archives: --store FOLDER; what else a handler reads: the chart's extraVolumes",
    "healthCheck": "the launcher's /live and /ready (docs/probes.md)",
    "linuxParameters": "the chart's sharedMemory",
    "stopTimeout": "drainSeconds: as long as the longest answer",
}


def remarks(
    document: Document, where: tuple[str | int, ...], container: Mapping[str, object]
) -> Iterator[Remark]:
    """What becomes of each key that does not start TorchServe."""
    for key, node in container.items():
        if key not in _READ and node:
            why = _PLACES.get(key, "yours to map onto the chart's podSpec")
            yield Remark(key, f"{why}: {str(node)[:60]}", document.at((*where, key)))
