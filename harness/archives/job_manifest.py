"""The manifests of Jobs: YAML files next to the modules, completed from the chart's sync Job."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from harness.core.values import Value
from harness.render.objects import Object
from harness.render.rendered import Environment

_SYNC = "torchserve-model-sync"


def load(name: str) -> list[Value]:
    """Return the objects of a YAML file of this package."""
    return list(yaml.safe_load_all(Path(__file__).with_name(name).read_text()))


def sync_job(environment: Environment) -> Object | None:
    """Return the Job that fills the store, or None if the environment has none."""
    return environment.find("Job", _SYNC)


def merge(base: Value, patch: Value) -> dict[str, object]:
    """Return ``base`` with ``patch`` on top: mappings are merged, anything else is replaced."""
    merged = dict(base)
    for key, value in patch.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged
