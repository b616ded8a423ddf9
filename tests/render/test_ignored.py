"""Patterns of an ignore file, as fluxcd/pkg/sourceignore v0.18.0 itself answered for each."""

import pytest

from harness.render import artifact

ANSWERS = [
    ("policy.yaml", "a/policy.yaml", True),
    ("/policy.yaml", "a/policy.yaml", False),
    ("/policy.yaml", "policy.yaml", True),
    ("a/", "a/b/c.yaml", True),
    ("a/", "b/a", False),
    ("a/**/c.yaml", "a/c.yaml", True),
    ("a/**/c.yaml", "a/1/2/c.yaml", True),
    ("**/c.yaml", "1/c.yaml", True),
    ("**/c.yaml", "c.yaml", True),
    ("a/**", "a/b", True),
    ("a**b/c", "axb/c", False),
    ("*.yaml\n!keep.yaml", "keep.yaml", False),
    ("!keep.yaml\n*.yaml", "keep.yaml", True),
    ("a/\n!a/keep", "a/keep", False),
    ("#a", "#a", False),
    ("\\#a", "#a", True),
    ("\\!a", "!a", True),
    ("a  ", "a", True),
    ("a\\ ", "a ", True),
    ("[!a]", "b", False),
    ("[^a]", "b", True),
    ("[]a]", "a", False),
    ("[a-]", "a", False),
    ("[c-a]", "b", False),
    ("a[", "a[", False),
    ("A", "a", False),
    ("*", "a/b", True),
    ("", "a", False),
    ("  ", "a", False),
    ("a/b", "x/a/b", False),
    ("a/b", "a/b/c", True),
]


@pytest.mark.parametrize(("lines", "path", "ignored"), ANSWERS)
def test_a_pattern_matches_what_it_matches_in_flux(lines: str, path: str, ignored: bool) -> None:
    counted = artifact.patterns({".sourceignore": b"no such file\n" + lines.encode()})
    assert artifact.ignores(counted)(path) is ignored


def test_an_ignore_file_sees_its_own_folder_alone() -> None:
    counted = artifact.patterns({"a/b/.sourceignore": b"/x\n", "a/.sourceignore": b"y\n"})
    ignored = artifact.ignores(counted)
    paths = ("a/b/x", "a/x", "x", "a/y", "a/b/y", "b/y")
    assert [each for each in paths if ignored(each)] == ["a/b/x", "a/y", "a/b/y"]


def test_any_ignore_file_takes_the_place_of_the_list() -> None:
    assert artifact.ignores(artifact.patterns({}))("a/picture.png")
    is_ignored = artifact.ignores(artifact.patterns({"b/.sourceignore": b"# a comment\nnothing\n"}))
    assert not is_ignored("a/picture.png")
    assert is_ignored("a/.gitattributes"), "Git's own files are left out all the same"
    assert artifact.ignores(artifact.patterns({"b/.sourceignore": b"# a comment\n"}))("a/x.png")


def test_what_follows_a_line_that_is_too_long_is_not_read() -> None:
    lines = b"one\n" + b"x" * (64 << 10) + b"\ntwo\n"
    ignored = artifact.ignores(artifact.patterns({".sourceignore": lines}))
    assert ignored("one")
    assert not ignored("two")
