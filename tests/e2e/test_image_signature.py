"""Who signed an image, asked of a real registry with the real cosign; no cluster takes part."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry, tools
from harness.core import command
from harness.core.repository import Repository
from harness.registry import Image, Signer
from tests.e2e import registry as local

_WORKFLOW = Signer(
    identity="https://github.com/OWNER/REPOSITORY/.github/workflows/image.yaml@refs/heads/main",
    issuer="https://token.actions.githubusercontent.com",
)


@pytest.fixture(scope="module")
def images(
    checkout: Repository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[local.Registry]:
    with local.running(checkout, tmp_path_factory.mktemp("registry")) as running:
        yield running


def _image(images: local.Registry) -> Image:
    return Image(f"{images.address}/staging/torchserve", images.digest)


def test_image_that_the_key_signed_counts(checkout: Repository, images: local.Registry) -> None:
    assert registry.signature_problem(checkout, _image(images), Signer(key=images.public_key)) == ""


def test_image_that_another_key_signed_does_not(
    checkout: Repository, images: local.Registry, tmp_path: Path
) -> None:
    argv = [tools.find(checkout, "cosign"), "generate-key-pair"]
    command.run(argv, cwd=tmp_path, timeout=60, env={"COSIGN_PASSWORD": ""})
    other = Signer(key=tmp_path / "cosign.pub")
    assert registry.signature_problem(checkout, _image(images), other)


def test_image_that_nobody_signed_does_not(checkout: Repository, images: local.Registry) -> None:
    bare = f"{images.address}/staging/bare:1"
    crane = tools.find(checkout, "crane")
    argv = [crane, "append", "--new_layer", "/dev/null", "--new_tag", bare]
    command.run(argv, timeout=60)
    digest = command.run([crane, "digest", bare], timeout=60).stdout.strip()
    unsigned = Image(bare.removesuffix(":1"), digest)
    assert registry.signature_problem(checkout, unsigned, Signer(key=images.public_key))


def test_key_is_no_identity_of_a_workflow(checkout: Repository, images: local.Registry) -> None:
    """Whether or not the transparency log can be reached: what a key signed has no certificate."""
    assert registry.signature_problem(checkout, _image(images), _WORKFLOW)
