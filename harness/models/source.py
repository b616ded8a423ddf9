"""A file or folder of a model, as model.yaml names it.

handler.py                                  next to model.yaml
../batch_handler.py                         shared by several models, inside models/
tokenizer                                   a folder: everything in it, as it lies there
my_model/*.json                             by wildcard (`**` goes into folders)
silero-vad:silero_vad/data/silero_vad.jit   shipped by an installed package
s3://bucket/best.pth                        from elsewhere: harness.models.remote
/data/checkpoints/best.pth                  of this machine

What does not lie in models/ or a package is pinned by its SHA-256: harness.models.pins.
"""

import fnmatch
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from harness import image_sets, set_environment
from harness.core import files
from harness.core.errors import HarnessError, InputError, Location
from harness.core.repository import Repository
from harness.models import pins

_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_PACKAGE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*):(?=[^/\\])")
_SCHEMES = ("https", "http", "s3", "hf", "gs", "az", "abfs", "abfss", "gcs", "hdfs", "sftp")
_SECRET = re.compile(r"://[^/]*@|[?&](X-(Amz|Goog)-Signature|Signature|sig|token)=", re.IGNORECASE)
_WILD = re.compile(r"[*?\[]")
_JUNK_FOLDERS = (".cache", ".git", ".idea", ".ipynb_checkpoints", ".svn", "__MACOSX", "__pycache__")
_JUNK_FILES = (".DS_Store", ".gitattributes", ".gitignore", "Thumbs.db", "*.pyc", "*.swp", "*~")


def _check(text: str) -> str:
    scheme = _ADDRESS.match(text)
    if not text.strip() or not text.isprintable():
        raise ValueError("a path, package:path or address is needed")
    if text.startswith(("runs:/", "models:/")):
        raise ValueError(
            "MLflow's names are not resolved here: give where its artifact lies, s3://…"
        )
    if re.match(r"^[A-Za-z]:[/\\]|^\\\\", text):
        raise ValueError("a path of a Windows machine: copy the file next to model.yaml")
    if scheme and scheme[1] not in _SCHEMES:
        names = ", ".join(_SCHEMES)
        raise ValueError(f"unknown address {scheme[0]} ({names})")
    if _SECRET.search(text):
        raise ValueError("an address with a secret in it: give that in the environment, not in Git")
    return text


Source = Annotated[str, AfterValidator(_check)]


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a source, by their path in it, and what of it is never packed.

    Attributes:
        is_folder: whether the source is a folder or a wildcard; else it is one file, by its name.
    """

    files: Mapping[str, Path]
    excluded: tuple[str, ...] = ()
    is_folder: bool = False


def package_of(source: str) -> str | None:
    """The distribution that ships the file, or None."""
    match = None if _ADDRESS.match(source) else _PACKAGE.match(source)
    return match[1] if match else None


def is_remote(source: str) -> bool:
    """Whether it has to be fetched."""
    return _ADDRESS.match(source) is not None


def is_pinned(source: str, folder: Path) -> bool:
    """Whether only a SHA-256 says what the source is: neither Git nor a locked package does."""
    if is_remote(source):
        return True
    return package_of(source) is None and not _is_within(_local(source, folder), folder.parent)


def resolve(source: str, folder: Path) -> Path:
    """Where the file lies; ``folder`` is the model's own.

    Raises:
        InputError: there is no such file, or it is a folder.
        HarnessError: the package that ships it is not installed, or it has not been fetched.
    """
    return file(source, folder)[1]


def file(source: str, folder: Path) -> tuple[str, Path]:
    """The name of the file, and where it lies; raises what ``resolve`` raises."""
    tree = expand(source, folder)
    if tree.is_folder:
        place = mention(source, folder / "model.yaml")
        raise InputError(f"{source} is a folder, where a file is needed", at=place)
    [(name, path)] = tree.files.items()
    return name, path


def expand(source: str, folder: Path) -> Tree:
    """The files of a source; ``folder`` is the model's own.

    Raises:
        InputError: there is nothing.
        HarnessError: the package that ships it is not installed, or it has not been fetched.
    """
    if is_remote(source):
        pin = pins.load(folder.parent).get(source)
        if pin is None:
            hint = "run `harness models build`"
            raise HarnessError(f"{source} has not been fetched", hint=hint)
        paths = {name: pins.cache_path(file) for name, file in pin.files.items()}
        return Tree(paths, is_folder=pin.is_folder)
    path = _local(source, folder)
    tree = _expand(path)
    if not tree.files:
        place = mention(source, folder / "model.yaml")
        raise InputError(f"no file {source}", at=place)
    return tree


def digest(source: str, folder: Path) -> str:
    """The SHA-256 of a source: of its files, or what pins them; raises as ``expand`` does."""
    pin = pins.load(folder.parent).get(source) if is_pinned(source, folder) else None
    if pin:
        return hashlib.sha256(pin.model_dump_json(include={"files"}).encode()).hexdigest()
    tree = expand(source, folder)
    if not tree.is_folder:
        return files.sha256(resolve(source, folder))
    contents = sorted((name, files.sha256(path)) for name, path in tree.files.items())
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def mention(text: str, path: Path) -> Location:
    """The first line of the file that holds ``text``: where a person goes to change it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return Location(path, next((n for n, line in enumerate(lines, 1) if text in line), None))


