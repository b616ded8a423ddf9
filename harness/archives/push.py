"""An environment's bucket, and how model archives get into it, whole and once.

Each goes up in parts, each part with its SHA-256, which S3 checks. A push that was killed goes on
with the parts that are missing. S3 completes an object under a name only where there is none yet.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.aws import Aws, AwsError
from harness.core import files
from harness.core.console import Update
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models.lock import LockedModel
from harness.settings import site

PART = 16 << 20
"""Bytes of a part: S3 takes 5 MiB to 5 GiB, and 10,000 parts, so archives of up to 160 GB."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the archives go."""

    aws: Aws
    name: str

    def push(self, path: Path, locked: LockedModel, update: Update) -> bool:
        """Upload an archive.

        Returns:
            False if it already existed.

        Raises:
            InputError: the file does not match the lock, or S3 has different content.
            AwsError: S3 refused.
        """
        if not path.is_file() and self.has(locked):
            return False  # an older version, say, that was built and pushed elsewhere
        if not path.is_file() or files.sha256(path) != locked.sha256:
            raise InputError(
                f"not the archive with sha256 {locked.sha256}",
                at=path,
                hint="build what models/lock.yaml names: harness models build; harness models lock",
            )
        if self.has(locked):
            return False
        upload = self._upload(locked)
        known = {part["PartNumber"]: part for part in self._parts(locked, upload)}
        parts = []
        for number, chunk in _chunks(path):
            checksum = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
            part: Mapping[str, Any] | None = known.get(number)
            if not part or part.get("ChecksumSHA256") != checksum:
                part = self.aws.call(
                    "s3", "upload_part", **self._key(locked), UploadId=upload, PartNumber=number,
                    Body=chunk, ChecksumSHA256=checksum,
                )  # fmt: skip
            parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": checksum})
            update(f"{min(number * PART, locked.size) / locked.size:.0%} of {locked.mar}")
        return self._complete(locked, upload, parts)

    def has(self, locked: LockedModel) -> bool:
        """Return whether the bucket has the archive.

        Raises:
            InputError: S3 has different content under its name.
            AwsError: S3 refused.
        """
        try:
            head = self.aws.read("s3", "head_object", **self._key(locked))
        except AwsError as error:
            if error.code in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        sha256 = head["Metadata"].get("sha256")
        if (sha256, head["ContentLength"]) != (locked.sha256, locked.size):
            raise InputError(
                f"s3://{self.name}/{locked.mar} has different content "
                f"(sha256 {sha256 or 'unknown'}, {head['ContentLength']:,} bytes); "
                "archives are never overwritten",
                hint="give the model another version",
            )
        return True

    def fetch(self, locked: LockedModel, path: Path) -> None:
        """Download the archive.

        Raises:
            InputError: the content in S3 does not match the lock.
            AwsError: S3 refused.
        """
        digest = hashlib.sha256()
        with files.replacing(path) as file:
            body = self.aws.read("s3", "get_object", **self._key(locked))["Body"]
            for chunk in body.iter_chunks(PART):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != locked.sha256:
                raise InputError(f"s3://{self.name}/{locked.mar} has not sha256 {locked.sha256}")

    def _upload(self, locked: LockedModel) -> str:
        """The upload that an earlier push began, or a new one."""
        uploads = self.aws.list_all(
            "s3", "list_multipart_uploads", "Uploads", Bucket=self.name, Prefix=locked.mar
        )
        ids = [each["UploadId"] for each in uploads if each["Key"] == locked.mar]
        if ids:
            return str(ids[-1])
        response = self.aws.call(
            "s3", "create_multipart_upload", **self._key(locked), ChecksumAlgorithm="SHA256",
            Metadata={"sha256": locked.sha256},
        )  # fmt: skip
        return str(response["UploadId"])

    def _parts(self, locked: LockedModel, upload: str) -> list[dict[str, Any]]:
        return self.aws.list_all("s3", "list_parts", "Parts", **self._key(locked), UploadId=upload)

    def _complete(self, locked: LockedModel, upload: str, parts: list[dict[str, object]]) -> bool:
        try:
            self.aws.call(
                "s3", "complete_multipart_upload", **self._key(locked), UploadId=upload,
                IfNoneMatch="*", MultipartUpload={"Parts": parts},
            )  # fmt: skip
        except AwsError as error:
            # Another push was faster: then it has to be the same content.
            if error.code in ("PreconditionFailed", "NoSuchUpload") and self.has(locked):
                return False
            raise
        return True

    def _key(self, locked: LockedModel) -> dict[str, str]:
        return {"Bucket": self.name, "Key": locked.mar}


def find(repository: Repository, env: str) -> Bucket:
    """The bucket that an environment's site.yaml names.

    Raises:
        InputError: it names none yet.
    """
    repository.cluster(env)
    known = {each.name: each for each in site.read(repository, env)}
    bucket = known.get("MODEL_BUCKET")
    if not bucket or bucket.value == site.UNSET:
        raise InputError(
            f"{env} has no MODEL_BUCKET",
            at=bucket.at if bucket else None,
            hint=f"harness init --env {env} MODEL_BUCKET=…",
        )
    return Bucket(site.aws(repository, env), bucket.value)


def _chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 1
        while chunk := file.read(PART):
            yield number, chunk
            number += 1
