"""Which classes the JVM can still load from TorchServe's JAR."""

import hashlib
from pathlib import Path

import pytest

from harness.audit import java, library
from harness.jars.lock import Jar
from tests.audit.jars import jar

_OLD = "pkg:maven/io.netty/netty@1"
_VERSIONS = b"#Tue, 13 Oct 2020\nnetty-codec.version=4.1.79.Final\nnetty-codec.repoStatus=clean\n"


@pytest.fixture(autouse=True)
def _known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {name: hashlib.sha256(b"old").hexdigest() for name in ("io/netty/A", "io/netty/B")}
    file = tmp_path / "libraries.json"
    file.write_text(library.save(library.index({_OLD: digests}, {_OLD: ("pkg:maven/a/in@1",)})))
    monkeypatch.setattr(library.load, "__defaults__", (file,))


def _stock(root: Path) -> None:
    jar(root / "site-packages/ts/frontend/s.jar", {"io/netty/A": b"old", "io/netty/B": b"old"})


def _newer(root: Path, *names: str, **others: bytes) -> tuple[Jar, ...]:
    path = root / "share/torchserve/jars/netty-2.jar"
    jar(path, dict.fromkeys(names, b"new"), **others)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return (Jar("io.netty", "netty", "2", "", digest, "jars.lock:1"),)


def _loadable_parts(root: Path, pinned: tuple[Jar, ...] = ()) -> dict[str, int]:
    return {part.purl: part.loadable for part in java.find(root, pinned).parts}


def test_all_of_it_runs_where_nothing_stands_before_it(tmp_path: Path) -> None:
    _stock(tmp_path)
    assert _loadable_parts(tmp_path) == {_OLD: 2, "pkg:maven/a/in@1": 2}


def test_what_a_newer_jar_has_is_not_loaded(tmp_path: Path) -> None:
    _stock(tmp_path)
    pinned = _newer(tmp_path, "io/netty/A", "io/netty/B")
    newer = {"pkg:maven/io.netty/netty@2": 2}
    assert _loadable_parts(tmp_path, pinned) == {_OLD: 0, "pkg:maven/a/in@1": 0, **newer}


def test_what_only_the_old_jar_has_is_left(tmp_path: Path) -> None:
    _stock(tmp_path)
    assert _loadable_parts(tmp_path, _newer(tmp_path, "io/netty/A"))[_OLD] == 1


def test_a_jar_elsewhere_hides_nothing(tmp_path: Path) -> None:
    _stock(tmp_path)
    jar(tmp_path / "opt/lib/netty-2.jar", {"io/netty/A": b"new", "io/netty/B": b"new"})
    libraries = java.find(tmp_path, ())
    assert {part.purl: part.loadable for part in libraries.parts}[_OLD] == 2
    assert list(libraries.unknown) == [("opt/lib/netty-2.jar", "pkg:maven/io.netty/netty")]


def test_a_netty_under_another_name_is_a_part_of_its_own(tmp_path: Path) -> None:
    name = "META-INF/io.grpc.netty.shaded.io.netty.versions.properties"
    path = tmp_path / "share/torchserve/jars/grpc-netty-shaded-1.jar"
    jar(path, {"io/grpc/netty/shaded/A": b"1"}, **{name: _VERSIONS})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    pinned = (Jar("io.grpc", "grpc-netty-shaded", "1", "", digest, "jars.lock:1"),)
    copied = java.find(tmp_path, pinned).parts[1]
    assert copied.purl == "pkg:maven/io.netty/netty-codec@4.1.79.Final"
    assert copied.inside == "pkg:maven/io.grpc/grpc-netty-shaded@1"
