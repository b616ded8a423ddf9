"""The Java libraries below a folder, and how much of each the JVM can still load.

TorchServe's own JAR comes last on the class path. A class that an earlier JAR has too is never
loaded from it, so only the classes of a library that no such JAR has are loadable.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packageurl import PackageURL

from harness.audit import classes, library
from harness.audit.library import Library
from harness.core import files
from harness.jars.lock import Jar

_FIRST = "share/torchserve/jars"  # harness.launcher.libraries.FOLDER, below the environment
_LAST = "ts/frontend"
_VERSIONS = "netty.versions.properties"
_FOLDER = re.compile(r"META-INF/native-image/[\w.]*\bshaded\.io\.netty/(?P<part>[\w-]+)/")


@dataclass(frozen=True, slots=True)
class Part:
    """A library in a JAR.

    Attributes:
        purl: its package URL.
        jar: the JAR, relative to the folder that was searched.
        inside: the package URL of the library that it was copied into; mostly empty.
        classes: how many classes it has in the JAR.
        loadable: how many of them the JVM would load from this JAR.
    """

    purl: str
    jar: str
    inside: str
    classes: int
    loadable: int


@dataclass(frozen=True, slots=True)
class Java:
    """What is known of the JARs below a folder: ``unknown`` names each class that no published
    library explains, by JAR and package.
    """

    parts: tuple[Part, ...]
    unknown: Mapping[tuple[str, str], tuple[str, ...]]


def find(root: Path, pinned: Iterable[Jar]) -> Java:
    """The libraries in every JAR below ``root``; those in ``pinned`` are known by their SHA-256."""
    urls = {jar.sha256: _purl(jar) for jar in pinned}
    known = library.load()
    jars = sorted(path for path in root.rglob("*.jar") if path.is_file())
    first = {path for path in jars if path.parent.as_posix().endswith(_FIRST)}
    digests = {path: classes.digests_of(path) for path in jars}
    hidden = {name for path in first for name in digests[path]}
    parts: list[Part] = []
    unknown: dict[tuple[str, str], tuple[str, ...]] = {}
    for path, jar_classes in digests.items():
        jar = path.relative_to(root).as_posix()
        covered = hidden if path.parent.as_posix().endswith(_LAST) else set()
        if url := urls.get(files.sha256(path)):
            parts += _parts(url, copied_netty(path), jar, jar_classes, covered)
            continue
        identified = library.identify(jar_classes, known)
        for each, names in identified.libraries.items():
            parts += _parts(each.purl, each.contains, jar, names, covered)
        unknown |= {(jar, key): names for key, names in identified.unknown.items()}
    return Java(tuple(parts), unknown)


def copied_netty(jar: Path) -> tuple[str, ...]:
    """The package URLs of the Netty that was copied into a JAR under other names.

    A merge keeps one file of the many in which Netty's parts name their versions, and a folder of
    each part. The parts of a copy are of one release: if two are named, none is trusted.
    """
    versions: set[str] = set()
    parts: set[str] = set()
    for name, text in classes.resources(jar, "META-INF/").items():
        if name.endswith(_VERSIONS):
            entries = re.findall(r"(?m)^(netty-(?!tcnative)[\w-]+)\.version=(\S+)$", text)
            parts |= {part for part, _ in entries}
            versions |= {version for _, version in entries}
        elif folder := _FOLDER.match(name):
            parts.add("netty-" + folder["part"].removeprefix("netty-"))
    if len(versions) != 1 or jar.name.startswith("netty-"):
        return ()
    (version,) = versions
    return tuple(f"pkg:maven/io.netty/{part}@{version}" for part in sorted(parts))


def known_libraries(pinned: Iterable[Jar], folder: Path, stock: Path) -> list[Library]:
    """The content of libraries.json, from the published JARs in ``folder`` and TorchServe's own.

    Args:
        pinned: the published JARs.
        folder: where they are.
        stock: TorchServe's JAR, which alone has the classes of TorchServe.
    """
    published: dict[str, Mapping[str, str]] = {}
    contains: dict[str, tuple[str, ...]] = {}
    for jar in pinned:
        published[_purl(jar)] = classes.digests_of(folder / jar.file)
        contains[_purl(jar)] = copied_netty(folder / jar.file)
    torchserve = {
        name: digest
        for name, digest in classes.digests_of(stock).items()
        if name.startswith("org/pytorch/serve/")
    }
    published["pkg:pypi/torchserve@0.12.0"] = torchserve
    return library.index(published, contains)


def _parts(
    purl: str, contains: Iterable[str], jar: str, names: Iterable[str], covered: set[str]
) -> Iterator[Part]:
    all_names = list(names)
    loadable = sum(name not in covered for name in all_names)
    yield Part(purl, jar, "", len(all_names), loadable)
    for each in contains:
        yield Part(each, jar, purl, len(all_names), loadable)


def _purl(jar: Jar) -> str:
    qualifiers = {"classifier": jar.classifier} if jar.classifier else None
    return PackageURL("maven", jar.group, jar.artifact, jar.version, qualifiers).to_string()
