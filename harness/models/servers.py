"""What an address holds, and its bytes from any offset on: https, S3, a model hub, and others.

Credentials come from where each library looks for them (``HF_TOKEN``, ``AWS_PROFILE``,
``AWS_ENDPOINT_URL``, ``~/.netrc``, …) and reach no message. Addresses that neither boto3 nor
huggingface_hub knows are fsspec's: gs:// needs gcsfs, az:// adlfs, in this Python environment.
"""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import requests

from harness.aws import ANY, Aws, AwsError
from harness.core.errors import HarnessError, InputError

_CONNECT, _STALL = 10.0, 60.0  # s for an answer; s without a byte until a download counts as broken
_CHUNK = 1 << 20  # bytes
_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}
_ACCOUNTS = {
    "gcsfs": "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
    "adlfs": "AZURE_STORAGE_ACCOUNT_NAME with a key, or AZURE_STORAGE_CONNECTION_STRING",
}
_GONE, _CLOSED = (404, 410), (401, 403)

Read = Callable[[int], tuple[int, Iterator[bytes]]]
"""Reads a file from an offset on; returns the offset where it does start, and the bytes."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a server.

    Attributes:
        name: its path below the address, or its name if the address is one file.
        size: bytes, if the server says so.
        state: what changes with its content, so that two halves are of one file.
        read: how to get it.
    """

    name: str
    size: int | None
    state: str
    read: Read = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies at an address."""

    files: tuple[RemoteFile, ...]
    is_folder: bool = False
    revision: str = ""
    license: str = ""


def look(address: str, revision: str = "") -> Listing:
    """What lies at an address; ``revision`` is the state of it that was pinned, if one was.

    Raises:
        InputError: there is nothing.
        HarnessError: it cannot be reached from here, or needs a token or a package.
    """
    scheme = address.partition("://")[0]
    if scheme in ("http", "https"):
        return Listing((_web_file(address, {}),))
    if scheme == "s3":
        return _bucket(address)
    if scheme == "hf":
        return _hub(address, revision)
    return _other(address, scheme)


def _web_file(url: str, headers: dict[str, str], name: str = "") -> RemoteFile:
    with _get(url, headers) as response:
        length = response.headers.get("Content-Length")
        state = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        encoded = "Content-Encoding" in response.headers
    size = int(length) if length and not encoded else None
    name = name or PurePosixPath(unquote(urlsplit(url).path)).name
    if not name:
        raise InputError(f"{url}: names no file")

    def read(offset: int) -> tuple[int, Iterator[bytes]]:
        part = {"Range": f"bytes={offset}-", "If-Range": state} if offset and state else {}
        answer = _get(url, {**headers, **part})
        return (offset if answer.status_code == 206 else 0), _steady(answer.iter_content(_CHUNK))

    return RemoteFile(name, size, state, read)


def _steady(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes; whatever a library raises when they end too early is a ConnectionError."""
    try:
        yield from chunks
    except Exception as error:
        raise ConnectionError(str(error)) from error


def _get(url: str, headers: dict[str, str]) -> requests.Response:
    try:
        response = requests.get(
            url,
            headers={"Accept-Encoding": "identity", **headers},
            stream=True,
            timeout=(_CONNECT, _STALL),
        )
    except requests.RequestException as error:
        reason = "no answer" if isinstance(error, requests.Timeout) else "no connection"
        raise HarnessError(f"{url}: {reason} from this machine") from error
    if response.ok:
        return response
    response.close()
    if response.status_code in _GONE:
        raise InputError(f"{url}: not there (HTTP {response.status_code})")
    hint = "it needs a login: ~/.netrc holds those" if response.status_code in _CLOSED else ""
    raise HarnessError(f"{url}: HTTP {response.status_code} {response.reason}", hint=hint)


