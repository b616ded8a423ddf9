"""What somebody's archive needs and touches, and what of it would fail here, before it is served.

    report = audit(path, Catalog(models={}), packages_of(repository))
    report.errors, report.warnings, report.notes

Nothing of the archive is run. An error is known to fail, or lets a pickle run what it likes; a
warning is a guess by a name in the code.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from harness import image_sets
from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.image_sets import ImageSet
from harness.models import (
    archive_contents,
    config_keys,
    handler_code,
    handler_entry,
    pickles,
    requirement_lines,
)
from harness.models.archive import MANIFEST
from harness.models.archive_contents import ArchiveContents
from harness.models.catalog import Catalog, Model, PickleException
from harness.models.handler_code import Import
from harness.models.lock import Lock
from harness.models.pickles import PickleFinding, Scan

_INDEX = re.compile(r"^(-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|--pre)\b")
_DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "bs4": "beautifulsoup4",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "dateutil": "python-dateutil",
    "fitz": "pymupdf",
    "Crypto": "pycryptodome",
    "OpenSSL": "pyopenssl",
    "google": "protobuf",
    "pkg_resources": "setuptools<81",
    "pytorch_lightning": "pytorch-lightning",
    "faiss": "faiss-cpu",
    "tensorrt": "tensorrt-cu13",
}
_FAILS = {
    "network": "no network: a NetworkPolicy denies what leaves a pod; put the file into the "
    "archive, or allow the destination",
    "files": "the container's file system is read-only except for its work folder and /tmp",
    "processes": "the image has no shell tools to rely on, and pip has no index there",
    "gpu": "a GPU is assumed: set deviceType, or ask torch.cuda.is_available()",
}
_BY_ADDRESS = "is an address: write the line into the model's requirements.in"
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
    path: Path,
    image: Mapping[str, str],
    model: Model | None = None,
    today: date | None = None,
    python: str = image_sets.DEFAULT_PYTHON,
) -> Audit:
    """Look into an archive.

    Args:
        path: a .mar, a .tar.gz or a folder.
        image: the packages that it has, by their canonical names, and their versions.
        model: whose exceptions hold, if it is in models/.
        today: the day on which they are looked at.
        python: the version of the image's Python.

    Raises:
        InputError: it is damaged.
    """
    with archive_contents.opened(path) as files:
        contents, scan = archive_contents.describe(path, files), pickles.scan(files)
    code = handler_code.touches(contents.python)
    exceptions = model.pickles if model else ()
    errors = [*_unreadable_lines(contents), *_entry_faults(contents)]
    warnings = [*_missing_files(contents), *_ignored_settings(contents)]
    for each in handler_code.imports(contents.python, _handler_file(contents)):
        if line := _missing_import(each, image):
            (warnings if each.is_optional else errors).append(line)
    errors += _missing_requirements(contents, image, python)
    warnings += _other_releases(contents, image, python)
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


def packages_of(repository: Repository, image_set: ImageSet | None = None) -> dict[str, str]:
    """The packages that an image has, by their canonical names, and their versions.

    Args:
        repository: whose image sets.
        image_set: which of them; by default the default set.
    """
    image_set = image_set or image_sets.load(repository.root)[image_sets.DEFAULT]
    texts = (repository.root / image_set.folder).glob("requirements*.txt")
    pins = [image_sets.pins(yamlfile.read_text(path)) for path in texts]
    return {name: version for each in pins for name, version in each.items()}


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
    return handler_entry.file(contents.handler, contents.files) or ""


def _unreadable_lines(contents: ArchiveContents) -> Iterator[Line]:
    for file, why in contents.undecodable.items():
        yield Line(why, file)
    for file, line, why in handler_code.unreadable(contents.python):
        if file not in contents.undecodable:
            yield Line(f"not Python 3: {why}", f"{file}:{line}")


def _entry_faults(contents: ArchiveContents) -> Iterator[Line]:
    if not contents.handler:
        yield Line("names no handler, and TorchServe's default_service_handler is none", MANIFEST)
        return
    file = handler_entry.file(contents.handler, contents.files)
    if file is None:
        where = "" if "/" not in contents.handler else ": TorchServe looks at the archive's top"
        yield Line(f"handler {contents.handler} is not in the archive{where}", MANIFEST)
        return
    code = contents.python.get(file)
    for line, text in handler_entry.faults(contents.handler, code) if code else ():
        yield Line(text, f"{file}:{line}" if line else file)


def _missing_files(contents: ArchiveContents) -> Iterator[Line]:
    for key, name in contents.named.items():
        if name not in contents.files:
            yield Line(f"{key}: {name} is not in the archive", MANIFEST)


def _ignored_settings(contents: ArchiveContents) -> Iterator[Line]:
    """What TorchServe logs and leaves out of a model-config.yaml (ModelConfig.java)."""
    file = contents.named.get("configFile", "")
    if contents.settings_fault:
        yield Line(f"{contents.settings_fault}: TorchServe takes its defaults", file)
    for key, content in contents.settings.items():
        kind = config_keys.KINDS.get(key)
        if (kind and not isinstance(content, kind.type)) or (
            kind is config_keys.NUMBER and isinstance(content, bool)
        ):
            yield Line(f"{key}: {content!r}: TorchServe ignores it: {kind.words} is read", file)


def _missing_import(each: Import, image: Container[str]) -> Line | None:
    known = _providers().get(each.module, [_DISTRIBUTIONS.get(each.module, each.module)])
    if any(canonicalize_name(name) in image for name in known):
        return None
    needed = "is needed by one path of the code only" if each.is_optional else "is needed"
    text = f"import {each.module}: {needed}, and is not in the image: {_add(known[0])}"
    return Line(text, f"{each.file}:{each.line}")


def _missing_requirements(
    contents: ArchiveContents, image: Mapping[str, str], python: str
) -> Iterator[Line]:
    code = handler_code.imports(contents.python, _handler_file(contents))
    imported = {each.module for each in code if not each.is_optional}
    named = {
        canonicalize_name(name)
        for module in imported
        for name in _providers().get(module, [module])
    }
    file = contents.named.get("requirementsFile") or "requirements.txt"
    for line in contents.requirements:
        if _INDEX.match(line) or line.startswith(("-c", "--constraint")):
            continue  # where the image is built, packages come from elsewhere
        if line.startswith(("-r", "--requirement")):
            other = line.partition(" ")[2].strip() or line[2:]
            if other not in contents.files:
                yield Line(f"{line}: {other} is not in the archive", file)
            continue
        requirement = requirement_lines.parse(line)
        if requirement is None or requirement.url:
            yield Line(f"{line}: {requirement_lines.refusal(line) or _BY_ADDRESS}", file)
        elif requirement_lines.is_for_image(requirement, python) and (
            canonicalize_name(requirement.name) not in named.union(image)
        ):
            why = "TorchServe would install it from an index, which no pod reaches"
            yield Line(f"{line}: is not in the image; {why}: {_add(requirement.name)}", file)


def _other_releases(
    contents: ArchiveContents, image: Mapping[str, str], python: str
) -> Iterator[Line]:
    file = contents.named.get("requirementsFile") or "requirements.txt"
    for line in contents.requirements:
        requirement = requirement_lines.parse(line)
        if requirement is None or not requirement_lines.is_for_image(requirement, python):
            continue
        version = image.get(canonicalize_name(requirement.name))
        if version and not requirement.specifier.contains(version, prereleases=True):
            yield Line(
                f"{line}: the image has {requirement.name} {version}, and that runs: write the "
                "line into the model's requirements.in to be told whether the image can have it",
                file,
            )


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
