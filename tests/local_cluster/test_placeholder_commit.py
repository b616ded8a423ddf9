"""The throw-away commit leaves no UNSET in anything that Flux reads."""

import re
from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.local_cluster import placeholder_commit

_VALUES = {"url": "http://here", "sha256": "ab" * 32, "digest": "sha256:" + "cd" * 32}


@pytest.mark.parametrize("env", ["local", "staging", "production"])
def test_no_value_stays_unset(checkout: Repository, env: str) -> None:
    changed = placeholder_commit.changes(checkout, env, "http://127.0.0.1:1/repository.git")
    assert f"clusters/{env}/release.yaml" in changed
    for text in changed.values():
        assert not re.search(r"^[^#]*\bUNSET\b", text, re.MULTILINE)


def test_each_key_has_its_value() -> None:
    text = "spec:\n  url: UNSET\n  # url: a comment\n  files:\n    - sha256: UNSET\n"
    assert placeholder_commit.fill(text, _VALUES, Path("x")) == (
        f"spec:\n  url: http://here\n  # url: a comment\n  files:\n    - sha256: {'ab' * 32}\n"
    )


def test_archive_is_named_after_its_digest() -> None:
    assert (
        placeholder_commit.fill("name: a-1-UNSET.mar\n", _VALUES, Path("x"))
        == "name: a-1-abababababab.mar\n"
    )


def test_key_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="colour"):
        placeholder_commit.fill("colour: UNSET\n", _VALUES, Path("x"))
