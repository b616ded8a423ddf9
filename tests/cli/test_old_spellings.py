"""Calls that were written before the commands were grouped still mean what they meant."""

import pytest

from harness.cli import main, old_spellings
from harness.cli.commands import VERBS

_SPELLINGS = {
    "promote --key K": "release promote --key K",
    "promote --seen F": "release promote --source-state F",
    "promote --seen=F": "release promote --source-state=F",
    "promote --from a --to b --look F": "release observe --from a --to b --save-state F",
    "rollback --reason x": "release rollback --env production --reason x",
    "releases --html": "release list --env production --html",
    "release copy --seen F": "release copy --source-state F",
    "notes --env production": "release notes --env production",
    "freeze --at T": "release freeze --env production --at T",
    "evidence add R --key K": "release evidence --env staging R --key K",
    "cluster status --name n": "cluster processes --name n",
    "cluster tools": "tools --cluster",
    "status --every": "status --all",
    "snapshot": "snapshot write --all",
    "snapshot --env e": "snapshot write --env e",
    "snapshot --check": "snapshot check --all",
    "snapshot --env=e --check": "snapshot check --env=e",
    "snapshot --force import F": "snapshot import --force F",
    "loadtest": "loadtest run",
    "loadtest --env e": "loadtest run --env e",
    "loadtest --json compare A B": "loadtest compare --json A B",
    "models --env e push": "models push --env e",
    "efs --env e plan": "efs plan --env e",
}


@pytest.mark.parametrize(("old", "new"), _SPELLINGS.items(), ids=_SPELLINGS)
def test_old_spelling_is_translated_and_named(old: str, new: str) -> None:
    words, replaced = old_spellings.translate(old.split())
    assert words == new.split()
    assert replaced


@pytest.mark.parametrize(
    "words",
    ["", "--help", "nope", "check", "models", "models --help", "models bild", "snapshot --help"]
    + [f"{name} {action}".strip() for name in VERBS for action in VERBS[name].actions or [""]],
)
def test_current_spelling_stays_as_it_is(words: str) -> None:
    assert old_spellings.translate(words.split()) == (words.split(), [])


@pytest.mark.parametrize("new", _SPELLINGS.values())
def test_translation_names_a_command_that_exists(new: str) -> None:
    name, *rest = new.split()
    assert not VERBS[name].actions or rest[0] in VERBS[name].actions


def test_old_environment_gives_way_to_an_explicit_one() -> None:
    words, _ = old_spellings.translate(["freeze", "--env", "staging"])
    assert words == ["release", "freeze", "--env", "production", "--env", "staging"]


def test_notice_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rollback", "--help"])
    printed = capsys.readouterr()
    assert printed.err == (
        "! `harness rollback` is now `harness release rollback --env production`; "
        "the old spelling works until 2027-03-01\n"
    )
    assert "usage: harness release rollback" in printed.out
