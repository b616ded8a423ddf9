"""The manifests of Jobs: YAML files next to the modules, completed from the chart's sync Job."""

from pathlib import Path

import yaml

from harness.core.values import Value
from harness.render.objects import Object
from harness.render.rendered import Environment

_COMPONENT, _SYNC = "app.kubernetes.io/component", "model-sync"


def load(name: str) -> list[Value]:
    """Return the objects of a YAML file of this package."""
    return list(yaml.safe_load_all(Path(__file__).with_name(name).read_text()))


def sync_job(environment: Environment) -> Object | None:
    """Return a Job that fills the store, of any group; None if the environment has none."""
    jobs = environment.of("Job")
    return next((job for job in jobs if job.labels.get(_COMPONENT) == _SYNC), None)
