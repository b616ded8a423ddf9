"""What YAML lets through and a reader does not expect, file by file, before any render."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.problem import Location, Problem
from harness.core.yamlfile import DuplicateKeyError, TabIndentError
from harness.render import artifact
from harness.render.tree import Tree

_FOLDERS = sorted({*artifact.FOLDERS, *artifact.RELEASED})
_TRUTH = re.compile(r"(?i)(y|n|yes|no|on|off)")
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Quotes around a variable that is a whole value: kustomize writes it without them, before Flux
# substitutes, so digits, `true` or `null` become a number, a boolean or nothing.
# https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-substitution-of-numbers-and-booleans
_QUOTED = re.compile(r"""[:-]\s+(["'])\$\{(\w+)\}\1\s*(?:#.*)?$""")
# TorchServe's file of metrics: kustomize never reads it, and upstream writes it with anchors.
_METRICS = {"ts_metrics", "model_metrics"}
_RULES: dict[type[InputError], str] = {
    DuplicateKeyError: "yaml/duplicate-key",
    TabIndentError: "yaml/tab",
}
_TYPED = re.compile(r"(?i)([-+]?[0-9][0-9_.]*(e[-+]?[0-9]+)?|true|false|null|~|yes|no|on|off|y|n)?")


def problems(tree: Tree, path: str, variables: dict[str, str]) -> list[Problem]:
    """What is surprising in one YAML file.

    Args:
        tree: where the file lies.
        path: the file in the repository.
        variables: what Flux substitutes, by name.
    """
    try:
        text = tree.text(path)
        nodes = [each.value for each in yamlfile.parse(text, Path(path))]
    except InputError as error:
        at = error.at or Location(Path(path))
        return [Problem(error.message, at, rule=_RULES.get(type(error), "yaml/unreadable"))]
    if any(isinstance(node, dict) and node.keys() & _METRICS for node in nodes):
        return []
    return [*_in_tokens(text, path), *_in_lines(text, path, variables)]


def files(tree: Tree) -> list[str]:
    """Every YAML file that is written by hand, charts' templates left out."""
    return [
        path
        for folder in _FOLDERS
        for path in tree.files(folder)
        if path.endswith((".yaml", ".yml")) and "/templates/" not in path
    ]


def _in_tokens(text: str, path: str) -> Iterator[Problem]:
    for token in yaml.scan(text, Loader=_LOADER):
        at = Location(Path(path), token.start_mark.line + 1)
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            sign = "&" if isinstance(token, yaml.AnchorToken) else "*"
            message = f"{sign}{token.value}: kustomize expands it in one file and not in another"
            yield Problem(message, at, rule="yaml/anchor")
        elif isinstance(token, yaml.ScalarToken) and token.plain and _TRUTH.fullmatch(token.value):
            message = f"{token.value} is a boolean to YAML 1.1 and text to YAML 1.2"
            yield Problem(message, at, rule="yaml/boolean")


def _in_lines(text: str, path: str, variables: dict[str, str]) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), start=1):
        quoted = _QUOTED.search(line)
        if quoted and _TYPED.fullmatch(variables.get(quoted[2], "text")):
            message = f"${{{quoted[2]}}} is {variables[quoted[2]]}: Flux drops the quotes around it"
            yield Problem(message, Location(Path(path), number), rule="yaml/lost-quotes")
