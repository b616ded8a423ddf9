"""The folders that the harness reads of a commit are those that Flux checks out."""

import pytest

from harness.core import yamlfile
from harness.core.repository import Repository
from harness.core.values import items
from harness.render import artifact


@pytest.mark.parametrize("env", ["local", "staging", "production"])
def test_release_yaml_lists_the_same_folders(checkout: Repository, env: str) -> None:
    path = checkout.root / "clusters" / env / "release.yaml"
    (document,) = yamlfile.parse(path.read_text(), path)
    assert items(document.value, "spec", "sparseCheckout") == [*artifact.FOLDERS]
    assert set(artifact.FOLDERS) - set(artifact.RELEASED) == {"clusters"}, "it comes from main"
