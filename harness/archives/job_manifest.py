"""The manifests of Jobs: YAML files next to the modules, completed from the chart's sync Job."""

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
