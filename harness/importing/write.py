"""An environment, written from what was imported: every file, or none.

The environment is made like another one, and then says what the sources say: its group's
serving.yaml, the models that are new, their archives in the lock, the mix of its load test, and the
generated snapshot.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from harness.burn_rate import rules
from harness.core import files, yamlfile
from harness.core.errors import InputError, UsageError
from harness.core.problem import Problem
from harness.core.refusal import Refusal, refusals
from harness.core.repository import Repository
from harness.importing import adjust
from harness.importing.outcome import METRICS, Imported
from harness.importing.startup import Started
from harness.models.catalog import Model, load_catalog
from harness.models.config import Serving
from harness.models.lock import Lock, LockedModel, is_file_name, load_lock, unset, write_lock
from harness.settings import new_environment
from harness.snapshot import config
from harness.snapshot.routes import Protocol
from harness.snapshot.server import ServerSettings
from harness.snapshot.serving import load_settings

_SCHEMA = "# yaml-language-server: $schema={}\n"
_SETTINGS = [each.alias or name for name, each in Serving.model_fields.items()]


@dataclass
class Changes:
    """Files that are written, and what they held before: ``undo`` brings that back."""

    before: dict[Path, bytes | None] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)

    def write(self, path: Path, text: str) -> None:
        """Write a file."""
        self.remember(path)
        files.write(path, text)

    def remember(self, path: Path) -> None:
        """Keep what a file holds, or that there is none."""
        if path not in self.before:
            self.before[path] = path.read_bytes() if path.is_file() else None

    def undo(self) -> None:
        """Everything as it was."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        for path, content in self.before.items():
            if content is not None:
                path.write_bytes(content)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            if content is None and path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()


@dataclass(frozen=True, slots=True)
class Target:
    """The environment to write, and the one it is made like."""

    env: str
    like: str
    force: bool = False
    dry_run: bool = False
    """Nothing is copied, however large the archives are: only the names of files count."""


def apply(repository: Repository, imported: Imported, target: Target) -> list[Path]:
    """Write the environment.

    Returns:
        The files that were written, and the folders of a new environment.

    Raises:
        InputError: a model cannot be expressed, or TorchServe would not start with the sources.
        UsageError: the environment exists and ``force`` is not set.
    """
    if imported.refused:
        raise InputError.of(imported.refused)
    refuse_existing(repository, target)
    changes = Changes()
    try:
        _write(repository, imported, target, changes)
    except BaseException:
        changes.undo()
        raise
    inside = [path for path in changes.before if not _within(path, changes.folders)]
    return sorted({*changes.folders, *inside})


def refuse_existing(repository: Repository, target: Target) -> None:
    """Refuse to replace what an environment serves, unless ``force`` is set.

    Raises:
        UsageError: the environment exists.
    """
    if target.env in repository.environments and not target.force:
        raise UsageError(
            f"the environment {target.env} exists",
            at=repository.group(target.env) / "serving.yaml",
            hint="--force replaces its serving.yaml and what is generated from it",
        )


def apply_part(
    repository: Repository, imported: Imported, serving: Path | None
) -> tuple[list[Path], str]:
    """Write the models that are new, and one serving.yaml of an environment that exists.

    Args:
        repository: where both lie.
        imported: what is written.
        serving: the file to write; None: only its text is wanted.

    Returns:
        The files that were written, and the text.

    Raises:
        InputError: TorchServe would not start with the sources, or they name no model.
    """
    if imported.refused:
        raise InputError.of(imported.refused)
    if not imported.models:
        raise InputError("no source names a model", hint="harness import takes more sources")
    changes = Changes()
    try:
        _write_models(repository, imported, changes, dry_run=False)
        text = _serving_yaml(repository, imported, {})
        if serving:
            changes.write(serving, text)
    except BaseException:
        changes.undo()
        raise
    changed = [path for path, content in changes.before.items() if path.read_bytes() != content]
    return sorted(changed), text


def _within(path: Path, folders: list[Path]) -> bool:
    return any(folder in path.parents for folder in folders)


def _write(repository: Repository, imported: Imported, target: Target, changes: Changes) -> None:
    if target.env not in repository.environments:
        changes.folders += new_environment.create(repository, target.env, target.like)
    _write_models(repository, imported, changes, dry_run=target.dry_run)
    group = repository.group(target.env)
    if imported.metrics:
        changes.write(group / METRICS, yamlfile.read_text(imported.metrics))
    serving = group / "serving.yaml"
    like = repository.group(target.like) / "serving.yaml"
    instead = load_settings(like, load_catalog(repository.models)).models
    changes.write(serving, _serving_yaml(repository, imported, instead))
    cluster = repository.cluster(target.env)
    for path, text in adjust.texts(group, cluster, imported).items():
        changes.write(path, text)
    stale = config.stale(repository, target.env) | rules.stale(repository, target.env)
    for path, text in stale.items():
        changes.write(path, text)


