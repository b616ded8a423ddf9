"""Which libraries a JAR was merged from: all of their classes, byte for byte, or no answer."""

import importlib.util
from pathlib import Path

import pytest

from harness.audit import classes, library
from tests.audit.jars import jar

_NETTY = {"io/netty/A": "1", "io/netty/A$B": "2", "io/netty/codec/C": "3"}
_GRPC = {"io/grpc/A": "4", "io/grpc/core/B": "5"}
_CONTEXT = {"io/grpc/Context": "6"}
_INDEX = library.index(
    {
        "pkg:maven/io.netty/netty@1": _NETTY,
        "pkg:maven/io.netty/netty@2": {**_NETTY, "io/netty/A": "newer"},
        "pkg:maven/io.grpc/grpc@1": _GRPC,
        "pkg:maven/io.grpc/context@1": _CONTEXT,
    },
    {},
)


def _purls(digests: dict[str, str]) -> set[str]:
    return {each.purl for each in library.identify(digests, _INDEX).libraries}


def test_versions_are_told_apart_by_one_class() -> None:
    assert _purls(_NETTY) == {"pkg:maven/io.netty/netty@1"}
    assert _purls({**_NETTY, "io/netty/A": "newer"}) == {"pkg:maven/io.netty/netty@2"}


def test_libraries_that_share_a_package_are_told_apart() -> None:
    assert _purls(_GRPC | _CONTEXT) == {"pkg:maven/io.grpc/grpc@1", "pkg:maven/io.grpc/context@1"}
    assert _purls(_CONTEXT) == {"pkg:maven/io.grpc/context@1"}


@pytest.mark.parametrize(
    "changed",
    [
        {**_NETTY, "io/netty/A": "patched"},
        {**_NETTY, "io/netty/codec/Added": "7"},
        {name: digest for name, digest in _NETTY.items() if name != "io/netty/A$B"},
    ],
    ids=["a class differs", "a class more", "a class less"],
)
def test_nearly_is_not_said_to_be_a_version(changed: dict[str, str]) -> None:
    identified = library.identify(changed, _INDEX)
    assert not identified.libraries
    assert set(identified.unknown["pkg:maven/io.netty/netty"]) == set(changed)


def test_classes_of_nobody_are_named_by_their_package() -> None:
    unknown = library.identify({"com/example/deep/down/A": "1"}, _INDEX).unknown
    assert unknown == {"com/example/deep/": ("com/example/deep/down/A",)}


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "libraries.json").write_text(library.save(_INDEX))
    assert library.load(tmp_path / "libraries.json") == _INDEX


def test_a_class_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = jar(tmp_path / "a.jar", {"A": b"1"}, **{"A.class": b"2"})
    with pytest.raises(classes.InputError, match="duplicate class"):
        classes.digests_of(twice)


def test_half_a_jar_is_refused(tmp_path: Path) -> None:
    whole = jar(tmp_path / "a.jar", {"A": b"1" * 1000})
    whole.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(classes.InputError, match=r"a\.jar: is not a JAR that can be read"):
        classes.digests_of(whole)


def test_every_class_of_torchserves_jar_is_of_a_published_library() -> None:
    spec = importlib.util.find_spec("ts")
    assert spec and spec.origin
    stock = Path(spec.origin).parent / "frontend/model-server.jar"
    identified = library.identify(classes.digests_of(stock), library.load())
    assert not identified.unknown
    purls = {each.purl for each in identified.libraries}
    assert {
        "pkg:maven/io.netty/netty-codec-http@4.1.53.Final",
        "pkg:maven/io.grpc/grpc-netty-shaded@1.50.0",
        "pkg:maven/com.google.protobuf/protobuf-java@3.21.7",
        "pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1",
    } <= purls
