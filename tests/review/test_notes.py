"""The notes of a release: what the last move of the pointer brought, or took away."""

import pytest

from harness.cli import main
from harness.core.errors import InputError
from harness.render.renderer import Renderer
from harness.review import notes
from tests.support.miniature import Miniature

_RELEASE = "clusters/demo/release.yaml"
_APP = "apps/demo/helmrelease.yaml"


def _notes(miniature: Miniature) -> str:
    return notes.page(notes.last_move(Renderer(miniature.repository), "demo"))


@pytest.fixture
def released(miniature: Miniature) -> Miniature:
    """A first commit that was released, and a second one with three replicas instead of two."""
    first = miniature.commit("First")
    miniature.edit(_RELEASE, "branch: main", f"commit: {first}")
    miniature.commit("Release the first")
    miniature.edit(_APP, "replicas: 2", "replicas: 3")
    miniature.commit("Three replicas <b>@all</b>")
    return miniature


def _move(miniature: Miniature, commit: str) -> str:
    text = (miniature.root / _RELEASE).read_text()
    before = text.split("commit: ")[1].strip()
    miniature.edit(_RELEASE, before, commit)
    miniature.commit("Move the pointer")
    return before


def test_the_first_release(released: Miniature) -> None:
    text = _notes(released)
    assert text.splitlines()[0].endswith("the first release.")
    assert "+ Deployment/demo/web" in text


def test_a_move_forward_names_its_commits_and_what_they_change(released: Miniature) -> None:
    commit = released.git("rev-parse", "HEAD")
    before = _move(released, commit)
    text = _notes(released)
    assert text.splitlines()[0].startswith(f"`demo` runs `{commit[:12]}` since ")
    assert text.splitlines()[0].endswith(f"before it `{before[:12]}`.")
    assert "## Commits" in text
    commits = text.split("```")[1]
    assert "Three replicas <b>@all</b>" in commits and "Release the first" in commits
    assert "Move the pointer" not in text
    assert "spec.replicas: 2 → 3" in text


def test_a_move_back_says_what_is_taken_away(released: Miniature) -> None:
    before = _move(released, released.git("rev-parse", "HEAD"))
    _move(released, before)
    text = _notes(released)
    assert "## Taken away" in text and "Three replicas" in text
    assert "spec.replicas: 3 → 2" in text


def test_commits_after_the_move_are_not_in_it(released: Miniature) -> None:
    _move(released, released.git("rev-parse", "HEAD"))
    before = _notes(released)
    released.edit(_APP, "replicas: 3", "replicas: 4")
    released.commit("Four")
    assert _notes(released) == before


def test_what_pins_nothing_was_not_released(miniature: Miniature) -> None:
    miniature.commit()
    with pytest.raises(InputError, match="pins no commit"):
        _notes(miniature)


def test_command_leaves_the_notes(
    released: Miniature, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(released.root)
    assert main(["release", "notes", "--env", "demo"]) == 0
    assert (released.root / "build/notes/demo.md").read_text() == capsys.readouterr().out
