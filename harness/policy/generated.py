"""Findings in a generated config.properties: their place is the serving.yaml that it comes from."""

import dataclasses
import re
from collections.abc import Collection
from pathlib import Path

from harness.core.errors import InputError
from harness.core.values import KeyPath, dig, mapping
from harness.core.yamlfile import Document
from harness.policy.finding import Finding
from harness.render.tree import Tree

OUT_OF_DATE = "snapshot/up-to-date"
_CONFIG = re.compile(r"apps/torchserve/[^/]+/[^/]+/config\.properties")
_MODELS = "model_snapshot"


def at_source(finding: Finding, tree: Tree, by_hand: Collection[Path]) -> Finding:
    """The finding, where a person has to correct it.

    Args:
        finding: any finding.
        tree: the files.
        by_hand: the generated files that are not what would be generated.
    """
    config = finding.location.path
    if not _CONFIG.fullmatch(str(config)) or config in by_hand or not finding.location.line:
        return finding
    try:
        line = tree.text(str(config)).splitlines()[finding.location.line - 1]
        (serving,) = tree.documents(str(config.with_name("serving.yaml")))
    except (InputError, ValueError, IndexError):
        return finding
    where = _field(serving, line.partition("=")[0], finding.message)
    if dig(serving.value, *where) is None:
        return finding
    return dataclasses.replace(finding, location=serving.at(where))


def _field(serving: Document, key: str, message: str) -> KeyPath:
    """The field of serving.yaml behind a key; of a model that a message names, the model's own."""
    if key == _MODELS:
        named = (name for name in mapping(serving.value, "models") if name in message)
        return ("models", *[*named][:1])
    from harness.snapshot.server import camel  # brings pydantic

    return ("server", camel(key))
