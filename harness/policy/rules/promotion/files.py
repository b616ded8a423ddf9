"""Files that no object comes from, read by the models that commands read them with later."""

import dataclasses
import hashlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness.attestation.signature import SIGNERS
from harness.core.errors import InputError
from harness.core.problem import Location, Problem, Row
from harness.core.repository import Repository
from harness.policy.project import Project
from harness.policy.rule import rule
from harness.render.cache import Cache

_HARNESS = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class _Reader:
    """The model that a command reads files with, and what else of the code decides about them."""

    files: str
    module: str
    model: str
    code: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        state = hashlib.sha256()
        for path in (f"{self.module.replace('.', '/')}.py", "core/document.py", *self.code):
            state.update((_HARNESS / path).read_bytes())
        return state.hexdigest()


_READERS = (
    _Reader(
        "clusters/*/loadtest.yaml", "loadtest.profile", "Profile", ("loadtest/raw_request.py",)
    ),
    _Reader("clusters/*/promotion.yaml", "settings.gates", "Gates", ("settings/freeze.py",)),
    _Reader("clusters/*/efs.yaml", "efs.settings", "Settings"),
    _Reader("apps/torchserve/image/verdicts.yaml", "audit.verdict", "Verdicts"),
    _Reader("models/sources.lock.yaml", "models.pins", "Pins"),
)


@rule(
    "files/readable",
    why="a command reads the file long after the merge: a load test that does not start, a "
    "promotion that stops, a file system that is not made",
    fix="correct the key or the value; docs/README.md leads to the page that describes the file",
)
def readable(project: Project) -> Iterator[Problem]:
    cache = Cache(project.repository)
    for reader in _READERS:
        for path in sorted(project.repository.root.glob(reader.files)):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            relative = path.relative_to(project.repository.root)
            key = f"file {relative} {content} {reader.fingerprint}"

            def read(path: Path = path, reader: _Reader = reader) -> object:
                return _problems(project.repository, path, reader)

            yield from map(Problem.from_row, cast("list[Row]", cache.get(key, read)))


def _problems(repository: Repository, path: Path, reader: _Reader) -> list[Row]:
    from harness.core import document  # brings pydantic: a third of a second

    model = getattr(importlib.import_module(f"harness.{reader.module}"), reader.model)
    at = Location(path.relative_to(repository.root), 1)
    try:
        document.load(path, model)
    except InputError as error:
        return [
            dataclasses.replace(
                each, location=dataclasses.replace(at, line=each.location.line or 1)
            ).row
            for each in error.problems_at(at)
        ]
    return []


@rule(
    "promotion/signers",
    why="whoever is in this file can vouch for a release; a line that ssh-keygen cannot read "
    "counts for nothing, and nobody learns so before the next promotion",
    fix='one line for each key: NAME namespaces="evidence@torchserve" ssh-ed25519 AAAA…; who '
    "signs releases has release@torchserve too",
)
def signers(project: Project) -> Iterator[Problem]:
    from harness.attestation import allowed_signers

    for number, message in allowed_signers.problems(project.text(SIGNERS)):
        yield Problem(message, Location(Path(SIGNERS), number), SIGNERS)
