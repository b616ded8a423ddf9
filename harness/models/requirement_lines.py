"""What models ask for: the lines of their requirements.in, each with its place.

for at, line in requirement_lines.read(path):
    print(at, line, requirement_lines.refusal(line))
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from harness import image_sets
from harness.core import document
from harness.core.errors import InputError, Location
from harness.core.problem import Problem
from harness.core.repository import Repository

REQUIREMENTS = "requirements.in"
NAMES = (REQUIREMENTS, "requirements.txt")
"""What a model's file may be called; the first has priority."""
_IN_IMAGE = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
_HASHLESS = {
    "-e": "an editable package changes under the same name",
    "--editable": "an editable package changes under the same name",
    "git+": "a Git repository is not a file whose hash could be compared",
    "hg+": "a repository is not a file whose hash could be compared",
    "svn+": "a repository is not a file whose hash could be compared",
    "file:": "a path of one machine is not in the image",
    "./": "a path of one machine is not in the image",
    "../": "a path of one machine is not in the image",
    "/": "a path of one machine is not in the image",
}
WHEEL = "give the https:// address of a wheel, or put the files into the archive (extraFiles)"
"""What to do about a package that has no hash."""
_BARE = re.compile(r"(https?://\S+/([^/\s?#]+\.whl)\S*)(.*)")
_INDEX = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links")


@dataclass(frozen=True, slots=True)
class Asked:
    """A line that asks for a package."""

    name: str
    text: str
    by: str  # "model toy", "the image", "image set text", "the harness"
    at: Location
    model: str = ""


def model_files(repository: Repository) -> dict[str, Path]:
    """The requirements.in of each model that has one, or its requirements.txt."""
    return {
        path.parent.name: path
        for name in reversed(NAMES)
        for path in sorted(repository.models.glob(f"*/{name}"))
    }


def lacking(
    requirements: Path | None, available: Mapping[str, str], python: str
) -> Iterator[tuple[Location, str]]:
    """The lines of a model's requirements.in that a set's image does not satisfy.

    Args:
        requirements: the file; None for a model that asks for nothing.
        available: package → version of the image.
        python: the version of its Python.
    """
    for at, line in read(requirements) if requirements else ():
        if not refusal(line) and not _satisfies(line, available, python):
            yield at, line


def _satisfies(line: str, available: Mapping[str, str], python: str) -> bool:
    requirement = Requirement(line)
    if not is_for_image(requirement, python):
        return True
    if requirement.url:  # a lock has it by its address, and says no version
        return True
    version = available.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def confirm_readable(models: Mapping[str, Path]) -> None:
    """Refuse the lines of models that cannot be hashed or read.

    Raises:
        InputError: all of them.
    """
    problems = [
        Problem(f"{line}: {problem}", location)
        for path in models.values()
        for location, line in read(path)
        if (problem := refusal(line))
    ]
    if problems:
        raise InputError.of(problems)


def read(path: Path) -> Iterator[tuple[Location, str]]:
    for number, line in enumerate(document.read_text(path).splitlines(), 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text and not image_sets.REFERENCE.match(text):
            yield Location(path, number), _with_name(text)


def _with_name(line: str) -> str:
    """A line; of the bare address of a wheel, which pip takes too, with the package's name."""
    bare = _BARE.fullmatch(line)
    if not bare:
        return line
    try:
        name = parse_wheel_filename(unquote(bare[2]))[0]
    except InvalidWheelFilename:
        return line
    return f"{name} @ {bare[1]}{bare[3]}"


def refusal(line: str) -> str:
    """Why a line of a model's requirements.in is refused; empty if it is not."""
    line = _with_name(line)
    address = line.partition("@")[2].strip() or line
    for start, reason in _HASHLESS.items():
        if address.startswith(start) or line.startswith(start):
            return f"cannot be hashed: {reason}; {WHEEL}"
    if line.endswith(".whl") and "://" not in line:
        return f"cannot be hashed: a wheel of one machine is not in the image; {WHEEL}"
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


def parse(line: str) -> Requirement | None:
    """A line as a requirement, or None if it is refused."""
    line = _with_name(line)
    return None if refusal(line) else Requirement(line)


def is_for_image(requirement: Requirement, python: str = image_sets.DEFAULT_PYTHON) -> bool:
    """Whether its marker, if it has one, holds in the image."""
    versions = {"python_version": python, "python_full_version": f"{python}.0"}
    marker = requirement.marker
    return marker is None or marker.evaluate({**_IN_IMAGE, **versions})


def request(line: str, by: str, at: Location, model: str = "") -> Asked:
    return Asked(canonicalize_name(Requirement(line).name), line, by, at, model)
