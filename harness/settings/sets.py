"""The image sets as files: one more, one less, a model that comes to one.

changes = sets.add(repository, "transformers-4", ["captioner"], python="3.12")
sets.apply(repository, changes)
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness import image_sets
from harness.core import files, yamlfile
from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.core.suggest import did_you_mean
from harness.core.values import text
from harness.image_sets import DEFAULT, ImageSet
from harness.models import requirement_lines
from harness.settings.site import UNSET

Changes = dict[Path, str | None]
IMAGE_DIGEST = ("spec", "values", "image", "digest")
"""Where a set's HelmRelease has the digest of its image."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?")
_PYTHON = re.compile(r"3\.1[1-9]")  # what runs in it of ours needs 3.11
_HEAD = """\
# Packages of the image set {name}, next to those in ../../image/requirements.in: a line each,
# and `-r` of each model whose requirements.in is in it. `make requirements` resolves them.
"""
_COMPONENT = """\
# yaml-language-server: $schema=https://json.schemastore.org/kustomization
# A group that lists this folder under `components` runs the image of this set.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - path: helmrelease.yaml
    target:
      kind: HelmRelease
"""
_RELEASE = f"""\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: torchserve
spec:
  values:
    image:
      # Of this set's image: `make image-pin SET={{name}} DIGEST=sha256:…`.
      digest: {UNSET}
"""
_STAGE = "FROM docker.io/library/python:{python}-slim-trixie@sha256:{digest} AS python{python}\n"


def add(
    repository: Repository,
    name: str,
    models: Iterable[str] = (),
    python: str | None = None,
    instead_of: str | None = None,
) -> Changes:
    """A set, or more models in one that exists.

    Args:
        repository: where it is written.
        name: the set's: of its folder and its environment.
        models: whose requirements.in is in it; the default then has no part in them.
        python: its Python, such as ``3.12``, where a package has no wheel for the image's own.
        instead_of: a set that has the models, and no longer shall. Without it, models that a group
            of the default set serves stay in that one too, so that they can move.

    Raises:
        UsageError: the name does not fit, there is no such model, or it asks for no package.
    """
    if not _NAME.fullmatch(name) or name == DEFAULT:
        raise UsageError(
            f"{name!r} is not a name for an image set",
            hint="lowercase letters, digits, dots and hyphens, such as transformers-4",
        )
    if python is not None and not _PYTHON.fullmatch(python):
        raise UsageError(
            f"{python!r} is not a supported Python version", hint="3.11 or newer, such as 3.12"
        )
    folder, models = image_sets.SETS / name, list(models)
    changes: Changes = {folder / "requirements.in": _with_models(repository, folder, models)}
    if instead_of:
        path = image_sets.find(repository.root, instead_of).folder / "requirements.in"
        lines = yamlfile.read_text(repository.root / path)
        for model in models:
            lines = image_sets.without_model(lines, model)
        changes[path] = lines
    else:
        changes |= _still_in_default(repository, models)
    if not (repository.root / folder / "kustomization.yaml").is_file():
        changes[folder / "kustomization.yaml"] = _COMPONENT
        changes[folder / "helmrelease.yaml"] = _RELEASE.format(name=name)
    if python:
        changes[folder / ".python-version"] = f"{python}\n"
        changes |= _with_stage(repository, python)
    return changes


def remove(repository: Repository, name: str) -> Changes:
    """A set less; the packages of its models are the default's again.

    Raises:
        UsageError: there is no such set, or a group runs it.
    """
    if name == DEFAULT:
        raise UsageError("the default set stays")
    image_set = image_sets.find(repository.root, name)
    if users := groups_of(repository, image_set):
        env, group = users[0]
        raise UsageError(
            f"group {group} of {env} runs image set {name}",
            hint=f"take its component out of apps/torchserve/{env}/{group}/kustomization.yaml",
        )
    below = (repository.root / image_set.folder).rglob("*")
    return {path.relative_to(repository.root): None for path in below if path.is_file()}


def apply(repository: Repository, changes: Changes) -> Changes:
    """Write changes.

    Returns:
        What was written, by its path below the repository; None where a file was removed.
    """
    written: Changes = {}
    for path, content in changes.items():
        target = repository.root / path
        if content is not None:
            if files.write(target, content):
                written[path] = content
        elif target.is_file():
            target.unlink()
            written[path] = None
    for folder in {path.parent for path, content in written.items() if content is None}:
        if not any((repository.root / folder).iterdir()):
            (repository.root / folder).rmdir()
            name = image_sets.ImageSet(folder.name)
            shutil.rmtree(repository.root / name.environment, ignore_errors=True)
    return written


def digest(repository: Repository, image_set: ImageSet) -> str:
    """The digest of a set's image; ``UNSET`` until it is pinned."""
    path = repository.root / image_set.release
    return next(
        (
            text(each.value, *IMAGE_DIGEST)
            for each in yamlfile.parse(yamlfile.read_text(path), path)
        ),
        UNSET,
    )


def groups_of(repository: Repository, image_set: ImageSet) -> list[tuple[str, str]]:
    """The environment and the name of each group that runs a set."""
    return [
        (env, group)
        for env in repository.environments
        if (repository.root / "apps/torchserve" / env).is_dir()
        for group in repository.groups(env)
        if image_sets.of_group(repository, env, group) == image_set
    ]


def _with_models(repository: Repository, folder: Path, models: Iterable[str]) -> str:
    """The set's requirements.in with more models."""
    known = requirement_lines.model_files(repository)
    path = repository.root / folder / "requirements.in"
    lines = yamlfile.read_text(path) if path.is_file() else _HEAD.format(name=folder.name)
    listed = image_sets.load(repository.root).get(folder.name, ImageSet(folder.name)).models
    for model in dict.fromkeys(models):
        if not (repository.models / model / "model.yaml").is_file():
            names = [each.parent.name for each in repository.models.glob("*/model.yaml")]
            raise UsageError(f"no model {model!r}{did_you_mean(model, names)}")
        if model not in known:
            raise UsageError(
                f"{model} asks for no package, so every set fits it",
                hint=f"write what it needs into models/{model}/requirements.in",
            )
        if model not in listed:
            lines += f"-r ../../../../models/{model}/{known[model].name}\n"
    return lines


def _still_in_default(repository: Repository, models: Iterable[str]) -> Changes:
    """The default's requirements.in with the models that its groups serve, and that it had."""
    default = image_sets.load(repository.root)[DEFAULT]
    served = [
        model
        for model in models
        if default in image_sets.of_model(repository.root, model)
        and model not in default.models
        and image_sets.serving(repository, default, model)
    ]
    path, known = default.folder / "requirements.in", requirement_lines.model_files(repository)
    lines = yamlfile.read_text(repository.root / path)
    lines += "".join(f"-r ../../../models/{model}/{known[model].name}\n" for model in served)
    return {path: lines} if served else {}


def _with_stage(repository: Repository, python: str) -> Changes:
    """The Containerfile with a base of that Python.

    Raises:
        InputError: it has no base of the default's Python to stand after.
    """
    path = image_sets.IMAGE / "Containerfile"
    containerfile = yamlfile.read_text(repository.root / path)
    if f" AS python{python}\n" in containerfile:
        return {}
    bases = re.findall(r"(?m)^FROM .+ AS python[\d.]+\n", containerfile)
    if not bases:
        raise InputError("has no `FROM … AS python3.…`", at=path)
    stage = _STAGE.format(python=python, digest=UNSET)
    return {path: containerfile.replace(bases[-1], bases[-1] + stage)}
