"""Where reports are kept: a folder, or an environment's bucket under ``evidence/``."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.aws import Aws, AwsError, Call
from harness.core import files
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.promotion import evidence, signature
from harness.promotion.evidence import SIGNATURE, Kind, Proof
from harness.store import push

_PREFIX = "evidence/"
_THERE = ("PreconditionFailed", "ConditionalRequestConflict")


class EvidenceStore(Protocol):
    """Texts by name; what has a name already is left as it is."""

    def put(self, name: str, text: str) -> None: ...
    def names(self, prefix: str) -> list[str]: ...
    def read(self, name: str) -> str | None: ...


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
        return path.read_text() if path.is_file() else None


@dataclass(frozen=True, slots=True)
class S3:
    """An evidence store in S3."""

    aws: Aws
    name: str

    def put(self, name: str, text: str) -> None:
        where = {"Bucket": self.name, "Key": _PREFIX + name, "IfNoneMatch": "*"}
        body = {"Body": text.encode(), "ChecksumAlgorithm": "SHA256"}
        try:
            self.aws.call(Call("s3", "put_object", {**where, **body}))
        except AwsError as error:
            if error.code not in _THERE:
                raise

    def names(self, prefix: str) -> list[str]:
        where = {"Bucket": self.name, "Prefix": _PREFIX + prefix}
        found = self.aws.every("s3", "list_objects_v2", "Contents", **where)
        return sorted(str(each["Key"]).removeprefix(_PREFIX) for each in found)

    def read(self, name: str) -> str | None:
        try:
            answer = self.aws.ask("s3", "get_object", Bucket=self.name, Key=_PREFIX + name)
        except AwsError as error:
            if error.code == "NoSuchKey":
                return None
            raise
        return str(answer["Body"].read().decode())


def find(repository: Repository, env: str, folder: Path | None = None) -> EvidenceStore:
    """The evidence store of an environment: its bucket, unless a folder is told.

    Raises:
        InputError: the environment has no bucket.
    """
    if folder:
        return Folder(folder)
    bucket = push.find(repository, env)
    return S3(bucket.aws, bucket.name)


def add(store: EvidenceStore, env: str, report: Path, key: Path | None) -> Proof:
    """Put a report into the store, with a signature where there is a key.

    Raises:
        InputError: it is no report, or names no release digest.
        HarnessError: the key cannot sign.
    """
    try:
        text = report.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", at=report) from error
    name = evidence.file_name(env, evidence.read(text, str(report)))
    signed = signature.sign(text, key, signature.EVIDENCE) if key else None
    # The signature first: a report must not be seen without it.
    if signed:
        store.put(name + SIGNATURE, signed)
    store.put(name, text)
    return evidence.read(text, name, signed)


def of(store: EvidenceStore, env: str, digest: str, kind: Kind) -> list[Proof]:
    """The reports of a release, the newest first."""
    return sorted(_of(store, f"{env}/{digest}/{kind}-"), key=_started, reverse=True)


def _of(store: EvidenceStore, prefix: str) -> Iterator[Proof]:
    folder, _, _ = prefix.rpartition("/")
    for name in store.names(f"{folder}/"):
        if name.startswith(prefix) and name.endswith(".json"):
            text = store.read(name)
            if text is not None:
                yield evidence.read(text, name, store.read(name + SIGNATURE))


def _started(proof: Proof) -> datetime.datetime:
    return proof.started
