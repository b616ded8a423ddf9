"""Reads objects in pieces from S3, or from another service that speaks it.

Credentials come by boto3's own chain: on EKS from Pod Identity, elsewhere from AWS_ACCESS_KEY_ID
and AWS_SECRET_ACCESS_KEY (for gs:// the HMAC keys of Google's interoperability).
AWS_ENDPOINT_URL_S3 is the other service.
"""

import os
import urllib.parse
from collections.abc import Iterator
from typing import Any

import boto3.session
import botocore.exceptions
from botocore.config import Config

from . import SyncError
from .store import File

_GOOGLE = "https://storage.googleapis.com"
_CHUNK = 1 << 20  # bytes: what is in memory of an archive, however large it is
_IDLE = 5  # lost connections in a row, without a byte between them, that are one too many
_LOST = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
)
_REASONS = {
    # S3 says this of an object that does not exist, too, to a role that may not list the bucket.
    "AccessDenied": "most likely it was never pushed: `make models-push`; else the Job's Pod "
    "Identity role may not read it",
    "NoSuchBucket": "bucket not found",
    "NoSuchKey": "it was never pushed: `harness models push`",
    "RequestTimeTooSkewed": "the clock of this node is off by more than 5 minutes",
}


class Bucket:
    """A bucket, or a folder of one."""

    def __init__(self, source: str) -> None:
        url = urllib.parse.urlsplit(source)
        if url.scheme not in ("s3", "gs") or not url.netloc:
            raise SyncError(f"--source is {source!r}, not s3://bucket or gs://bucket")
        self._scheme = url.scheme
        self._bucket = url.netloc
        self._prefix = f"{url.path.strip('/')}/" if url.path.strip("/") else ""
        other = url.scheme == "gs" or "AWS_ENDPOINT_URL_S3" in os.environ
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 5},
            read_timeout=30,
            # Others do not know AWS's checksums, nor names of buckets as hosts; each archive is
            # compared with its SHA-256 anyway.
            response_checksum_validation="when_required" if other else "when_supported",
            s3={"addressing_style": "path" if other else "auto"},
        )
        self._client: Any = boto3.session.Session().client(
            # boto3 by itself reads AWS_DEFAULT_REGION alone.
            "s3",
            region_name=os.environ.get("AWS_REGION") or ("us-east-1" if other else None),
            endpoint_url=os.environ.get(
                "AWS_ENDPOINT_URL_S3", _GOOGLE if url.scheme == "gs" else None
            ),
            config=config,
        )

    def read(self, file: File) -> Iterator[bytes]:
        """The object, a piece at a time; goes on where a connection was lost.

        Raises:
            SyncError: not found, not readable, of another size, or cannot be read to its end.
        """
        offset = idle = 0
        etag = ""
        while offset < file.size:
            before = offset
            try:
                response = self._open(file, offset, etag)
                etag = response["ETag"]
                for chunk in iter(lambda: response["Body"].read(_CHUNK), b""):  # noqa: B023
                    offset += len(chunk)
                    yield chunk
            except _LOST as error:
                idle = 0 if offset > before else idle + 1
                if idle == _IDLE:
                    raise SyncError(f"{self._url(file)}: lost again and again: {error}") from error

    def _open(self, file: File, offset: int, etag: str) -> dict[str, Any]:
        # The same object to the end: another one under this name would answer 412.
        conditions = {"Range": f"bytes={offset}-", "IfMatch": etag} if offset else {}
        try:
            response: dict[str, Any] = self._client.get_object(
                Bucket=self._bucket, Key=f"{self._prefix}{file.name}", **conditions
            )
        except botocore.exceptions.ClientError as error:
            details = error.response["Error"]
            reason = _REASONS.get(details.get("Code", ""), details.get("Message", ""))
            raise SyncError(f"{self._url(file)}: {details.get('Code')}: {reason}") from error
        except botocore.exceptions.NoCredentialsError as error:
            raise SyncError("no credentials: is there a Pod Identity association?") from error
        if response["ContentLength"] != file.size - offset:
            size = response["ContentLength"] + offset
            raise SyncError(f"{self._url(file)}: {size} bytes where {file.size} are expected")
        return response

    def _url(self, file: File) -> str:
        return f"{self._scheme}://{self._bucket}/{self._prefix}{file.name}"
