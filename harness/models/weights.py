"""Published weights, downloaded once; quickly given up where there is no way to them."""

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from harness.core import files
from harness.core.errors import HarnessError

_PATIENCE = 4.0  # s for the first byte: an offline machine must not make anybody wait
_STALL = 15.0  # s without a byte until a download counts as broken
_CHUNK = 1 << 20  # bytes: what is in memory of a file, however large it is
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # PyTorch's: squeezenet1_1-b8a52dc0.pth


class UnreachableError(HarnessError):
    """The weights cannot be downloaded from this machine."""


def fetch(url: str, folder: Path) -> Path:
    """The file behind ``url``, from ``folder`` if it was downloaded before.

    Raises:
        UnreachableError: the server does not answer within seconds, or what came is not the file.
    """
    path = folder / url.rpartition("/")[2]
    if not path.is_file():
        try:
            response = _open(url)
        except (OSError, ValueError) as error:
            raise UnreachableError(f"{url}: {error}") from error
        with response, files.replacing(path) as target:
            for piece in _pieces(url, response):
                target.write(piece)
    expected = _HASH_IN_NAME.search(path.name)
    if expected and not files.sha256(path).startswith(expected[1]):
        path.unlink()
        raise UnreachableError(f"{url}: what came does not fit the checksum in its name")
    return path


def _pieces(url: str, response: HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := response.read(_CHUNK):
            yield piece
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"{url}: {error}") from error


def _open(url: str) -> HTTPResponse:
    """Open ``url`` in a thread: looking up a name has no timeout of its own."""
    outcome: list[HTTPResponse | Exception] = []

    def request() -> None:
        try:
            # The address comes from torchvision, through a name that model.yaml holds.
            outcome.append(urllib.request.urlopen(url, timeout=_STALL))  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()
            outcome.append(error)
        except (OSError, HTTPException, ValueError) as error:
            outcome.append(error)

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    if not outcome:
        raise TimeoutError(f"no answer within {_PATIENCE:g} s")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
