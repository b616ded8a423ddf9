"""The serving groups of an environment: which there are, one more, one less, a model that moves.

    changes = groups.add(repository, "staging", "speech", ["silero_vad"])
    groups.apply(repository, "staging", changes)

Each function returns the files to write, by their path below the repository, None where one is to
be removed. ``apply`` adds the snapshots to them and writes all or nothing.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import image_sets
from harness.core import files, yamlfile
from harness.core.errors import InputError, UsageError
from harness.core.repository import FIRST_GROUP, Repository
from harness.core.suggest import did_you_mean
from harness.core.values import text
from harness.settings.serving_file import ServingFile
from harness.snapshot import config

Changes = dict[Path, str | None]
LAST_STEP = 3
"""Of a move: the old group serves the model no more."""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")
_TAKEN = {"base", "chart", "image"}
_SNAPSHOT = re.compile(r"(?m)^(?P<before>\s*(?:- )?name: ).+-snapshot$")
_OF_SET = re.compile(r"(?m)^ *- .*\bsets/[^/\n]+/?\n")
_HELM_TEST = re.compile(r"(?m)(?:^    #.*\n)*^    test:\n(?:^      .*\n?)+")


@dataclass(frozen=True, slots=True)
class Group:
    """A group as its serving.yaml has it.

    Attributes:
        models: those that get their requests here.
        unrouted: those that it serves for a group that gets the requests.
    """

    name: str
    models: tuple[str, ...]
    unrouted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a model's way to another group.

    Attributes:
        step: 1 serves it in both groups, 2 moves its requests, 3 ends it in the old group; 0 if
            nothing is left to do.
        source: the group that it leaves; empty in step 0.
    """

    step: int
    source: str
    changes: Changes


def read(repository: Repository, env: str) -> list[Group]:
    """The groups of an environment.

    Raises:
        UsageError: there is no such environment.
        InputError: a serving.yaml cannot be read.
    """
    return [
        Group(name, tuple(sorted(file.routed)), tuple(sorted(file.unrouted)))
        for name, file in _serving(repository, env).items()
    ]


def add(
    repository: Repository,
    env: str,
    name: str,
    models: Iterable[str],
    like: str | None = None,
    image_set: str | None = None,
) -> Changes:
    """A group like another one, with models of its own.

    A model that another group serves gets no requests in the new one yet: that is the first step of
    its move.

    Args:
        repository: where it is written.
        env: the environment.
        name: the group's: of its folder, its HelmRelease and everything that it installs.
        models: what it serves.
        like: the group whose values and server settings it gets; by default the only one, or
            ``torchserve``.
        image_set: the image set that it runs; by default that of the group that it is like.

    Raises:
        UsageError: the name does not fit or exists, there is no such model or set, or no model.
    """
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise UsageError(
            f"{name!r} is not a name for a group",
            hint="lowercase letters, digits and hyphens, 30 at most, such as speech",
        )
    serving, names = _serving(repository, env), list(dict.fromkeys(models))
    pattern = repository.group(env, like)
    if pattern == repository.app(env):
        hint = f"harness groups adopt-layout --env {env}"
        raise UsageError(f"{env} has the layout of before groups", hint=hint)
    if name in serving or (repository.app(env) / name).exists():
        raise UsageError(f"{env} has a group {name!r} already")
    if not names:
        raise UsageError("a group needs at least one model", hint=_known_models(repository))
    for model in names:
        if not (repository.models / model / "model.yaml").is_file():
            hint = _known_models(repository)
            raise UsageError(
                f"no model {model!r}{did_you_mean(model, _models(repository))}", hint=hint
            )
    routed = {model: file for file in serving.values() for model in file.routed}
    overrides = {model: routed[model].models[model] if model in routed else {} for model in names}
    file = serving[pattern.name].with_models(overrides).with_unrouted({*names} & {*routed})
    folder = Path("apps/torchserve", env, name)
    release = _rename(yamlfile.read_text(pattern / "helmrelease.yaml"), pattern.name, name)
    kustomization = yamlfile.read_text(pattern / "kustomization.yaml")
    if image_set:
        chosen = image_sets.find(repository.root, image_set)
        kustomization = _with_set(kustomization, "" if chosen.is_default else chosen.name)
    return {
        **_metrics_config(pattern, file, folder),
        folder / "serving.yaml": file.text,
        folder / "helmrelease.yaml": _HELM_TEST.sub("", release),
        folder / "kustomization.yaml": _SNAPSHOT.sub(rf"\g<before>{name}-snapshot", kustomization),
        **_listing(repository, env, with_group=name),
    }


def remove(repository: Repository, env: str, name: str) -> Changes:
    """A group less. Its models are served no more, but for those that another group serves too.

    Raises:
        UsageError: there is no such group, or it is the first, which the gateway relies on.
    """
    folder = repository.group(env, name)
    if name == FIRST_GROUP:
        raise UsageError(
            f"{name} answers what no other group claims: it stays",
            hint="move its models to it or from it: harness groups move MODEL --to GROUP",
        )
    below = (path for path in folder.rglob("*") if path.is_file())
    removed: Changes = {path.relative_to(repository.root): None for path in below}
    return removed | _listing(repository, env, without=name)


