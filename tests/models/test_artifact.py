"""What people have becomes an archive: each kind of artifact, folders, wildcards, handlers."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models import artifact
from harness.models.archive import pack, read_manifest
from harness.models.catalog import load_model

HEAD = """\
name: tiny
version: "1"
description: Anything.
license: {code: MIT, weights: MIT}
"""


@pytest.fixture
def archive(tiny: Repository, tmp_path: Path) -> Callable[[str], Path]:
    """Packs the model that the text describes."""

    def archive(text: str) -> Path:
        path = tiny.models / "tiny" / "model.yaml"
        path.write_text(HEAD + text)
        staging = tmp_path / "staging"
        staging.mkdir()
        mar = tmp_path / "tiny.mar"
        contents = artifact.stage(load_model(path), path.parent, staging, tmp_path / "downloads")
        with mar.open("wb") as file:
            pack(contents, file)
        return mar

    return archive


@pytest.fixture
def plant(tiny: Repository) -> Callable[..., None]:
    """Writes files next to tiny's model.yaml, each holding its own path."""

    def plant(*names: str) -> None:
        for name in names:
            path = tiny.models / "tiny" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    return plant


def names(mar: Path) -> set[str]:
    with zipfile.ZipFile(mar) as archive:
        return set(archive.namelist()) - {"MAR-INF/MANIFEST.json"}


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("torchscript", "net.pt"),
        ("export", "net.pt2"),
        ("export", "net.so"),
        ("onnx", "net.onnx"),
        ("safetensors", "model.safetensors"),
    ],
)
def test_a_model_of_one_file_is_the_serialized_file(archive, plant, kind, file):
    plant(file)
    mar = archive(f"artifact: {{{kind}: {{file: {file}}}}}\nhandler: handler.py\n")
    assert read_manifest(mar).serialized_file == file
    assert names(mar) == {file, "handler.py"}


@pytest.mark.parametrize("text", ["", "artifact: {}\n", "artifact: {eager: {code: net.py}}\n"])
def test_a_model_may_have_no_file_of_its_own(archive, plant, text):
    plant("net.py")
    manifest = read_manifest(archive(f"{text}handler: handler.py\n"))
    assert manifest.serialized_file is None
    assert manifest.model_file == ("net.py" if "eager" in text else None)


@pytest.mark.parametrize(
    ("kind", "marker"),
    [("huggingface", "config.json"), ("diffusers", "model_index.json"), ("folder", "any.bin")],
)
def test_a_folder_keeps_its_form_without_what_is_no_part_of_it(archive, plant, kind, marker, capfd):
    plant(f"net/{marker}", "net/1_Pooling/config.json", "net/tf_model.h5")
    plant("net/.git/HEAD", "net/.DS_Store", "net/__pycache__/a.pyc")
    folder = '{folder: net, exclude: ["*.h5"]}'
    mar = archive(f"artifact: {{{kind}: {folder}}}\nhandler: handler.py\n")
    assert names(mar) == {f"model/{marker}", "model/1_Pooling/config.json", "handler.py"}
    left_out = "! tiny: left out of net: .DS_Store, .git, __pycache__, tf_model.h5\n"
    assert capfd.readouterr().err == left_out


def test_a_folder_of_another_kind_is_refused(archive, plant):
    plant("net/weights.bin")
    with pytest.raises(InputError, match=r"model.yaml:5: net has no config.json\n  → `folder:`"):
        archive("artifact: {huggingface: {folder: net}}\nhandler: handler.py\n")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("{net: net}", {"net/config.json", "net/1_Pooling/config.json", "net/vocab.txt"}),
        ("{.: net}", {"config.json", "1_Pooling/config.json", "vocab.txt"}),
        ("{here: 'net/*.json'}", {"here/config.json"}),
        ("{here: 'net/**/*.json'}", {"here/config.json", "here/1_Pooling/config.json"}),
        ("{here/: 'net/1_*'}", {"here/1_Pooling/config.json"}),
        ("{.: net/vocab.txt, deep/v.txt: net/vocab.txt}", {"vocab.txt", "deep/v.txt"}),
    ],
)
def test_extra_files_take_folders_and_wildcards(archive, plant, extra, expected):
    plant("net/config.json", "net/1_Pooling/config.json", "net/vocab.txt")
    mar = archive(f"handler: handler.py\nextraFiles: {extra}\n")
    assert names(mar) == expected | {"handler.py"}
    with zipfile.ZipFile(mar) as packed:
        for name in expected & {"config.json", "1_Pooling/config.json"}:
            assert packed.read(name).decode() == f"net/{name}"


def test_two_sources_of_one_path_are_refused(archive, plant):
    plant("net/config.json", "other/config.json")
    with pytest.raises(InputError, match=r"model.yaml:6: config.json is net and other/conf"):
        archive("handler: handler.py\nextraFiles: {.: net, config.json: other/config.json}\n")


def test_a_wildcard_that_names_nothing_is_refused(archive):
    with pytest.raises(InputError, match=r"model.yaml:6: no file net/\*.json"):
        archive("handler: handler.py\nextraFiles: {net: net/*.json}\n")


@pytest.mark.parametrize(
    ("handler", "in_manifest"),
    [
        ("handler.py", "handler.py"),
        ("handler.py:handle", "handler:handle"),
        ("handler:handle", "handler:handle"),
        ("handler", "handler.py"),
        ("packed:handle", "packed:handle"),
        ("numpy:numpy/version.py", "version.py"),
        ("image_classifier", "image_classifier"),
        ("vllm_handler", "vllm_handler"),
    ],
)
def test_a_handler_is_a_file_a_function_or_torchserves_own(archive, handler, in_manifest):
    text = f"handler: {handler}\nextraFiles: {{packed.py: handler.py}}\n"
    assert read_manifest(archive(text)).handler == in_manifest
