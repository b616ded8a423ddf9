"""Signatures by the real ssh-keygen: who signed what, for what."""

import datetime
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.attestation import signature
from harness.attestation.record import GATES, Evidence
from harness.attestation.signature import EVIDENCE, RELEASE, Signers
from harness.core.errors import HarnessError, InputError

NOW = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)
TEXT = '{"verdict": "pass"}\n'


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a key of that name."""

    def key(name: str) -> Path:
        path = tmp_path / name
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        return path

    return key


def signer_line(key: Path, options: str = "") -> str:
    return f"{key.name}@example.com {options} {key.with_suffix('.pub').read_text()}"


def test_signer_is_named(key: Callable[[str], Path]) -> None:
    mine, other = key("mine"), key("other")
    signed = signature.sign(TEXT, mine, EVIDENCE)
    who = Signers(signer_line(other) + signer_line(mine)).verify(TEXT, signed, EVIDENCE, NOW)
    assert who == "mine@example.com"


def test_changed_text_is_refused(key: Callable[[str], Path]) -> None:
    mine = key("mine")
    signed = signature.sign(TEXT, mine, EVIDENCE)
    with pytest.raises(InputError, match="does not match"):
        Signers(signer_line(mine)).verify(TEXT.replace("pass", "fail"), signed, EVIDENCE, NOW)


def test_key_that_may_not_sign_is_refused(key: Callable[[str], Path]) -> None:
    signed = signature.sign(TEXT, key("stranger"), EVIDENCE)
    for text in (signer_line(key("mine")), "", "# nobody\n"):
        with pytest.raises(InputError, match="not signed by an allowed signer"):
            Signers(text).verify(TEXT, signed, EVIDENCE, NOW)


def test_key_for_reports_signs_no_release(key: Callable[[str], Path]) -> None:
    mine = key("mine")
    signers = Signers(signer_line(mine, f'namespaces="{EVIDENCE}"'))
    assert signers.verify(TEXT, signature.sign(TEXT, mine, EVIDENCE), EVIDENCE, NOW)
    with pytest.raises(InputError):
        signers.verify(TEXT, signature.sign(TEXT, mine, RELEASE), RELEASE, NOW)
    with pytest.raises(InputError):
        signers.verify(TEXT, signature.sign(TEXT, mine, EVIDENCE), RELEASE, NOW)


def test_key_counts_while_it_is_valid(key: Callable[[str], Path]) -> None:
    mine = key("mine")
    signers = Signers(signer_line(mine, 'valid-before="20261101"'))
    signed = signature.sign(TEXT, mine, EVIDENCE)
    assert signers.verify(TEXT, signed, EVIDENCE, NOW - datetime.timedelta(days=60))
    with pytest.raises(InputError):
        signers.verify(TEXT, signed, EVIDENCE, NOW)


@pytest.mark.parametrize("signed", ["", "no signature\n", "-----BEGIN SSH SIGNATURE-----\n"])
def test_what_is_no_signature_is_refused(key: Callable[[str], Path], signed: str) -> None:
    with pytest.raises(InputError):
        Signers(signer_line(key("mine"))).verify(TEXT, signed, EVIDENCE, NOW)


def test_key_by_a_pipe_is_never_a_file(key: Callable[[str], Path], tmp_path: Path) -> None:
    mine, pipe = key("mine"), tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(pipe.write_bytes, mine.read_bytes())
        signed = signature.sign(TEXT, pipe, EVIDENCE)
        written.result()
    assert Signers(signer_line(mine)).verify(TEXT, signed, EVIDENCE, NOW) == "mine@example.com"
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "mine.pub", "pipe"}


def test_key_that_cannot_sign_says_so(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="cannot sign"):
        signature.sign(TEXT, tmp_path / "none", EVIDENCE)


@pytest.mark.parametrize(
    ("options", "namespace", "message"),
    [
        (f'namespaces="{EVIDENCE}"', RELEASE, "not permitted for use in signature namespace"),
        (f'namespaces="{RELEASE}"', EVIDENCE, "not permitted for use in signature namespace"),
        ('valid-before="20261125"', RELEASE, "key has expired"),
        ('valid-after="20270101"', RELEASE, "key is not yet valid"),
        (None, RELEASE, "not signed by an allowed signer"),
    ],
)
def test_key_that_would_not_count_is_refused_with_its_line(
    key: Callable[[str], Path], options: str | None, namespace: str, message: str
) -> None:
    mine = key("mine")
    signers = Signers("" if options is None else signer_line(mine, options))
    with pytest.raises(InputError, match=message) as refused:
        signers.require(mine, namespace, NOW)
    kind, public, _ = mine.with_suffix(".pub").read_text().split()
    assert f'NAME namespaces="{namespace}" {kind} {public}' in refused.value.hint


def test_key_that_counts_is_named(key: Callable[[str], Path]) -> None:
    mine = key("mine")
    assert Signers(signer_line(mine)).require(mine, RELEASE, NOW) == "mine@example.com"


def test_fingerprint_is_of_the_key_and_not_of_what_it_signs(key: Callable[[str], Path]) -> None:
    mine, other = key("mine"), key("other")
    prints = [
        signature.fingerprint(signature.sign(text, who, EVIDENCE))
        for text, who in ((TEXT, mine), ("another", mine), (TEXT, other))
    ]
    assert prints[0] == prints[1] != prints[2]
    for no_signature in ("", "{}", "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n"):
        with pytest.raises(InputError, match="no SSH signature"):
            signature.fingerprint(no_signature)


@pytest.mark.parametrize("version", [1, 2])
def test_evidence_that_was_signed_before_verifies_forever(version: int) -> None:
    """The files were written and signed by the harness of 2026-11-29; nobody has the key."""
    folder = Path(__file__).parents[1] / "testdata" / "evidence"
    text = (folder / f"version-{version}.json").read_text()
    signed = (folder / f"version-{version}.json.sig").read_text()
    signers = Signers((folder / "allowed_signers").read_text())
    at = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
    assert signers.verify(text, signed, RELEASE, at) == "ada@example.com"
    evidence = Evidence.model_validate_json(text)
    assert {gate.name for gate in evidence.gates} == GATES[version]
    assert [report.figures[0].p99 for report in evidence.reports if report.figures] == [None]
