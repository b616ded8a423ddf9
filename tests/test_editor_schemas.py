"""Editors validate and complete what people edit: each YAML document names its schema first.

A document that a patch completes has none (``_COMPLETED``): to an editor its required keys would be
missing. Neither have Helm's templates, whose braces are not YAML, nor generated files.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import generate
from harness.core import yamlfile
from harness.core.values import text
from harness.core.yamlfile import Document

ROOT = Path(__file__).parents[1]
COMMENT = "# yaml-language-server: $schema="
_GITHUB = "https://raw.githubusercontent.com"
_FLUX = f"{_GITHUB}/fluxcd-community/flux2-schemas/main"
_KUBERNETES = f"{_GITHUB}/yannh/kubernetes-json-schema/master/v1.36.2-standalone-strict"
_CRDS = f"{_GITHUB}/datreeio/CRDs-catalog/main"
_OTHERS = {
    "eksctl.io": f"{_GITHUB}/eksctl-io/eksctl/main/pkg/apis/eksctl.io/v1alpha5/assets/schema.json",
    "kustomize.config.k8s.io": "https://json.schemastore.org/kustomization",
}
_EDITED = ("apps/**/*.yaml", "clusters/**/*.yaml", "infra/**/*.yaml", "models/*/model.yaml")
_NO_SCHEMA = ("/chart/", "/evidence/", "model-files.yaml", "namereference.yaml", "template.yaml")
# Completed by the patch in clusters/<env>/kustomization.yaml, the base, or helm-defaults.
_COMPLETED = re.compile(
    r"clusters/[^/]+/(infra|apps)\.yaml|apps/torchserve/(?!base/)[^/]+/[^/]+/helmrelease\.yaml"
)


def files() -> list[Path]:
    """The YAML files that people edit."""
    paths = (path.relative_to(ROOT) for pattern in _EDITED for path in ROOT.glob(pattern))
    return sorted(path for path in paths if not any(part in str(path) for part in _NO_SCHEMA))


def schema(path: Path, document: Document) -> str:
    """Where the schema of a document is; empty for one that an editor should not judge."""
    name = "dashboard.yaml" if path.parent.name == "dashboards" else path.name
    if name in generate.SCHEMAS:
        return os.path.relpath(generate.schema_path(name), path.parent)
    group, _, version = text(document.value, "apiVersion").rpartition("/")
    kind = text(document.value, "kind").lower()
    third_party = group == "helm.toolkit.fluxcd.io" and path.parts[0] == "infra"
    if third_party or _COMPLETED.fullmatch(str(path)):
        return ""
    if group in _OTHERS:
        return _OTHERS[group]
    first = group.partition(".")[0]
    if group.endswith("toolkit.fluxcd.io"):
        return f"{_FLUX}/{kind}-{first}-{version}.json"
    if ("." in group and not group.endswith("k8s.io")) or first == "gateway":
        return f"{_CRDS}/{group}/{kind}_{version}.json"
    return f"{_KUBERNETES}/{'-'.join(filter(None, (kind, first, version)))}.json"


def _documents(path: Path) -> Iterator[tuple[str, Document]]:
    """The first line of each document, and the document."""
    source = (ROOT / path).read_text()
    yield from zip(
        (part.partition("\n")[0] for part in re.split(r"(?m)^---\n", source)),
        yamlfile.parse(source, path),
        strict=True,
    )


@pytest.mark.parametrize("path", files(), ids=str)
def test_each_document_names_its_schema_first(path: Path) -> None:
    for first_line, document in _documents(path):
        location = schema(path, document)
        assert first_line.startswith(COMMENT) == bool(location)
        assert not location or first_line == COMMENT + location


@pytest.mark.parametrize("name", generate.SCHEMAS)
def test_schema_of_our_own_files_is_fresh(name: str) -> None:
    path = ROOT / generate.schema_path(name)
    assert path.read_text() == generate.schemas(ROOT)[path], "run harness generate"
