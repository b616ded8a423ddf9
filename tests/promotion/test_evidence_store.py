"""Reports in a folder and in a bucket: kept by content, read back newest first."""

import datetime
import itertools
from pathlib import Path

import pytest

from harness.aws import ANY, Aws
from harness.core.errors import InputError
from harness.promotion import evidence_store, signature
from harness.promotion.evidence_store import S3, EvidenceStore, Folder
from tests.promotion import cases

_numbers = itertools.count()
REGION = "us-west-2"


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EvidenceStore:
    if request.param == "folder":
        return Folder(tmp_path / "evidence")
    request.getfixturevalue("shim")
    aws, name = Aws(REGION, ANY), f"evidence-{next(_numbers)}"
    where = {"LocationConstraint": REGION}
    aws.ask("s3", "create_bucket", Bucket=name, CreateBucketConfiguration=where)
    return S3(aws, name)


def _file(folder: Path, **changes: object) -> Path:
    path = folder / "report.json"
    path.write_text(cases.load_report(**changes).model_dump_json())
    return path


def test_reports_come_back_newest_first_with_their_signatures(
    store: EvidenceStore, tmp_path: Path, key: Path
) -> None:
    old = evidence_store.add(store, "staging", _file(tmp_path), key)
    new = evidence_store.add(
        store, "staging", _file(tmp_path, started=cases.hours_ago(1).isoformat()), None
    )
    found = evidence_store.of(store, "staging", cases.DIGEST, "loadtest")
    assert [each.name for each in found] == [new.name, old.name]
    assert [each.signature is None for each in found] == [True, False]
    signers = signature.Signers(f"ada {key.with_suffix('.pub').read_text()}")
    now = datetime.datetime.now(datetime.UTC)
    assert signers.verify(found[1].text, str(found[1].signature), signature.EVIDENCE, now) == "ada"


def test_same_report_again_changes_nothing(store: EvidenceStore, tmp_path: Path, key: Path) -> None:
    first = evidence_store.add(store, "staging", _file(tmp_path), key)
    second = evidence_store.add(store, "staging", _file(tmp_path), key)
    assert first.name == second.name
    assert len(store.names("staging/")) == 2


def test_releases_environments_and_kinds_are_apart(store: EvidenceStore, tmp_path: Path) -> None:
    evidence_store.add(store, "staging", _file(tmp_path), None)
    smoke = tmp_path / "smoke.json"
    smoke.write_text(cases.smoke_text())
    evidence_store.add(store, "staging", smoke, None)
    for env, digest, kind, count in (
        ("staging", cases.DIGEST, "loadtest", 1),
        ("staging", cases.DIGEST, "smoke", 1),
        ("staging", "0" * 64, "loadtest", 0),
        ("production", cases.DIGEST, "loadtest", 0),
    ):
        assert len(evidence_store.of(store, env, digest, kind)) == count  # type: ignore[arg-type]


def test_what_is_not_there_reads_as_nothing(store: EvidenceStore) -> None:
    assert store.read("staging/none.json") is None
    assert store.names("staging/") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no report"),
        ("[]", "no report"),
        ("{}", "no report"),
        ('{"tests": []}', "no report"),
        (cases.load_report(release=None).model_dump_json(), "names no release digest"),
        (cases.smoke_text(release=None), "names no release digest"),
    ],
)
def test_what_proves_nothing_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(InputError, match=why):
        evidence_store.add(Folder(tmp_path / "evidence"), "staging", path, None)
    assert not (tmp_path / "evidence").exists()
