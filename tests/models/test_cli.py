import json

import pytest

from harness.cli import main
from harness.models import build
from harness.models.lock import load_lock, sources


@pytest.fixture
def repository(tiny, monkeypatch):
    (tiny.root / "clusters").mkdir()
    monkeypatch.chdir(tiny.root)
    return tiny


def test_build_prints_what_was_built(repository, capsys):
    assert main(["models", "build"]) == 0
    (mar,) = build.store(repository).glob("*.mar")
    assert capsys.readouterr().out.split()[:1] == [mar.name]


def test_lock_writes_the_committed_lock_and_list_shows_the_built_one(repository, capsys):
    assert main(["models", "lock"]) == 0
    built = load_lock(repository.built_models / "lock.yaml")
    assert load_lock(repository.lock) == built
    assert sources(repository.lock).keys() == {"tiny"}
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"]["tiny"]["version"] == "1"


def test_verify_finds_a_truncated_archive(repository, capsys):
    main(["models", "build"])
    (mar,) = build.store(repository).glob("*.mar")
    assert main(["models", "verify"]) == 0
    mar.write_bytes(mar.read_bytes()[:-1])
    assert main(["models", "verify"]) == 1
    assert f"{mar.name}: truncated or corrupt" in capsys.readouterr().out


def test_verify_finds_an_archive_that_is_not_the_committed_one(repository, capsys):
    main(["models", "lock"])
    with (repository.models / "tiny" / "handler.py").open("a") as handler:
        handler.write("# changed\n")
    main(["models", "build"])
    capsys.readouterr()
    assert main(["models", "verify", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert "lock.yaml: tiny is tiny-1-" in problem


def test_a_bad_model_is_exit_1_and_one_line(repository, edit, capsys):
    path = edit("handler:", "handlr:")
    assert main(["models", "build"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert f"✗ {path}:10: handlr: unknown key; did you mean handler?" in output.err
    assert "Traceback" not in output.err


def test_list_before_any_build_is_an_error(repository, capsys):
    assert main(["models", "list"]) == 1
    err = capsys.readouterr().err
    assert "build/models/lock.yaml: cannot be read" in err
    assert "→ harness models build" in err
