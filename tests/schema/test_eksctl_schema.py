"""Where eksctl is on PATH, its own schema validates eksctl.yaml too."""

import json
from pathlib import Path

import pytest

from harness.core import yamlfile
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.yamlfile import Document
from harness.policy import engine
from harness.schema import eksctl_schema
from tests.support import variation

FILE = Path("clusters/staging/eksctl.yaml")
# As eksctl prints it: one definition for each type, and a reference to the first.
SCHEMA = {
    "$ref": "#/definitions/ClusterConfig",
    "definitions": {
        "ClusterConfig": {
            "type": "object",
            "properties": {"metadata": {"$ref": "#/definitions/ClusterMeta"}},
        },
        "ClusterMeta": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "region": {"enum": ["eu-west-1"]}},
            "additionalProperties": False,
        },
    },
}
HEAD = "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata:\n  name: a\n"


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """An eksctl that only knows `utils schema`, as the first on PATH."""
    folder.mkdir()
    script = f'#!/bin/sh\n[ "$*" = "utils schema" ] || exit 2\ncat <<"END"\n{answer}\nEND\n'
    (folder / "eksctl").write_text(script)
    (folder / "eksctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def _document(text: str) -> Document:
    (document,) = yamlfile.parse(text, FILE)
    return document


@pytest.fixture
def eksctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path / "bin", monkeypatch, json.dumps(SCHEMA))


@pytest.mark.usefixtures("eksctl")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  regoin: eu-west-1\n", "metadata.regoin: unknown key regoin"),
        ("  region: us-east-1\n", "metadata.region: "),
    ],
)
def test_names_the_line_of_what_it_refuses(checkout: Repository, line: str, expected: str) -> None:
    (problem,) = eksctl_schema.problems(checkout, _document(HEAD + line))
    assert problem.message.startswith(f"eksctl's schema: {expected}")
    assert problem.location.line == 5


@pytest.mark.usefixtures("eksctl")
def test_finds_nothing_in_what_it_accepts(checkout: Repository) -> None:
    assert eksctl_schema.problems(checkout, _document(f"{HEAD}  region: eu-west-1\n")) == []


def test_asks_nothing_without_eksctl(
    checkout: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert eksctl_schema.problems(checkout, _document("kind: Nonsense\n")) == []


def test_an_eksctl_without_a_schema_is_an_error(
    checkout: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path / "bin", monkeypatch, "no schema today")
    with pytest.raises(HarnessError, match="printed no schema"):
        eksctl_schema.problems(checkout, _document(HEAD))


def test_a_check_reports_its_problems_and_runs_it_again_when_eksctl_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = variation.copy(tmp_path / "repository")
    assert engine.check(repository).findings == ()
    _install(tmp_path / "bin", monkeypatch, json.dumps(SCHEMA))
    findings = [each for each in engine.check(repository).findings if each.location.path == FILE]
    assert {each.rule for each in findings} == {"schema/eksctl"}
    lines = (repository.root / FILE).read_text().splitlines()
    assert any("region:" in lines[(each.location.line or 1) - 1] for each in findings)
