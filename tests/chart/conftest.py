"""The chart as Helm renders it, with the values of its ci/ folder and changes on top."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.core import command
from harness.core.repository import Repository

Values = Mapping[str, object]
Render = Callable[..., "Rendered"]


class Rendered:
    """The objects of one release."""

    def __init__(self, text: str) -> None:
        self.objects = [value for value in yaml.safe_load_all(text) if value]

    def __call__(self, kind: str, suffix: str = "") -> dict:
        """The one object of that kind whose name is the release's and ``suffix``."""
        [match] = [
            value
            for value in self.objects
            if value["kind"] == kind and value["metadata"]["name"] == f"release{suffix}"
        ]
        return match

    def kinds(self) -> set[str]:
        return {value["kind"] for value in self.objects}

    @property
    def template(self) -> dict:
        return self("Deployment")["spec"]["template"]

    @property
    def pod(self) -> dict:
        return self.template["spec"]

    @property
    def container(self) -> dict:
        return self.pod["containers"][0]


@pytest.fixture(scope="session")
def chart(checkout: Repository) -> Path:
    return checkout.root / "apps/torchserve/chart"


@pytest.fixture
def render(checkout: Repository, chart: Path, tmp_path: Path) -> Render:
    """``render("gpu", {"replicas": 3})``: ci/gpu-values.yaml with three replicas."""
    helm = tools.find(checkout, "helm")

    def _render(ci: str, changes: Values | None = None) -> Rendered:
        over = tmp_path / "values.json"
        over.write_text(json.dumps(changes or {}))
        argv = [helm, "template", "release", chart, "--namespace", "torchserve"]
        argv += ["--values", chart / f"ci/{ci}-values.yaml", "--values", over]
        return Rendered(command.run(argv, timeout=60).stdout)

    return _render
