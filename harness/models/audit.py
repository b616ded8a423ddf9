"""What somebody's archive needs and touches, and what of it would fail here, before it is served.

    report = audit(path, Catalog(models={}), packages_of(repository))
    report.errors, report.warnings, report.notes

Nothing of the archive is run. An error is known to fail, or lets a pickle run what it likes; a
warning is a guess by a name in the code.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from harness import image_sets
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models import archive_contents, handler_code, pickles
from harness.models.archive import MANIFEST
from harness.models.archive_contents import ArchiveContents
from harness.models.catalog import Catalog, Model, PickleException
from harness.models.handler_code import Import
from harness.models.lock import Lock
from harness.models.pickles import PickleFinding, Scan

_REQUIRED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "bs4": "beautifulsoup4",
}
_FAILS = {
    "network": "no network: a NetworkPolicy denies what leaves a pod; put the file into the "
    "archive, or allow the destination",
    "files": "the container's file system is read-only except for its work folder and /tmp",
    "processes": "the image has no shell tools to rely on, and pip has no index there",
    "gpu": "a GPU is assumed: set deviceType, or ask torch.cuda.is_available()",
}
_NOTES = {
    "headers": "reads or sets HTTP headers or the status: gRPC clients have none",
    "streaming": "streams its answer: clients read it in chunks",
    "sequences": "keeps state by sequence: requests of one sequence must reach one pod",
    "metrics": "has metrics of its own: they need metricsConfig in serving.yaml",
    "variables": "reads an environment variable: set it in the chart's `env`",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A statement about an archive; ``at`` is a file and a line in it, or empty."""

    text: str
    at: str = ""

    def __str__(self) -> str:
        return f"{self.at}: {self.text}" if self.at else self.text


@dataclass(frozen=True, slots=True)
class Audit:
    """What was seen in an archive."""

    contents: ArchiveContents
    scan: Scan
    errors: tuple[Line, ...]
    warnings: tuple[Line, ...]
    notes: tuple[Line, ...]


def audit(
    path: Path, image: frozenset[str], model: Model | None = None, today: date | None = None
) -> Audit:
    """Look into an archive.

    Args:
        path: a .mar, a .tar.gz or a folder.
        image: canonical names of the packages that it has.
        model: whose exceptions hold, if it is in models/.
        today: the day on which they are looked at.

    Raises:
        InputError: it is damaged.
    """
    with archive_contents.opened(path) as files:
        contents, scan = archive_contents.describe(path, files), pickles.scan(files)
    if contents.settings_fault:
        raise InputError(contents.settings_fault, at=path)
    code = handler_code.touches(contents.python)
    exceptions = model.pickles if model else ()
    errors, warnings = [*_unreadable_lines(contents), *_entry_faults(contents)], list[Line]()
    for each in handler_code.imports(contents.python, _handler_file(contents)):
        if line := _missing_import(each, image):
            (warnings if each.is_optional else errors).append(line)
    errors += _missing_requirements(contents, image)
    errors += _pickle_errors(scan.findings, exceptions, today or datetime.now(UTC).date())
    warnings += [
        Line(f"{each.what}: {_FAILS[each.kind]}", f"{each.file}:{each.line}")
        for each in code
        if each.kind in _FAILS
    ]
    notes = [
        Line(f"{each.what}: {_NOTES[each.kind]}", f"{each.file}:{each.line}")
        for each in code
        if each.kind in _NOTES
    ]
    return Audit(contents, scan, tuple(errors), tuple(warnings), tuple(notes))


def packages_of(repository: Repository, model: str = "") -> frozenset[str]:
    """The packages that a model's image has, by their canonical names.

    Args:
        repository: whose image sets.
        model: whose; by default those of the default set.
    """
    [image_set, *_] = image_sets.of_model(repository.root, model)
    texts = (repository.root / image_set.folder).glob("requirements*.txt")
    return frozenset(name for path in texts for name in image_sets.pins(path.read_text()))


def refuse_pickles(store: Path, catalog: Catalog, built: Lock) -> None:
    """Refuse to lock an archive with a pickle that may run anything, unless model.yaml accepts it.

    Args:
        store: the folder with the archives.
        catalog: whose exceptions hold.
        built: the archives.

    Raises:
        InputError: every finding.
    """
    today = datetime.now(UTC).date()
    refused: list[str] = []
    for name, locked in built.archives():
        with archive_contents.opened(store / locked.mar) as files:
            findings = pickles.scan(files).findings
        accepted = catalog.models[name].pickles
        refused += [f"{locked.mar}: {line}" for line in _pickle_errors(findings, accepted, today)]
    if refused:
        raise InputError("\n".join(refused), hint="`harness models audit` shows the whole archive")


def _handler_file(contents: ArchiveContents) -> str:
    return contents.handler.partition(":")[0]


def _unreadable_lines(contents: ArchiveContents) -> Iterator[Line]:
    for file, line, why in handler_code.unreadable(contents.python):
        yield Line(f"not Python 3: {why}", f"{file}:{line}")
    handler = _handler_file(contents)
    if handler.endswith(".py") and handler not in contents.files:
        yield Line(f"handler {handler} is not in the archive", MANIFEST)


def _entry_faults(contents: ArchiveContents) -> Iterator[Line]:
    handler = _handler_file(contents)
    names_function = ":" in contents.handler
    if not names_function and (fault := handler_code.entry_fault(contents.python.get(handler, ""))):
        yield Line(f"{fault}: TorchServe wants one class, so move the others to a file", handler)


def _missing_import(each: Import, image: frozenset[str]) -> Line | None:
    known = _providers().get(each.module, [_DISTRIBUTIONS.get(each.module, each.module)])
    if any(canonicalize_name(name) in image for name in known):
        return None
    needed = "is needed by one path of the code only" if each.is_optional else "is needed"
    text = f"import {each.module}: {needed}, and is not in the image: {_add(known[0])}"
    return Line(text, f"{each.file}:{each.line}")


def _missing_requirements(contents: ArchiveContents, image: frozenset[str]) -> Iterator[Line]:
    code = handler_code.imports(contents.python, _handler_file(contents))
    imported = {each.module for each in code if not each.is_optional}
    named = {
        canonicalize_name(name)
        for module in imported
        for name in _providers().get(module, [module])
    }
    for line in contents.requirements:
        match = _REQUIRED.match(line)
        if match is None:
            yield Line(f"{line}: cannot be read as a package", "requirements.txt")
        elif canonicalize_name(match[0]) not in image | named:
            why = "TorchServe would install it from an index, which no pod reaches"
            yield Line(f"{line}: is not in the image; {why}: {_add(match[0])}", "requirements.txt")


def _pickle_errors(
    findings: Sequence[PickleFinding], exceptions: Sequence[PickleException], today: date
) -> Iterator[Line]:
    for each in findings:
        if any(accepted.covers(each.file, each.name, today) for accepted in exceptions):
            continue
        if each.name:
            what = "is a way to run any code" if each.is_dangerous else "is not known as harmless"
            text = f"loading it imports {each.name}, which {what}"
        else:
            text = "is a pickle that cannot be looked into"
        yield Line(
            f"{text}: save weights alone, or accept it under `pickles` in model.yaml", each.file
        )


def _add(name: str) -> str:
    return f"add {name} to the model's requirements.in and run `make requirements`"


def _providers() -> Mapping[str, list[str]]:
    """Import name → the distributions that bring it, of those installed here."""
    return metadata.packages_distributions()
