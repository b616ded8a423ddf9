"""The models: what their files say reaches something that reads it."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

from harness.core.errors import HarnessError, InputError
from harness.core.problem import Location, Problem, Row
from harness.core.repository import Repository
from harness.core.values import dig, mapping, text
from harness.image_sets import load, of_model
from harness.models import config_keys, requirement_lines
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.rule import rule
from harness.render.cache import Cache

_CODE = ("artifact", "catalog", "handler", "provenance", "source")
_HASHED = 4 << 20  # bytes


@rule(
    "models/known-settings",
    why="a key that TorchServe does not know changes nothing, and no log says so",
    fix="correct the key; below `config.handler` any key is the handler's own",
    severity=Severity.WARNING,
)
def known_settings(project: Project) -> Iterator[Problem]:
    root = project.repository.root
    for path in sorted(project.repository.models.glob("*/model.yaml")):
        for model in project.documents(str(path.relative_to(root))):
            for key, message in config_keys.unknown(dig(model.value, "config")):
                yield Problem(message, model.at(("config", *key)))


@rule(
    "models/locked",
    why="the archive that clusters serve is the one that was built: a handler or a file that has "
    "changed since is not in it, and no test here has seen the old one with the new",
    fix="`make lock` builds the archive again and writes the lock and the snapshots, `make "
    "models-push` brings it to the store",
)
def locked(project: Project) -> Iterator[Problem]:
    repository = project.repository
    written = {
        str(name): (text(entry, "sources"), document.at(("models", str(name), "sources")))
        for document in project.documents("models/lock.yaml")
        for name, entry in mapping(document.value, "models").items()
    }
    cache, state = Cache(repository), _state(project)
    for path in sorted(repository.models.glob("*/model.yaml")):
        name = path.parent.name
        locked_digest, at = written.get(name, ("", Location(Path("models/lock.yaml"), 1)))

        def read(path: Path = path) -> object:
            return _digest(path)

        digest = cast("str", cache.get(f"digest of {name} {state}", read))
        if locked_digest and digest and digest != locked_digest:
            message = f"{name} was built from other files than models/{name} names now"
            yield Problem(message, at)


@rule(
    "models/files",
    why="a file that model.yaml names and nobody committed is found by the next build, which fails",
    fix="correct the name, or add the file",
)
def files_exist(project: Project) -> Iterator[Problem]:
    repository = project.repository
    cache, state = Cache(repository), _state(project)
    for path in sorted(repository.models.glob("*/model.yaml")):

        def read(path: Path = path) -> object:
            # Without the folder of this clone: what is remembered is read in others too.
            shown = path.relative_to(repository.root)
            return [
                Problem(each.message, Location(shown, each.location.line)).row
                for each in _absent(path)
            ]

        rows = cache.get(f"files named by {path.parent.name} {state}", read)
        yield from map(Problem.from_row, cast("list[Row]", rows))


def _absent(path: Path) -> Iterator[Problem]:
    """The files of this repository that a model.yaml names, and that are not there."""
    from harness.models import artifact, catalog, source  # bring pydantic: a third of a second

    try:
        model = catalog.load_model(path)
    except HarnessError:
        return  # snapshot/up-to-date says what is wrong with the file itself
    others = filter(None, (model.reference, *(each.file for each in model.samples)))
    for name in dict.fromkeys((*artifact.sources(model), *others)):
        if not source.is_pinned(name, path.parent) and source.package_of(name) is None:
            try:
                source.expand(name, path.parent)
            except InputError as error:
                yield from error.problems_at(Location(path))


def _state(project: Project) -> str:
    """What decides all digests: the files under models/, and the code that reads them."""
    return project.remember("state of models", partial(_hash_models, project.repository))


def _hash_models(repository: Repository) -> str:
    code = (Path(config_keys.__file__).with_name(f"{each}.py") for each in _CODE)
    state = hashlib.sha256()
    for path in (*code, *sorted(filter(Path.is_file, repository.models.rglob("*")))):
        size = path.stat().st_size
        content = path.read_bytes() if size <= _HASHED else str(size).encode()
        state.update(f"{path.parent.name}/{path.name} {size}\0".encode() + content)
    return state.hexdigest()


def _digest(path: Path) -> str:
    """A model's digest; empty where what it names is wrong, or is not on this machine."""
    from harness.models import catalog, provenance  # bring pydantic: a third of a second

    try:
        return provenance.digest(catalog.load_model(path), path.parent)
    except HarnessError:
        return ""  # models/files and snapshot/up-to-date say what is wrong


@rule(
    "models/packages",
    why="a handler that imports what its image lacks never starts: the rollout rolls back",
    fix="run `make requirements`; a model whose packages are in another image set is served by a "
    "group of that set: `harness groups add GROUP MODEL --set SET`",
)
def packages_of_models(project: Project) -> Iterator[Problem]:
    root = project.repository.root
    requirements, sets = requirement_lines.model_files(project.repository), load(root)
    unresolved: dict[Problem, None] = {}
    for environment in project.environments.values():
        for group, name in environment.installed.groups.items():
            pins = environment.installed.packages.get(name, {})
            path = f"apps/torchserve/{environment.name}/{group}/serving.yaml"
            for serving in project.documents(path) if pins else ():
                for model in mapping(serving.value, "models"):
                    file, python = requirements.get(model), sets[name].python
                    lacking = list(requirement_lines.lacking(file, pins, python))
                    theirs = [each.name for each in of_model(root, model)] if lacking else [name]
                    if name not in theirs:
                        where = f"the packages of {model} are in image set {', '.join(theirs)}"
                        message = f"{where}, and group {group} runs set {name}"
                        yield Problem(message, serving.at(("models", model)))
                        continue
                    for at, line in lacking:
                        place = Location(at.path.relative_to(root), at.line)
                        unresolved[Problem(f"{line} is not in image set {name}", place)] = None
    yield from unresolved
