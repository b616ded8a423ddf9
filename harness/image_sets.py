"""The image sets: the packages that groups run with, each with locks, an image, an environment.

apps/torchserve/image/         the set `default`, which every repository has and most need alone
apps/torchserve/sets/<set>/    another, for packages that exclude the default's
  requirements.in              its own lines, and `-r` of the models whose packages are in it
  overrides.txt                uv's overrides, if there are any
  .python-version              its Python, if it is not the default's
  requirements.lock            for its environment on a machine, .venv-<set>
  requirements.txt             for its image
  kustomization.yaml           a component: a group that lists it runs its image
  helmrelease.yaml             the image's digest
  verdicts.yaml                what was decided about vulnerabilities of this image alone

The standard library and YAML alone: whoever renders manifests imports this.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.core.suggest import did_you_mean
from harness.core.values import items, mapping

DEFAULT = "default"
SETS = Path("apps/torchserve/sets")
IMAGE = Path("apps/torchserve/image")
DEFAULT_PYTHON = "3.13"
"""Of the default image: what the Containerfile's argument PYTHON is by default."""
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
REFERENCE = re.compile(r"^(?:-r|--requirement)[ =]*(\S+)")
"""A line of a requirements.in that takes in another file."""
_COMPONENT = re.compile(r"(?:\.\./)+sets/([^/]+)")
_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True)
class ImageSet:
    """One set. Paths are relative to the repository.

    Attributes:
        name: ``default``, or the folder's name.
        python: the version of its image's Python, such as ``3.13``.
        models: the models whose packages it lists by ``-r``.
        has_overrides: whether it has uv's overrides.
    """

    name: str
    python: str = DEFAULT_PYTHON
    models: tuple[str, ...] = ()
    has_overrides: bool = False

    @property
    def has_python(self) -> bool:
        """Whether its Python is another than the default's."""
        return self.python != DEFAULT_PYTHON

    @property
    def is_default(self) -> bool:
        return self.name == DEFAULT

    @property
    def folder(self) -> Path:
        return IMAGE if self.is_default else SETS / self.name

    @property
    def lock(self) -> Path:
        """What its environment is installed from."""
        return Path("requirements.lock") if self.is_default else self.folder / "requirements.lock"

    @property
    def requirements(self) -> Path:
        """What its image is built from."""
        return self.folder / "requirements.txt"

    @property
    def release(self) -> Path:
        """The file with its image's digest, at ``spec.values.image.digest``."""
        file = Path("apps/torchserve/base") if self.is_default else self.folder
        return file / "helmrelease.yaml"

    @property
    def verdicts(self) -> Path:
        """What was decided about the vulnerabilities of its image, next to what all share."""
        return self.folder / "verdicts.yaml"

    @property
    def environment(self) -> Path:
        """The virtual environment that its models are asked and served with."""
        return Path(".venv" if self.is_default else f".venv-{self.name}")


@dataclass(frozen=True, slots=True)
class Change:
    """A package whose version in an image changes; None is not there."""

    name: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old and self.new:
            return f"{self.name} {self.old} → {self.new}"
        return f"+ {self.name} {self.new}" if self.new else f"- {self.name} {self.old}"


@dataclass(frozen=True, slots=True)
class Installed:
    """What an environment's groups run.

    Attributes:
        packages: set → package → version in its image.
        groups: group → its set.
    """

    packages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)


def load(root: Path) -> dict[str, ImageSet]:
    """The sets of the files below ``root``, the default first."""
    folders = sorted(path.parent for path in (root / SETS).glob("*/requirements.in"))
    default = ImageSet(DEFAULT, models=tuple(_models(root / IMAGE / "requirements.in")))
    return {
        DEFAULT: default,
        **{
            folder.name: ImageSet(
                folder.name,
                _text(folder / ".python-version").strip() or DEFAULT_PYTHON,
                tuple(_models(folder / "requirements.in")),
                (folder / "overrides.txt").is_file(),
            )
            for folder in folders
        },
    }


def find(root: Path, name: str) -> ImageSet:
    """A set by its name.

    Raises:
        UsageError: there is none of that name.
    """
    sets = load(root)
    if name not in sets:
        raise UsageError(
            f"no image set {name!r}{did_you_mean(name, sets)}",
            hint=f"one of: {', '.join(sets)}; or make it: harness sets add {name} MODEL",
        )
    return sets[name]


def of_model(root: Path, model: str) -> list[ImageSet]:
    """The sets that hold a model's packages: those that list it, or else the default."""
    sets = load(root)
    return [each for each in sets.values() if model in each.models] or [sets[DEFAULT]]


def of_group(repository: Repository, env: str, group: str | None = None) -> ImageSet:
    """The set that a group runs, by the component in its kustomization.yaml.

    Raises:
        UsageError: there is no such environment, group or set.
    """
    folder = repository.group(env, group)
    path = folder / "kustomization.yaml"
    documents = yamlfile.parse(yamlfile.read_text(path), path) if path.is_file() else []
    return find(repository.root, name_in([each.value for each in documents]))


def serving(repository: Repository, image_set: ImageSet, model: str) -> list[tuple[str, str]]:
    """The environment and name of each group that runs a set and serves a model."""
    return [
        (env, group)
        for env in repository.environments
        if (repository.root / "apps/torchserve" / env).is_dir()
        for group in repository.groups(env)
        if model in _models_in(repository.group(env, group) / "serving.yaml")
        if of_group(repository, env, group) == image_set
    ]


def _models_in(path: Path) -> set[str]:
    parsed = yamlfile.parse(yamlfile.read_text(path), path)
    return {str(name) for each in parsed for name in mapping(each.value, "models")}


def without_model(requirements: str, model: str) -> str:
    """The text of a set's requirements.in without the line that takes in a model's."""
    return "".join(
        line
        for line in requirements.splitlines(keepends=True)
        if not (match := REFERENCE.match(line)) or Path(match[1]).parent.name != model
    )


def name_in(kustomization: Iterable[object]) -> str:
    """The set whose component a group's kustomization.yaml lists; ``default`` if there is none."""
    listed = [str(each) for parsed in kustomization for each in items(parsed, "components")]
    names = [match[1] for each in listed if (match := _COMPONENT.fullmatch(os.path.normpath(each)))]
    return names[0] if names else DEFAULT


def pins(lock: str) -> dict[str, str]:
    """Package → version of a lock, by canonical names."""
    return {_SEPARATORS.sub("-", name).lower(): version for name, version in _PIN.findall(lock)}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    """Packages that come, go or move."""
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))


def _models(requirements: Path) -> Iterator[str]:
    """The models whose requirements.in a set's own lists."""
    for line in _text(requirements).splitlines():
        if match := REFERENCE.match(line.strip()):
            path = Path(os.path.normpath(requirements.parent / match[1]))
            if path.parent.parent.name == "models":
                yield path.parent.name


def _text(path: Path) -> str:
    return yamlfile.read_text(path) if path.is_file() else ""
