"""Which images are copied for a release: one of each image set, found by its digest."""

import os
from pathlib import Path

import pytest

from harness import cli, registry
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.promotion import collect, copy
from harness.registry import Image
from harness.render.renderer import Renderer
from tests.support import variation

DEFAULT, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def _images(root: Path, env: str) -> list[Image]:
    """The images of an environment of a working tree."""
    return collect.images(Renderer(Repository(root)).candidate(env))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    variation.copy(tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in (
        "sets add onnx-1 magika",
        f"image pin {DEFAULT}",
        f"image pin {OTHER} --set onnx-1",
        "groups add files magika --set onnx-1 --env staging",
    ):
        assert cli.main(words.split()) == 0
    return tmp_path


def test_a_group_that_only_the_source_has_stops_no_copy(root: Path) -> None:
    staging, production = _images(root, "staging"), _images(root, "production")
    pairs = list(copy.pairs(staging, production))
    assert [(one.digest, two.digest) for one, two in pairs] == [(DEFAULT, DEFAULT)]


def test_each_set_of_the_target_is_found_by_its_digest(root: Path) -> None:
    words = "groups add files magika --set onnx-1 --env production"
    assert cli.main(words.split()) == 0
    pairs = list(copy.pairs(_images(root, "staging"), _images(root, "production")))
    assert sorted(one.digest for one, _ in pairs) == [DEFAULT, OTHER]
    assert all(one.digest == two.digest for one, two in pairs)


def test_what_decides_about_canaries_is_copied_too(root: Path) -> None:
    variation.load(variation.TESTDATA / "valid" / "canary").lay_out(root / "with-canaries")
    os.chdir(root / "with-canaries")
    for words in (f"image pin {DEFAULT}", f"canary pin {OTHER}"):
        assert cli.main(words.split()) == 0
    images = _images(Path.cwd(), "production")
    assert sorted(each.digest for each in images) == [DEFAULT, OTHER]


def test_a_set_that_the_source_never_ran_is_not_copied() -> None:
    other = registry.Image("registry.example.com/torchserve", OTHER)
    with pytest.raises(InputError, match="is run by no group of the source"):
        list(copy.pairs([registry.Image("r.example.com/torchserve", DEFAULT)], [other]))
