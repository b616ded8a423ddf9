"""Reports in a folder and in a bucket: kept by content, read back newest first."""

import datetime
import itertools
from pathlib import Path

import pytest

from harness.attestation import signature
from harness.attestation.signature import Signers
from harness.aws import ANY, Aws
from harness.core.errors import InputError
from harness.promotion import evidence_store
from harness.promotion.evidence_store import S3, EvidenceStore, Folder
from tests.promotion import cases
from tests.promotion.conftest import new_key

_numbers = itertools.count()
REGION = "us-west-2"


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EvidenceStore:
    if request.param == "folder":
        return Folder(tmp_path / "evidence")
    request.getfixturevalue("shim")
    aws, name = Aws(REGION, ANY), f"evidence-{next(_numbers)}"
    where = {"LocationConstraint": REGION}
    aws.call("s3", "create_bucket", Bucket=name, CreateBucketConfiguration=where)
    return S3(aws, name)


def _file(folder: Path, **changes: object) -> Path:
    path = folder / "report.json"
    path.write_text(cases.load_report(**changes).model_dump_json())
    return path


def _signers(key: Path, options: str = "") -> Signers:
    return Signers(f"ada {options} {key.with_suffix('.pub').read_text()}")


NOBODY = Signers("")


def test_reports_come_back_newest_first_with_their_signatures(
    store: EvidenceStore, tmp_path: Path, key: Path
) -> None:
    signers = _signers(key)
    old = evidence_store.add(store, "staging", _file(tmp_path), key, signers)
    later = _file(tmp_path, started=cases.hours_ago(1).isoformat())
    new = evidence_store.add(store, "staging", later, None, signers)
    stored = evidence_store.of(store, "staging", cases.DIGEST, "loadtest").proofs
    assert [each.name for each in stored] == [new.name, old.name]
    assert [len(each.signatures) for each in stored] == [0, 1]
    now = datetime.datetime.now(datetime.UTC)
    (signed,) = stored[1].signatures
    assert signers.verify(stored[1].text, signed, signature.EVIDENCE, now) == "ada"


def test_same_report_again_changes_nothing(store: EvidenceStore, tmp_path: Path, key: Path) -> None:
    first = evidence_store.add(store, "staging", _file(tmp_path), key, _signers(key))
    second = evidence_store.add(store, "staging", _file(tmp_path), key, _signers(key))
    assert first.name == second.name
    assert len(store.names("staging/")) == 2


@pytest.mark.parametrize("options", [None, 'valid-before="20261101"', 'namespaces="other"'])
def test_key_that_may_not_sign_leaves_nothing_in_the_store(
    store: EvidenceStore, tmp_path: Path, key: Path, options: str | None
) -> None:
    signers = NOBODY if options is None else _signers(key, options)
    with pytest.raises(InputError, match="may not sign for evidence@torchserve"):
        evidence_store.add(store, "staging", _file(tmp_path), key, signers)
    assert store.names("staging/") == []


def test_signature_by_another_key_stands_beside_the_first(
    store: EvidenceStore, tmp_path: Path, key: Path
) -> None:
    other = new_key(tmp_path / "other")
    for each in (other, key):
        evidence_store.add(store, "staging", _file(tmp_path), each, _signers(each))
    (proof,) = evidence_store.of(store, "staging", cases.DIGEST, "loadtest").proofs
    assert len(proof.signatures) == 2


def test_signature_under_the_name_of_old_is_read_for_ever(
    store: EvidenceStore, tmp_path: Path, key: Path
) -> None:
    proof = evidence_store.add(store, "staging", _file(tmp_path), None, NOBODY)
    signed = signature.sign(proof.text, key, signature.EVIDENCE)
    store.put(f"{proof.name}.sig", signed)
    (stored,) = evidence_store.of(store, "staging", cases.DIGEST, "loadtest").proofs
    assert stored.signatures == (signed,)


@pytest.mark.parametrize(
    "junk",
    [
        "{}",
        "",
        "[" * 10_000,
        cases.load_report(started="2026-11-26T10:00:00").model_dump_json(),
        cases.load_report(started="yesterday").model_dump_json(),
        cases.load_report(seconds=1e300).model_dump_json(),
    ],
    ids=["object", "empty", "deep", "no time zone", "no date", "for ever"],
)
def test_what_is_no_report_is_left_out_and_named(
    store: EvidenceStore, tmp_path: Path, junk: str
) -> None:
    good = evidence_store.add(store, "staging", _file(tmp_path), None, NOBODY)
    name = f"staging/{cases.DIGEST}/loadtest-20261126T110000Z-0.json"
    store.put(name, junk)
    stored = evidence_store.of(store, "staging", cases.DIGEST, "loadtest")
    assert [each.name for each in stored.proofs] == [good.name]
    assert len(stored.unreadable) == 1
    assert name in stored.unreadable[0]


def test_bytes_that_are_no_text_are_left_out_and_named(tmp_path: Path) -> None:
    store = Folder(tmp_path / "evidence")
    good = evidence_store.add(store, "staging", _file(tmp_path), None, NOBODY)
    (store.root / f"{good.name}.sig").write_bytes(b"\xff\xfe")
    (store.root / good.name).with_name("loadtest-x.json").write_bytes(b"\xff\xfe")
    stored = evidence_store.of(store, "staging", cases.DIGEST, "loadtest")
    assert [(each.name, each.signatures) for each in stored.proofs] == [(good.name, ())]
    assert {each.rpartition("/")[2] for each in stored.unreadable} >= {
        "loadtest-x.json is not UTF-8",
        f"{good.name.rpartition('/')[2]}.sig is not UTF-8",
    }


def test_releases_environments_and_kinds_are_apart(store: EvidenceStore, tmp_path: Path) -> None:
    evidence_store.add(store, "staging", _file(tmp_path), None, NOBODY)
    smoke = tmp_path / "smoke.json"
    smoke.write_text(cases.smoke_text())
    evidence_store.add(store, "staging", smoke, None, NOBODY)
    for env, digest, kind, count in (
        ("staging", cases.DIGEST, "loadtest", 1),
        ("staging", cases.DIGEST, "smoke", 1),
        ("staging", "0" * 64, "loadtest", 0),
        ("production", cases.DIGEST, "loadtest", 0),
    ):
        stored = evidence_store.of(store, env, digest, kind)  # type: ignore[arg-type]
        assert len(stored.proofs) == count


def test_what_is_not_there_reads_as_nothing(store: EvidenceStore) -> None:
    assert store.read("staging/none.json") is None
    assert store.names("staging/") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a report"),
        ("[]", "not a report"),
        ("{}", "not a report"),
        ('{"tests": []}', "not a report"),
        (cases.load_report(release=None).model_dump_json(), "names no release digest"),
        (cases.smoke_text(release=None), "names no release digest"),
    ],
)
def test_what_proves_nothing_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(InputError, match=why):
        evidence_store.add(Folder(tmp_path / "evidence"), "staging", path, None, NOBODY)
    assert not (tmp_path / "evidence").exists()
