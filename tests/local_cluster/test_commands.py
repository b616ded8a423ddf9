"""``harness cluster`` and ``harness status`` where there is no cluster."""

import json

import pytest

from harness.cli import main


def test_status_of_no_cluster_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "processes", "--name", "nobody", "--json"]) == 3
    captured = capsys.readouterr()
    assert "make cluster" in json.loads(captured.out)["hint"]
    assert "nobody" in captured.err


def test_down_of_no_cluster_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "down", "--name", "nobody"]) == 0
    assert capsys.readouterr().out == "cluster 'nobody' not found\n"


def test_status_of_an_unknown_environment_names_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["status", "--env", "nowhere"]) == 2
    assert "staging" in capsys.readouterr().err


def test_status_without_any_cluster_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none")
    assert main(["status", "--env", "production"]) == 3
    assert "KUBECONFIG" in capsys.readouterr().err


def test_name_that_leads_elsewhere_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "down", "--name", "../models"]) == 2
    assert main(["cluster", "up", "--name", "../models"]) == 2
    assert capsys.readouterr().err.count("cannot be the name") == 2
