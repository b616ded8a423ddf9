import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import InputError
from harness.models.archive import MANIFEST, read_manifest, repack

ABOUT = {
    "createdOn": "23/11/2026 17:00:00",
    "runtime": "python",
    "model": {"modelName": "m", "modelVersion": "1", "handler": "h.py", "serializedFile": "m.pt"},
}
paths = st.from_regex(r"[a-z]{1,8}(/[a-z.]{1,8}[a-z]){0,2}", fullmatch=True)
trees = st.dictionaries(paths, st.binary(max_size=200), max_size=6)


def write_zip(
    path: Path, tree: dict[str, bytes], *, year: int = 2020, method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in tree.items():
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), content, method)
    return path


def mar(path: Path, about: object = ABOUT, **files: bytes) -> Path:
    return write_zip(
        path, {"m.pt": b"weights" * 100, **files, MANIFEST: json.dumps(about).encode()}
    )


def canonical(path: Path) -> bytes:
    target = io.BytesIO()
    repack(path, target)
    return target.getvalue()


@given(tree=trees, year=st.integers(1980, 2100), data=st.data())
def test_repacking_forgets_order_time_and_compression(tmp_path_factory, tree, year, data):
    folder = tmp_path_factory.mktemp("zip")
    shuffled = dict(data.draw(st.permutations(list(tree.items()))))
    one = write_zip(folder / "one", tree)
    other = write_zip(folder / "other", shuffled, year=year, method=zipfile.ZIP_STORED)
    assert canonical(one) == canonical(other)


@given(tree=trees)
def test_repacking_keeps_every_file(tmp_path_factory, tree):
    packed = canonical(write_zip(tmp_path_factory.mktemp("zip") / "one", tree))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == tree


def test_repacking_fixes_the_date_in_the_manifest_and_nothing_else_of_it(tmp_path):
    later = mar(tmp_path / "later", ABOUT | {"createdOn": "24/12/2026 18:00:00"})
    packed = canonical(later)
    assert packed == canonical(mar(tmp_path / "now"))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    assert manifest == ABOUT | {"createdOn": "01/01/1980 00:00:00"}


def test_a_manifest_is_read(tmp_path):
    manifest = read_manifest(mar(tmp_path / "m.mar"))
    assert (manifest.model_name, manifest.model_version, manifest.handler) == ("m", "1", "h.py")
    assert (manifest.serialized_file, manifest.model_file) == ("m.pt", None)


@given(share=st.floats(0, 1, exclude_max=True))
def test_an_archive_cut_anywhere_is_refused(tmp_path_factory, share):
    path = mar(tmp_path_factory.mktemp("mar") / "m.mar")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match="truncated or corrupt"):
        read_manifest(path)


def test_an_archive_that_lacks_one_byte_is_refused(tmp_path):
    path = mar(tmp_path / "m.mar")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"m.mar: truncated or corrupt.*\n  → build it again"):
        read_manifest(path)


def test_a_flipped_byte_in_a_file_is_found(tmp_path):
    path = mar(tmp_path / "m.mar")
    target = io.BytesIO()
    repack(path, target)
    damaged = bytearray(target.getvalue())
    damaged[damaged.index(b"weightsweights") + 3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"corrupt: m.pt does not fit its checksum"):
        read_manifest(path)


@pytest.mark.parametrize(
    "about",
    [
        None,
        [],
        {},
        {"model": []},
        {"model": {"modelName": []}},
    ],
    ids=["null", "list", "empty", "no model", "list for a name"],
)
def test_a_manifest_that_is_none_is_refused(tmp_path, about):
    with pytest.raises(InputError, match="is missing or not a manifest"):
        read_manifest(mar(tmp_path / "m.mar", about))


def test_a_zip_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(InputError, match="is missing or not a manifest"):
        read_manifest(write_zip(tmp_path / "m.mar", {"m.pt": b""}))


def test_an_archive_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such archive"):
        read_manifest(tmp_path / "m.mar")


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [(MANIFEST, 2 << 20, "larger than 1 MiB"), ("weights.pt", 70 << 20, "times its own size")],
)
def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path, name, size, message):
    bomb = write_zip(
        tmp_path / "bomb.mar", {MANIFEST: json.dumps(ABOUT).encode(), name: bytes(size)}
    )
    with pytest.raises(InputError, match=message):
        read_manifest(bomb)


def test_an_encrypted_archive_is_refused(tmp_path):
    path = mar(tmp_path / "m.mar")
    # Bit 0 of the flags, in the local header and in the central directory.
    content = path.read_bytes()
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(mark) + offset
        content = content[:at] + bytes([content[at] | 1]) + content[at + 1 :]
    path.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        read_manifest(path)
