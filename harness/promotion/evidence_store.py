"""The store of reports: a folder, or an environment's bucket under ``evidence/``."""

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.archives import push
from harness.attestation import signature
from harness.attestation.pointer import SIGNATURE
from harness.attestation.record import Kind
from harness.attestation.signature import Signers
from harness.aws import Aws, AwsError
from harness.core import files
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.promotion import report_file
from harness.promotion.report_file import Proof

_PREFIX = "evidence/"
_EXISTS = ("PreconditionFailed", "ConditionalRequestConflict")


class EvidenceStore(Protocol):
    """Texts by name; an existing name is never overwritten."""

    def put(self, name: str, text: str) -> None: ...
    def names(self, prefix: str) -> list[str]: ...
    def read(self, name: str) -> str | None:
        """A text, or None if not found.

        Raises:
            InputError: it is not text.
        """
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """An evidence store on disk."""

    root: Path

    def put(self, name: str, text: str) -> None:
        if not (self.root / name).exists():
            files.write(self.root / name, text)

    def names(self, prefix: str) -> list[str]:
        paths = (self.root / prefix).rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in paths if path.is_file())

    def read(self, name: str) -> str | None:
        path = self.root / name
        return _decode(name, path.read_bytes()) if path.is_file() else None


@dataclass(frozen=True, slots=True)
class S3:
    """An evidence store in S3."""

    aws: Aws
    name: str

    def put(self, name: str, text: str) -> None:
        where = {"Bucket": self.name, "Key": _PREFIX + name, "IfNoneMatch": "*"}
        body = {"Body": text.encode(), "ChecksumAlgorithm": "SHA256"}
        try:
            self.aws.call("s3", "put_object", **where, **body)
        except AwsError as error:
            if error.code not in _EXISTS:
                raise

    def names(self, prefix: str) -> list[str]:
        where = {"Bucket": self.name, "Prefix": _PREFIX + prefix}
        objects = self.aws.list_all("s3", "list_objects_v2", "Contents", **where)
        return sorted(str(each["Key"]).removeprefix(_PREFIX) for each in objects)

    def read(self, name: str) -> str | None:
        try:
            response = self.aws.read("s3", "get_object", Bucket=self.name, Key=_PREFIX + name)
        except AwsError as error:
            if error.code == "NoSuchKey":
                return None
            raise
        return _decode(name, response["Body"].read())


def _decode(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8") from error


def find(repository: Repository, env: str, folder: Path | None = None) -> EvidenceStore:
    """The evidence store of an environment: by default its bucket, or a folder.

    Raises:
        InputError: the environment has no bucket.
    """
    if folder:
        return Folder(folder)
    bucket = push.find(repository, env)
    return S3(bucket.aws, bucket.name)


@dataclass(frozen=True, slots=True)
class StoredReports:
    """What a store has of one kind and release.

    Attributes:
        proofs: the reports, the newest first.
        unreadable: files that are not reports, a line each: they stop nothing, and are reported.
    """

    proofs: Sequence[Proof]
    unreadable: Sequence[str]


def add(store: EvidenceStore, env: str, report: Path, key: Path | None, signers: Signers) -> Proof:
    """Put a report into the store, with a signature if there is a key.

    Args:
        store: where it goes.
        env: what the report is about.
        report: the file.
        key: signs it; without one it is stored unsigned.
        signers: who may sign. What they would not verify is never stored.

    Raises:
        InputError: it is not a report, names no release digest, or the key may not sign reports.
        HarnessError: the key cannot sign.
    """
    try:
        text = report.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", at=report) from error
    name = report_file.file_name(env, report_file.read(text, str(report)))
    if key is None:
        store.put(name, text)
        return report_file.read(text, name)
    with signature.reusable(key) as path:
        signers.require(path, signature.EVIDENCE, datetime.datetime.now(datetime.UTC))
        signed = signature.sign(text, path, signature.EVIDENCE)
    # The signature first: no reader may find the report without it.
    store.put(report_file.signature_name(name, signed), signed)
    store.put(name, text)
    return report_file.read(text, name, [signed])


def of(store: EvidenceStore, env: str, digest: str, kind: Kind) -> StoredReports:
    """The reports of a release."""
    prefix = f"{env}/{digest}/"
    names = store.names(prefix)
    proofs: list[Proof] = []
    unreadable: list[str] = []
    for name in names:
        if not (name.startswith(f"{prefix}{kind}-") and name.endswith(".json")):
            continue
        signatures: list[str] = []
        for each in names:
            if each.startswith(name) and each.endswith(SIGNATURE):
                with _collecting(unreadable):
                    signatures.append(store.read(each) or "")
        with _collecting(unreadable):
            proofs.append(report_file.read(store.read(name) or "", name, signatures))
    return StoredReports(sorted(proofs, key=_start_time, reverse=True), unreadable)


@contextlib.contextmanager
def _collecting(unreadable: list[str]) -> Iterator[None]:
    """Append what cannot be read to the list, and go on."""
    try:
        yield
    except InputError as error:
        unreadable.append(error.message)


def _start_time(proof: Proof) -> datetime.datetime:
    return proof.started
