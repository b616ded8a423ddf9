"""SECURITY.md's table is what the index of TorchServe's JAR and the lock of newer JARs say."""

import re
from pathlib import Path

from packageurl import PackageURL

from harness.audit import java, library
from harness.core.repository import Repository
from harness.jars import lock
from harness.launcher import libraries

_ROW = re.compile(
    r"^\| (?P<name>[^|]+) \| `(?P<package>\S+)` \| (?P<old>\S+) \| (?P<new>\S+) \|$", re.MULTILINE
)


def test_the_table_says_what_is_in_the_jar_and_what_runs(checkout: Repository) -> None:
    known = library.load()
    old = {_package(each.purl): _version(each.purl) for each in known}
    copied = {_package(purl): _version(purl) for each in known for purl in each.contains}
    pinned = lock.read(checkout.root / "apps/torchserve/image/jars.lock")
    new = {f"{jar.group}:{jar.artifact}": jar.version for jar in pinned}
    rows = list(_ROW.finditer((checkout.root / "SECURITY.md").read_text()))
    assert len(rows) > 10
    for row in rows:
        inside = "inside" in row["name"]
        assert (copied if inside else old)[row["package"]] == row["old"]
        if not inside:
            assert new[row["package"]] == row["new"]
        elif (shaded := _shaded_jar(pinned)).exists():
            runs = {_package(purl): _version(purl) for purl in java.copied_netty(shaded)}
            assert runs[row["package"]] == row["new"]


def _shaded_jar(pinned: tuple[lock.Jar, ...]) -> Path:
    return libraries.FOLDER / next(each.file for each in pinned if "shaded" in each.artifact)


def _package(purl: str) -> str:
    url = PackageURL.from_string(purl)
    return f"{url.namespace}:{url.name}"


def _version(purl: str) -> str:
    return purl.rpartition("@")[2]