def move(repository: Repository, env: str, model: str, target: str) -> Move:
    """The next step of a model's way to another group, by which no request fails.

    Raises:
        UsageError: there is no such group, or no group serves the model.
        InputError: more than one group gets its requests, or it would leave a group empty.
    """
    repository.group(env, target)
    serving = _serving(repository, env)
    having = [name for name, file in serving.items() if model in file.models]
    sources = [name for name in having if name != target]
    if not having:
        known = {each for file in serving.values() for each in file.models}
        hint = f"harness groups add, or name it in a serving.yaml{did_you_mean(model, known)}"
        raise UsageError(f"no group of {env} serves {model!r}", hint=hint)
    if len(sources) > 1:
        message = f"{model} is served by {', '.join(having)}: which one does it leave?"
        raise InputError(message, hint="take it out of one serving.yaml")
    if not sources:
        return Move(0, "", {})
    [source] = sources
    old, new = serving[source], serving[target]
    if target not in having:
        step, new = 1, new.with_model(model, old.models[model])
        new = new.with_unrouted(new.unrouted | {model})
    elif model in new.unrouted:
        step, new = 2, new.with_unrouted(new.unrouted - {model})
        old = old.with_unrouted(old.unrouted | {model})
    elif set(old.models) == {model}:
        message = f"{model} is all that {source} serves"
        raise InputError(message, hint=f"harness groups remove {source} --env {env}")
    else:
        step, old = LAST_STEP, old.without_model(model)
    changes: Changes = {each.path.relative_to(repository.root): each.text for each in (old, new)}
    if step == LAST_STEP:
        changes |= _without_test(repository, repository.group(env, source), model)
    return Move(step, source, changes)


def apply(repository: Repository, env: str, changes: Mapping[Path, str | None]) -> Changes:
    """Write changes and every generated file that differs with them, all or nothing.

    Returns:
        What was written, by its path below the repository; None where a file was removed.

    Raises:
        InputError: the models and settings do not fit together; nothing was written.
    """
    with tempfile.TemporaryDirectory(prefix="groups-") as scratch:
        copy = Repository(Path(scratch).resolve())
        app = Path("apps/torchserve", env)
        (copy.root / "models").symlink_to(repository.models.resolve())
        for folder in (app, Path("clusters", env)):
            shutil.copytree(repository.root / folder, copy.root / folder)
        _write(copy.root, changes)
        try:
            stale = config.stale(copy, env)
        except InputError as error:
            raise error.relocate(copy.root, repository.root) from error
        complete = {
            **changes,
            **{path.relative_to(copy.root): text for path, text in stale.items()},
        }
    before = {path: _text(repository.root / path) for path in complete}
    try:
        _write(repository.root, complete)
    except BaseException:
        _write(repository.root, before)
        raise
    return {path: each for path, each in complete.items() if before[path] != each}


def _serving(repository: Repository, env: str) -> dict[str, ServingFile]:
    return {
        group: ServingFile.read(repository.group(env, group) / "serving.yaml")
        for group in repository.groups(env)
    }


def _models(repository: Repository) -> list[str]:
    return sorted(path.parent.name for path in repository.models.glob("*/model.yaml"))


def _known_models(repository: Repository) -> str:
    return f"one of: {', '.join(_models(repository))}"


def _metrics_config(pattern: Path, file: ServingFile, folder: Path) -> Changes:
    """The file that ``server.metricsConfig`` names, for the new group."""
    name = text(file.value, "server", "metricsConfig")
    return {folder / name: yamlfile.read_text(pattern / name)} if name else {}


def _rename(release: str, old: str, new: str) -> str:
    """A helmrelease.yaml with another group's name in it: its own, Helm's, the snapshot's."""
    release = re.sub(rf"(?m)^(  (?:name|releaseName): ){re.escape(old)}$", rf"\g<1>{new}", release)
    return _SNAPSHOT.sub(rf"\g<before>{new}-snapshot", release)


def _without_test(repository: Repository, folder: Path, model: str) -> Changes:
    """A group's helmrelease.yaml without a Helm test of a model: its answer is of no other one."""
    path = folder / "helmrelease.yaml"
    release = yamlfile.read_text(path)
    tested = [
        text(each.value, "spec", "values", "test", "model")
        for each in yamlfile.parse(release, path)
    ]
    if model not in tested:
        return {}
    return {path.relative_to(repository.root): _HELM_TEST.sub("", release)}


def _with_set(kustomization: str, name: str) -> str:
    """A group's kustomization.yaml with the component of an image set, and of no other.

    Args:
        kustomization: the file's text.
        name: the set's; empty for the default, which has no component.
    """
    without = _OF_SET.sub("", kustomization)
    without = re.sub(r"(?m)^components:\n(?!  ?- |- )", "", without)
    if not name:
        return without
    line = f"  - ../../sets/{name}\n"
    if "components:\n" in without:
        return without.replace("components:\n", f"components:\n{line}")
    return re.sub(
        r"(?m)^(?=patches:|configMapGenerator:)", f"components:\n{line}", without, count=1
    )


def _listing(
    repository: Repository, env: str, *, with_group: str = "", without: str = ""
) -> Changes:
    """The environment's kustomization.yaml with one group more or less.

    Raises:
        InputError: it lists its resources in a form that is not one line each.
    """
    path = Path("apps/torchserve", env, "kustomization.yaml")
    listing = yamlfile.read_text(repository.root / path)
    groups = re.findall(r"(?m)^  - .+\n?", listing)
    if not groups:
        raise InputError("lists no group", at=path, hint="write `resources:`, then a line for each")
    new = re.sub(rf"(?m)^  - (\./)?{re.escape(without)}/?\n", "", listing)
    if with_group:
        new = new.replace(groups[-1], f"{groups[-1].rstrip()}\n  - {with_group}\n")
    return {path: new}


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _write(root: Path, changes: Mapping[Path, str | None]) -> None:
    for path, content in changes.items():
        if content is not None:
            files.write(root / path, content)
        elif (root / path).is_file():
            files.remove(root / path)
