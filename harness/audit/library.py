"""Which published libraries a JAR was merged from, identified by its classes alone.

libraries.json has the names of each known library, and a fingerprint of all classes of each known
version. A version is in a JAR when every class of it is, byte for byte, and
the JAR has no other under the library's names. What matches no version is counted, never guessed.
"""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packageurl import PackageURL

from harness.audit import classes

FILE = Path(__file__).with_name("libraries.json")


@dataclass(frozen=True, slots=True)
class Library:
    """A version of a library that was published.

    Attributes:
        purl: its package URL, such as ``pkg:maven/io.netty/netty-common@4.1.53.Final``.
        classes: how many it has.
        fingerprint: see :func:`harness.audit.classes.fingerprint`.
        names: what its classes' names begin with: a package, which ends in ``/``, or a class, which
            covers its nested ones too.
        contains: package URLs of what was copied into it under other names.
    """

    purl: str
    classes: int
    fingerprint: str
    names: tuple[str, ...]
    contains: tuple[str, ...] = ()

    @property
    def project(self) -> str:
        """The package URL without its version."""
        return _project(self.purl)


@dataclass(frozen=True, slots=True)
class Identified:
    """The content of a JAR.

    Attributes:
        libraries: each that is complete, with the names of its classes.
        unknown: the classes that no known version of a library explains: the library's package
            URL without a version, or a package, to the names.
    """

    libraries: Mapping[Library, tuple[str, ...]]
    unknown: Mapping[str, tuple[str, ...]]


def load(path: Path = FILE) -> list[Library]:
    """The libraries that are known."""
    return [
        Library(**{**each, "names": tuple(each["names"]), "contains": tuple(each["contains"])})
        for each in json.loads(path.read_text())
    ]


def save(libraries: Iterable[Library]) -> str:
    """What ``load`` reads, one library per line."""
    lines = (json.dumps(dataclasses.asdict(each)) for each in libraries)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def identify(digests: Mapping[str, str], known: Sequence[Library]) -> Identified:
    """Identify the libraries in a JAR by its classes' digests."""
    owners = {name: each.project for each in known for name in each.names}
    members: dict[str, list[str]] = defaultdict(list)
    for name in digests:
        members[_owner(name, owners) or _package(name)].append(name)
    libraries: dict[Library, tuple[str, ...]] = {}
    for each in known:
        names = members.get(each.project, [])
        if classes.fingerprint(digests, names) == each.fingerprint:
            libraries[each] = tuple(names)
    explained = {each.project for each in libraries}
    unknown = {key: tuple(names) for key, names in members.items() if key not in explained}
    return Identified(libraries, unknown)


def index(
    published: Mapping[str, Mapping[str, str]], contains: Mapping[str, tuple[str, ...]]
) -> list[Library]:
    """The content of libraries.json.

    Args:
        published: package URL to the digests of its JAR. Of a class that two of them have, the
            first is the owner.
        contains: package URL to what was copied into it under other names.
    """
    owners: dict[str, str] = {}
    for purl, digests in published.items():
        for name in digests:
            owners.setdefault(name, _project(purl))
    prefixes = _prefixes(owners)
    libraries = []
    for purl, digests in published.items():
        names = [name for name in digests if owners[name] == _project(purl)]
        fingerprint = classes.fingerprint(digests, names)
        prefix_names = tuple(sorted(prefixes[_project(purl)]))
        libraries.append(
            Library(purl, len(names), fingerprint, prefix_names, contains.get(purl, ()))
        )
    return sorted(libraries, key=lambda each: each.purl)


def _prefixes(owners: Mapping[str, str]) -> dict[str, set[str]]:
    """For each owner the fewest names that cover its classes and no other's."""
    beneath: dict[str, set[str]] = defaultdict(set)
    for name, owner in owners.items():
        for prefix in _enclosing(name):
            beneath[prefix].add(owner)
    chosen: dict[str, set[str]] = defaultdict(set)
    for name, owner in owners.items():
        # The last of these is the class itself, which has one owner.
        widest = next(each for each in _enclosing(name) if len(beneath[each]) == 1)
        chosen[owner].add(widest)
    return chosen


def _owner(name: str, owners: Mapping[str, str]) -> str:
    return next((owners[each] for each in reversed(_enclosing(name)) if each in owners), "")


def _enclosing(name: str) -> list[str]:
    """The packages around a class and the class that it is nested in, the widest first."""
    *packages, simple = name.split("/")
    outer = simple[:1] + simple[1:].partition("$")[0]
    folders = ["/".join(packages[:end]) + "/" for end in range(1, len(packages) + 1)]
    return [*folders, "/".join((*packages, outer))]


def _package(name: str) -> str:
    """Enough of a class's package to name what it belongs to."""
    return "/".join(name.split("/")[:-1][:3]) + "/"


def _project(purl: str) -> str:
    url = PackageURL.from_string(purl)
    return PackageURL(url.type, url.namespace, url.name).to_string()
