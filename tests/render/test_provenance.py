"""Every field leads back to the line that somebody can edit."""

import pytest

from harness.core.values import KeyPath
from tests.support.miniature import Miniature


@pytest.mark.parametrize(
    ("kind", "name", "path", "line"),
    [
        ("Service", "web", ("spec", "selector"), "apps/base/service.yaml:11"),
        ("Service", "web", ("spec", "ports", 1, "port"), "apps/base/service.yaml:17"),
        ("Service", "web", ("spec", "ports", 0, "port"), "apps/demo/kustomization.yaml:12"),
        ("Service", "web", ("metadata", "labels", "zone"), "apps/base/service.yaml:7"),
        ("HelmRelease", "web", ("spec", "values", "replicas"), "apps/demo/helmrelease.yaml:8"),
        ("HelmRelease", "web", ("spec", "interval"), "apps/base/helmrelease.yaml:10"),
        ("ConfigMap", "settings", ("data", "settings.txt"), "apps/demo/settings.txt:1"),
        ("ConfigMap", "settings", (), "apps/demo/kustomization.yaml:15"),
        ("Deployment", "web", ("spec", "replicas"), "apps/demo/helmrelease.yaml:8"),
        (
            "Deployment",
            "web",
            ("spec", "template", "spec", "containers", 0, "image"),
            "apps/base/helmrelease.yaml:30",
        ),
        (
            "Deployment",
            "web",
            ("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"),
            "apps/chart/values.yaml:5",
        ),
        (
            "Deployment",
            "web",
            ("spec", "template", "metadata", "labels"),
            "apps/chart/templates/deployment.yaml:12",
        ),
        ("Kustomization", "apps", ("spec", "path"), "clusters/demo/apps.yaml:8"),
    ],
)
def test_a_field_leads_to_its_line(
    miniature: Miniature, kind: str, name: str, path: KeyPath, line: str
) -> None:
    match = miniature.render().find(kind, name)
    assert match is not None
    assert str(match.at(*path)) == line


def test_a_value_of_a_referenced_file_leads_into_the_file(miniature: Miniature) -> None:
    config = next(each for each in miniature.render().of("ConfigMap") if each.namespace == "demo")
    assert str(config.at("data", "files.json")) == "apps/demo/files.yaml:1"


_SHARED = """
patches:
  - target:
      group: kustomize.toolkit.fluxcd.io
      kind: Kustomization
    patch: |
      apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata:
        name: every
      spec:
        retryInterval: 1m
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("spec", "retryInterval"), "clusters/demo/kustomization.yaml:17"),
        (("spec", "interval"), "clusters/demo/apps.yaml:7"),
        (("metadata", "name"), "clusters/demo/apps.yaml:4"),
        (("spec", "timeout"), "clusters/demo/apps.yaml:6"),  # in neither
    ],
)
def test_a_patch_for_every_object_of_a_kind_is_named_for_what_it_sets(
    miniature: Miniature, path: KeyPath, line: str
) -> None:
    miniature.edit("clusters/demo/kustomization.yaml", "  - apps.yaml\n", f"  - apps.yaml{_SHARED}")
    match = miniature.render().find("Kustomization", "apps")
    assert match is not None
    assert str(match.at(*path)) == line