def _write_models(
    repository: Repository, imported: Imported, changes: Changes, *, dry_run: bool
) -> None:
    changes.remember(repository.lock)
    locked = dict(load_lock(repository.lock).models) if repository.lock.is_file() else {}
    problems = []
    for name, started in imported.models.items():
        path = repository.models / name / "model.yaml"
        if path.exists():
            continue
        written = _model(started, imported.others[name])
        try:
            model = Model.model_validate(written)
        except ValidationError as error:
            problems += [_problem(started, each) for each in refusals(error, written, Model)]
            continue
        body = model.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
        schema = _SCHEMA.format("../../schemas/model.json")
        changes.write(path, schema + yaml.safe_dump(body, sort_keys=False))
        if started.archive and started.archive.requirements:
            lines = "\n".join(started.archive.requirements)
            head = f"# What {started.entry.mar_name} names in its own requirements.\n"
            changes.write(path.with_name("requirements.in"), f"{head}{lines}\n")
        copied = [each for each in (started, *imported.others[name]) if each.archive]
        if copied:
            ignored = "".join(f"/{Path(each.entry.mar_name).name}\n" for each in copied)
            head = "# Not in Git: models/lock.yaml pins what the bucket has.\n"
            changes.write(path.with_name(".gitignore"), head + ignored)
        archives = [
            _lock_archive(repository, each, changes, dry_run=dry_run)
            for each in (started, *imported.others[name])
        ]
        locked[name] = archives[0].model_copy(update={"others": tuple(archives[1:])})
    if problems:
        raise InputError.of(problems)
    write_lock(repository.lock, Lock(models=locked))


def _problem(started: Started, refusal: Refusal) -> Problem:
    if refusal.path == ("name",):
        hint = f"another name for it: load_models=NAME={started.entry.mar_name}"
        return Problem(f"{refusal.message}; {hint}", started.at)
    return Problem(f"{started.name} {started.version}: {refusal.message}", started.at)


def _model(started: Started, others: Sequence[Started]) -> dict[str, object]:
    """What model.yaml says of a model."""
    entry = started.entry.model_dump(by_alias=True)
    return {
        "name": started.name,
        "version": started.version,
        "description": f"Imported: {started.entry.mar_name}, version {started.version}.",
        "artifact": {"adopted": {"archive": Path(started.entry.mar_name).name}},
        "versions": {each.version: {"archive": Path(each.entry.mar_name).name} for each in others},
        "serving": {key: entry[key] for key in _SETTINGS},
    }


def _lock_archive(
    repository: Repository, started: Started, changes: Changes, *, dry_run: bool
) -> LockedModel:
    """The archive as it lies in the old store, copied to where a build looks for it; one that no
    store can hold is locked once it is built.
    """
    file = Path(started.entry.mar_name).name
    path = started.archive.path if started.archive else None
    copy = repository.models / started.name / file
    if path:
        changes.remember(copy)
    if path and not dry_run:
        shutil.copytree(path, copy) if path.is_dir() else shutil.copyfile(path, copy)
    if path and not dry_run and path.is_file() and is_file_name(started.entry.mar_name):
        sha256, size = files.sha256(path), path.stat().st_size
        return LockedModel(version=started.version, mar=file, sha256=sha256, size=size)
    return unset(started.name, started.version, file)


def _serving_yaml(repository: Repository, imported: Imported, instead: Iterable[str]) -> str:
    """The serving.yaml; of a model that there is, what differs from its own file.

    Where the sources name no model, those of ``instead`` are served.
    """
    catalog = load_catalog(repository.models)
    models: dict[str, Mapping[str, object]] = {}
    for name, started in imported.models.items():
        model = catalog.models[name]
        models[name] = _overrides(started, model)
        others = [each for each in imported.others[name] if each.version in model.versions]
        if others:
            versions = {each.version: _overrides(each, model) for each in others}
            models[name] = {**models[name], "versions": versions}
    models = models or {name: {} for name in instead}
    server = imported.server.model_dump(by_alias=True, exclude_defaults=True)
    body: dict[str, object] = {"server": server, "models": models}
    if protocols := _protocols(imported.server):
        body["protocols"] = protocols
    schema = _SCHEMA.format("../../../../schemas/serving.json")
    head = "# Imported by `harness import`.\n"
    return schema + head + yaml.safe_dump(body, sort_keys=False, width=100)


def _overrides(started: Started, model: Model) -> dict[str, object]:
    """The settings in which a version differs from what its model.yaml says."""
    defaults = model.serving.model_dump(by_alias=True)
    entry = started.entry.model_dump(by_alias=True)
    return {key: entry[key] for key in _SETTINGS if entry[key] != defaults[key]}


def _protocols(server: ServerSettings) -> list[str]:
    """The families of paths that the gateway has to let through; none for its default."""
    families = [Protocol.TORCHSERVE]
    if server.service_envelope == "kserve":
        families.append(Protocol.KSERVE_V1)
    if server.service_envelope == "kservev2" or server.ts_open_inference_protocol:
        families.append(Protocol.OIP)
    return [family.value for family in families] if len(families) > 1 else []
