"""The commands: a key that would not count is refused before anything else is done."""

from pathlib import Path

import pytest

from harness.attestation import signature
from harness.cli import main
from tests.promotion import cases
from tests.promotion.conftest import Clone, allow


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (None, "not signed by an allowed signer"),
        (f'namespaces="{signature.EVIDENCE}"', "not permitted for use in signature namespace"),
        ('valid-before="20260101"', "key has expired"),
    ],
)
def test_promote_refuses_a_key_that_would_not_count_at_once(
    clone: Clone,
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: str | None,
    message: str,
) -> None:
    if options:
        allow(clone, key, options)
    monkeypatch.chdir(clone.root)
    monkeypatch.setenv("KUBECONFIG", "/nowhere")  # reading the cluster would fail otherwise
    assert main(["release", "promote", "--key", str(key)]) == 1
    stderr = capsys.readouterr().err
    assert message in stderr
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    assert f'NAME namespaces="{signature.RELEASE}" {public}' in stderr


def test_key_that_only_the_working_tree_lists_does_not_count(
    clone: Clone, key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone.root / signature.SIGNERS).write_text(f"ada {key.with_suffix('.pub').read_text()}")
    monkeypatch.chdir(clone.root)
    assert main(["release", "promote", "--key", str(key)]) == 1
    assert "not signed by an allowed signer" in capsys.readouterr().err


def test_evidence_refuses_a_key_that_would_not_count(
    clone: Clone,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    allow(clone, key, f'namespaces="{signature.RELEASE}"')
    report, store = tmp_path / "report.json", tmp_path / "store"
    report.write_text(cases.load_report().model_dump_json())
    monkeypatch.chdir(clone.root)
    words = ["release", "evidence", str(report), "--env", "staging", "--key", str(key)]
    words += ["--evidence", str(store)]
    assert main(words) == 1
    assert "may not sign for evidence@torchserve" in capsys.readouterr().err
    assert not store.exists()
