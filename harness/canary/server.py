"""What gate and shadow answer over HTTP: Flagger's questions, in its words.

Flagger sends ``{"name", "namespace", "phase", "metadata": {"group"}}`` and reads the status: 200
goes on, anything else counts as a failed check, and its text becomes an event of the Canary.
https://docs.flagger.app/usage/webhooks
"""

import json
from collections.abc import Container
from http.server import BaseHTTPRequestHandler

from harness.core.errors import UsageError
from harness.core.values import Value, mapping, text

GOOD, BAD_REQUEST, WRONG = 200, 400, 417

LARGEST = 1 << 16
"""Bytes of a question that are read; Flagger's have some hundred."""


def metadata(body: bytes, groups: Container[str]) -> Value:
    """What the Canary says of itself in a question; ``group`` is among it.

    Raises:
        UsageError: it is no question of Flagger's, or its group is none of these.
    """
    try:
        about = mapping(json.loads(body[:LARGEST]), "metadata")
    except ValueError as error:
        raise UsageError(f"not a question of Flagger's: {error}") from error
    if (group := text(about, "group")) not in groups:
        raise UsageError(f"there is no group {group!r} here")
    return about


class Handler(BaseHTTPRequestHandler):
    """Answers with text, and keeps the connection: the gateway sends many requests."""

    protocol_version = "HTTP/1.1"

    def question(self) -> tuple[int, str]:
        """The answer to a POST: a status and its text."""
        raise NotImplementedError

    def state(self) -> str:
        """The answer to a GET: the server is there."""
        raise NotImplementedError

    def do_POST(self) -> None:
        self._say(*self.question())

    def do_GET(self) -> None:
        self._say(GOOD, self.state())

    def content(self, most: int | None = None) -> bytes:
        """The request's body; of a longer one its first bytes, and the connection then ends."""
        length = int(self.headers.get("Content-Length", 0))
        if most is not None and length > most:
            self.close_connection, length = True, most
        return self.rfile.read(length)

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
