"""Requests to the API server: by way of the official client, again while the server is starting."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import urllib3
from kubernetes import client

from harness.core.errors import HarnessError
from harness.core.values import Value, text

FAULTS = (urllib3.exceptions.HTTPError, OSError)
"""What a connection may raise while its response is read."""

RETRY_PAUSE = 0.2
"""Seconds between requests to an API server that does not answer."""

_BUSY = (429, 500, 503, 504)  # the responses of a server while it, or its etcd, is starting
_RETRY_WINDOW = 15.0  # seconds that a start may take; it takes five


class UnreachableError(HarnessError):
    """The API server does not answer."""


class ApiError(HarnessError):
    """The API server refused a request. ``status`` is the HTTP code, ``body`` its Status."""

    def __init__(self, status: int, body: Value, request: str) -> None:
        self.status = status
        self.body = body
        super().__init__(f"{request}: {status} {text(body, 'message') or text(body, 'reason')}")


@dataclass(frozen=True, slots=True)
class Transport:
    """The way to one API server."""

    client: client.ApiClient

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Value:
        """Send a request, and return the object that comes back.

        Raises:
            ApiError: the API server refused it.
            UnreachableError: it does not answer, and still does not after some seconds.
        """
        deadline = time.monotonic() + _RETRY_WINDOW
        while True:
            try:
                with self.open(method, path, body, query, content_type) as response:
                    return cast("Value", json.loads(response.read()))
            except (*FAULTS, UnreachableError, ApiError) as error:
                # A starting server gets the request again, but no POST, which might create twice.
                busy = not isinstance(error, ApiError) or error.status in _BUSY
                if not busy or method == "POST" or time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_PAUSE)

    def open(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        seconds: float = 30,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request once, and return its response unread; ``seconds`` pass between two parts.

        Raises:
            ApiError: the API server refused it.
            UnreachableError: it does not answer.
        """
        headers = {"Accept": "application/json", "Content-Type": content_type}
        settings = self.client.configuration
        if token := settings.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers["Authorization"] = token
        address = settings.host + path
        if query:
            address += "?" + "&".join(f"{key}={value}" for key, value in query.items())
        try:
            response: urllib3.BaseHTTPResponse = self.client.rest_client.pool_manager.request(
                method,
                address,
                body=None if body is None else json.dumps(body),
                headers=headers,
                preload_content=False,
                retries=False,
                timeout=urllib3.Timeout(connect=3, read=seconds),
            )
        except FAULTS as error:
            raise UnreachableError(f"{settings.host} does not answer: {error}") from error
        if response.status >= 400:
            body_text = response.read()
            response.release_conn()
            raise ApiError(response.status, _status(body_text), f"{method} {path}")
        return response


def lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The lines of a response, each when it is there: a watch has one for each event."""
    rest = b""
    for chunk in response.stream(1 << 16, decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _status(body: bytes) -> Value:
    try:
        return cast("Value", json.loads(body))
    except ValueError:
        return {"message": body.decode(errors="replace")[:500]}
