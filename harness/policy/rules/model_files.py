"""The files that archives are made of: what model.yaml names is there."""

import os
from collections.abc import Iterator
from pathlib import Path

from harness.core.problem import Problem
from harness.core.values import KeyPath, dig, mapping, text
from harness.core.yamlfile import Document
from harness.policy.origins import misspelt
from harness.policy.project import Project
from harness.policy.rule import rule

_TEXTS = (".cfg", ".json", ".py", ".txt", ".yaml", ".yml")  # what is in Git, not ignored


@rule(
    "models/files",
    why="an archive of a file that is not there cannot be built; whoever builds it next is told, "
    "not who renamed the file",
    fix="correct the path, which starts at the model's folder, or add the file",
)
def files_exist(project: Project) -> Iterator[Problem]:
    for folder, model in _models(project):
        for key, name in _sources(model):
            path = folder / name
            if not path.exists():
                near = sorted(each.name for each in path.parent.glob("*"))
                meant = misspelt(path.name, near)
                message = f"there is no {os.path.relpath(path, project.repository.root)}"
                hint = f"; {name.removesuffix(path.name)}{meant} is meant?" if meant else ""
                yield Problem(message + hint, model.at(key))


def _models(project: Project) -> Iterator[tuple[Path, Document]]:
    """Each model's folder, with its model.yaml."""
    root = project.repository.root
    for path in sorted(project.repository.models.glob("*/model.yaml")):
        for model in project.documents(str(path.relative_to(root))):
            yield path.parent, model


def _sources(model: Document) -> Iterator[tuple[KeyPath, str]]:
    """The files of Git that an archive is made of; weights may be kept elsewhere."""
    handler = text(model.value, "handler").partition(":")[0]
    listed: list[tuple[KeyPath, object]] = [(("handler",), handler)]
    for name, origin in mapping(model.value, "extraFiles").items():
        listed.append((("extraFiles", name), origin))
    for kind, artifact in mapping(model.value, "artifact").items():
        listed.append((("artifact", kind, "code"), dig(artifact, "code")))
    for key, origin in listed:
        # Another prefix than a folder is a package's or an address.
        if isinstance(origin, str) and origin.endswith(_TEXTS) and ":" not in origin:
            yield key, origin