def licenses(package: str, folder: Path) -> list[Path]:
    """The license texts that a package was shipped with: they go where its files go.

    Args:
        package: the distribution.
        folder: of the model that takes its files.
    """
    shipped = _distribution(package, folder).files or []
    texts = [file for file in shipped if file.name.upper().startswith(("LICENSE", "LICENCE"))]
    return sorted(Path(str(file.locate())) for file in texts)


def version(package: str) -> str:
    """The installed version of ``package``, in the harness's own environment."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise HarnessError(f"{package} is not installed", hint="run `make setup`") from error


def _local(source: str, folder: Path) -> Path:
    package = package_of(source)
    if package is None:
        return folder / Path(source).expanduser()
    return Path(str(_distribution(package, folder).locate_file(source.partition(":")[2])))


def _is_within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _expand(path: Path) -> Tree:
    if path.is_file():
        return Tree({path.name: path})
    base, pattern = path, ""
    if not path.exists():
        fixed = next((n for n, part in enumerate(path.parts) if _WILD.search(part)), None)
        if fixed is None:
            return Tree({})
        base, pattern = Path(*path.parts[:fixed]), "/".join(path.parts[fixed:])
    names, excluded = {}, []
    matching = None if not pattern else {str(match) for match in base.glob(pattern)}
    for file, is_junk in _walk(base, set()):
        name = file.relative_to(base).as_posix()
        if is_junk:
            excluded.append(name)
        elif matching is None or _is_matched(file, base, matching):
            names[name] = file
    return Tree(names, tuple(excluded), is_folder=True)


def _is_matched(file: Path, base: Path, matching: set[str]) -> bool:
    """Whether a wildcard names the file, or a folder that it lies in."""
    return any(str(path) in matching for path in (file, *file.parents) if path != base)


def _walk(folder: Path, visited: set[Path]) -> Iterator[tuple[Path, bool]]:
    """Each file below a folder, and each that is not part of a model; links are followed once."""
    visited.add(folder.resolve())
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        patterns = _JUNK_FOLDERS if path.is_dir() else _JUNK_FILES
        if any(fnmatch.fnmatchcase(path.name, pattern) for pattern in patterns):
            yield path, True
        elif not path.is_dir():
            yield path, False
        elif path.resolve() not in visited:
            yield from _walk(path, visited)


def _distribution(package: str, folder: Path) -> metadata.Distribution:
    """An installed package, of the environment of the model's image set."""
    repository = Repository(folder.parent.parent)
    [image_set, *_] = image_sets.of_model(repository.root, folder.name)
    try:
        return set_environment.distribution(repository, image_set, package)
    except metadata.PackageNotFoundError as error:
        raise HarnessError(f"{package} is not installed", hint="run `make setup`") from error
