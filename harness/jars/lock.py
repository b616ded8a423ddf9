"""``jars.lock``: a library per line, ``group:artifact:version[:classifier] sha256:<hash>``.

Lines that start with ``#`` and empty ones are comments. The lock is the whole set: what a library
depends on is there because a line names it. A line without a hash is a version that was moved and
whose file nobody has looked at yet; ``renewed`` fills it in, nothing is fetched before.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import JarsError

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_LINE = re.compile(
    rf"(?P<group>{_NAME}):(?P<artifact>{_NAME}):(?P<version>{_NAME})(?::(?P<classifier>{_NAME}))?"
    r"(?: sha256:(?P<sha256>[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class Jar:
    """A library's file.

    Attributes:
        classifier: what tells files of one version apart, such as ``linux-x86_64``; mostly empty.
        sha256: of the file, in hexadecimal; empty while the line has none.
        at: the line, as ``path:number``.
    """

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    at: str

    @property
    def coordinates(self) -> str:
        """As the lock has them."""
        parts = (self.group, self.artifact, self.version, self.classifier)
        return ":".join(part for part in parts if part)

    @property
    def file(self) -> str:
        """The file's name, as Maven repositories have it."""
        parts = (self.artifact, self.version, self.classifier)
        return "-".join(part for part in parts if part) + ".jar"


def read(path: Path) -> tuple[Jar, ...]:
    """The libraries of a lock, in its order.

    Raises:
        JarsError: a line is not one, or two lines name one file.
    """
    jars: dict[str, Jar] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        at = f"{path}:{number}"
        if (match := _LINE.fullmatch(line)) is None:
            raise JarsError(f"{at}: not group:artifact:version[:classifier] sha256:<64 hex digits>")
        jar = Jar(**{name: value or "" for name, value in match.groupdict().items()}, at=at)
        # Two versions of a library on one class path: which one runs is left to chance.
        library = f"{jar.artifact}:{jar.classifier}"
        if library in jars:
            raise JarsError(f"{at}: {jar.artifact} is pinned in {jars[library].at} already")
        jars[library] = jar
    if not jars:
        raise JarsError(f"{path}: pins nothing")
    return tuple(jars.values())


def with_digests(path: Path, digests: Mapping[Jar, str]) -> str:
    """The lock's text with the hash of each of ``digests``; all else stays as it is."""
    hashed = {jar.coordinates: digest for jar, digest in digests.items()}
    lines = _text(path).splitlines()
    return "".join(
        f"{line} sha256:{hashed[line]}\n" if line in hashed else f"{line}\n" for line in lines
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise JarsError(f"{path}: cannot be read: {error}") from error