def _bucket(address: str) -> Listing:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    aws = Aws(
        os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), ANY
    )

    def file(name: str, path: str, size: int, etag: str) -> RemoteFile:
        def read(offset: int) -> tuple[int, Iterator[bytes]]:
            part = {"Range": f"bytes={offset}-"} if offset else {}
            answer = aws.read("s3", "get_object", Bucket=bucket, Key=path, IfMatch=etag, **part)
            return offset, _steady(answer["Body"].iter_chunks(_CHUNK))

        return RemoteFile(name, size, etag, read)

    try:
        about = aws.read("s3", "head_object", Bucket=bucket, Key=key) if key else None
    except AwsError as error:
        if error.code not in ("404", "NoSuchKey", "NotFound"):
            raise
        about = None
    if about and not key.endswith("/"):
        name = PurePosixPath(key).name
        only = file(name, key, about["ContentLength"], about["ETag"])
        return Listing((only,), revision=about.get("VersionId", ""))
    prefix = f"{key.rstrip('/')}/" if key else ""
    objects = aws.list_all("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
    files = tuple(
        file(each["Key"].removeprefix(prefix), each["Key"], each["Size"], each["ETag"])
        for each in objects
        if not each["Key"].endswith("/")
    )
    if not files:
        raise InputError(f"{address}: no such object, and none below it")
    return Listing(files, is_folder=True)


def _hub(address: str, revision: str) -> Listing:
    """hf://owner/name, hf://owner/name@revision, and either with /path of a file or folder."""
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    owner, _, rest = address.removeprefix("hf://").partition("/")
    name, _, path = rest.partition("/")
    name, _, branch = name.partition("@")
    repository = f"{owner}/{name}"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    token = os.environ.get("HF_TOKEN") or False
    closed = HarnessError(
        f"{address}: closed, or not there",
        hint=f"accept its terms at {endpoint}/{repository}, and set HF_TOKEN to your token",
    )
    try:
        about = HfApi(endpoint=endpoint, token=token).model_info(
            repository, revision=revision or branch or None, files_metadata=True, timeout=_STALL
        )
    except RevisionNotFoundError as error:
        raise InputError(f"{address}: no revision {revision or branch}") from error
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise closed from error
    except HfHubHTTPError as error:
        raise HarnessError(f"{address}: HTTP {error.response.status_code}") from error
    except Exception as error:  # of its transport, which is its own affair
        raise HarnessError(f"{address}: no connection from this machine") from error
    commit = about.sha or ""
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def file(inner: str, sibling: str, size: int | None) -> RemoteFile:
        url = hf_hub_url(repository, sibling, revision=commit, endpoint=endpoint)

        def read(offset: int) -> tuple[int, Iterator[bytes]]:
            part = {"Range": f"bytes={offset}-"} if offset else {}
            answer = _get(url, {**headers, **part})
            start = offset if answer.status_code == 206 else 0
            return start, _steady(answer.iter_content(_CHUNK))

        return RemoteFile(inner, size, f"{commit} {sibling}", read)

    siblings = about.siblings or []
    license_name = str(about.card_data.license or "") if about.card_data else ""
    whole = [each for each in siblings if each.rfilename == path]
    prefix = f"{path.rstrip('/')}/" if path else ""
    below = [each for each in siblings if each.rfilename.startswith(prefix)]
    if not (whole or below):
        raise InputError(f"{address}: the repository has no {path}")
    files = (
        [file(PurePosixPath(path).name, path, whole[0].size)]
        if whole
        else [
            file(each.rfilename.removeprefix(prefix), each.rfilename, each.size) for each in below
        ]
    )
    return Listing(tuple(files), not whole, commit, license_name)


def _other(address: str, scheme: str) -> Listing:
    import fsspec

    logging.getLogger("gcsfs").setLevel(logging.ERROR)  # what it tries before it works
    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        package = _PACKAGES.get(scheme, "")
        hint = f"`.venv/bin/uv pip install {package}`: it is not locked, so each machine needs it"
        raise HarnessError(
            f"{address}: {package or 'a package of fsspec'} is not installed",
            hint=hint if package else "fsspec's documentation names the package of each address",
        ) from error
    try:
        system, path = fsspec.url_to_fs(address)
        is_folder = system.isdir(path)
        infos = system.find(path, detail=True) if is_folder else {path: system.info(path)}
    except FileNotFoundError as error:
        raise InputError(f"{address}: not there") from error
    except Exception as error:  # each of fsspec's packages has its own
        hint = _ACCOUNTS.get(_PACKAGES.get(scheme, ""), "")
        raise HarnessError(f"{address}: {type(error).__name__}: {error}", hint=hint) from error
    if not infos:
        raise InputError(f"{address}: no file is below it")

    def file(path_there: str, about: dict[str, object]) -> RemoteFile:
        def read(offset: int) -> tuple[int, Iterator[bytes]]:
            stream = system.open(path_there, "rb")
            stream.seek(offset)
            return offset, _steady(iter(lambda: stream.read(_CHUNK), b""))

        name = path_there.removeprefix(f"{path.rstrip('/')}/") if is_folder else ""
        state = str(system.ukey(path_there))
        size = about.get("size")
        known = size if isinstance(size, int) else None
        return RemoteFile(name or PurePosixPath(path_there).name, known, state, read)

    return Listing(tuple(file(path, about) for path, about in infos.items()), is_folder)
