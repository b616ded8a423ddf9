"""Where reports are kept: a folder, or an environment's bucket under ``evidence/``."""

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
from harness.promotion import evidence
from harness.promotion.evidence import Proof

_PREFIX = "evidence/"
_THERE = ("PreconditionFailed", "ConditionalRequestConflict")


class EvidenceStore(Protocol):
    """Texts by name; what has a name already is left as it is."""

    def put(self, name: str, text: str) -> None: ...
    def names(self, prefix: str) -> list[str]: ...
    def read(self, name: str) -> str | None:
        """A text; None of none.

        Raises:
            InputError: it is no text.
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
        found = (self.root / prefix).rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in found if path.is_file())

    def read(self, name: str) -> str | None:
        path = self.root / name
        return _decoded(name, path.read_bytes()) if path.is_file() else None


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
            if error.code not in _THERE:
                raise

    def names(self, prefix: str) -> list[str]:
        where = {"Bucket": self.name, "Prefix": _PREFIX + prefix}
        found = self.aws.list_all("s3", "list_objects_v2", "Contents", **where)
        return sorted(str(each["Key"]).removeprefix(_PREFIX) for each in found)

    def read(self, name: str) -> str | None:
        try:
            answer = self.aws.read("s3", "get_object", Bucket=self.name, Key=_PREFIX + name)
        except AwsError as error:
            if error.code == "NoSuchKey":
                return None
            raise
        return _decoded(name, answer["Body"].read())


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8") from error


def find(repository: Repository, env: str, folder: Path | None = None) -> EvidenceStore:
    """The evidence store of an environment: its bucket, unless a folder is told.

    Raises:
        InputError: the environment has no bucket.
    """
    if folder:
        return Folder(folder)
    bucket = push.find(repository, env)
    return S3(bucket.aws, bucket.name)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store has of one kind and release.

    Attributes:
        proofs: the reports, the newest first.
        unreadable: what lies there and is no report, a line each: it stops nothing, and is told.
    """

    proofs: Sequence[Proof]
    unreadable: Sequence[str]


def add(store: EvidenceStore, env: str, report: Path, key: Path | None, signers: Signers) -> Proof:
    """Put a report into the store, with a signature where there is a key.

    Args:
        store: where to.
        env: what the report is about.
        report: the file.
        key: signs it; None: it is kept without a signature.
        signers: who may sign. What they would not verify is never put into the store.

    Raises:
        InputError: it is no report, names no release digest, or the key may not sign reports.
        HarnessError: the key cannot sign.
    """
    try:
        text = report.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", at=report) from error
    name = evidence.file_name(env, evidence.read(text, str(report)))
    if key is None:
        store.put(name, text)
        return evidence.read(text, name)
    with signature.kept(key) as path:
        signers.require(path, signature.EVIDENCE, datetime.datetime.now(datetime.UTC))
        signed = signature.sign(text, path, signature.EVIDENCE)
    # The signature first: a report must not be seen without it.
    store.put(evidence.signature_name(name, signed), signed)
    store.put(name, text)
    return evidence.read(text, name, [signed])


def of(store: EvidenceStore, env: str, digest: str, kind: Kind) -> Kept:
    """The reports of a release."""
    prefix = f"{env}/{digest}/"
    names = store.names(prefix)
    proofs: list[Proof] = []
    unreadable: list[str] = []
    for name in names:
        if not (name.startswith(f"{prefix}{kind}-") and name.endswith(".json")):
            continue
        signed = [each for each in names if each.startswith(name) and each.endswith(SIGNATURE)]
        signatures: list[str] = []
        for each in signed:
            with _named(unreadable):
                signatures.append(store.read(each) or "")
        with _named(unreadable):
            proofs.append(evidence.read(store.read(name) or "", name, signatures))
    return Kept(sorted(proofs, key=_started, reverse=True), unreadable)


@contextlib.contextmanager
def _named(unreadable: list[str]) -> Iterator[None]:
    """What cannot be read is put on the list, and the rest goes on."""
    try:
        yield
    except InputError as error:
        unreadable.append(error.message)


def _started(proof: Proof) -> datetime.datetime:
    return proof.started
