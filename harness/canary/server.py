"""What gate and shadow answer over HTTP: Flagger's questions, in its words.

Flagger sends ``{"name", "namespace", "phase", "metadata": {"group"}}`` and reads the status: 200
goes on, anything else counts as a failed check, and its text becomes an event of the Canary.
https://docs.flagger.app/usage/webhooks
"""

import json
from collections.abc import Container

from harness.core import http_server
from harness.core.errors import UsageError
from harness.core.http_server import Reply, Request
from harness.core.values import Value, mapping, text

GOOD, BAD_REQUEST, NO_METHOD, WRONG = 200, 400, 405, 417

LARGEST = 1 << 16
"""Bytes that a question may have; Flagger's have some hundred."""


def metadata(body: bytes, groups: Container[str]) -> Value:
    """What the Canary says of itself in a question; ``group`` is among it.

    Raises:
        UsageError: it is not a question of Flagger's, or its group is none of these.
    """
    try:
        about = mapping(json.loads(body), "metadata")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not a question of Flagger's: {error}") from error
    if (group := text(about, "group")) not in groups:
        raise UsageError(f"there is no group {group!r} here")
    return about


class Handler(http_server.Handler):
    """Answers with text, and keeps the connection: the gateway sends many requests."""

    def question(self, request: Request) -> tuple[int, str]:
        """The answer to a POST: a status and its text."""
        raise NotImplementedError

    def state(self) -> str:
        """The answer to a GET: the server is there."""
        raise NotImplementedError

    def answer(self, request: Request) -> Reply:
        """What a subclass says."""
        if request.method == "POST":
            status, text = self.question(request)
        elif request.method in ("GET", "HEAD"):
            status, text = GOOD, self.state()
        else:
            status, text = NO_METHOD, f"no {request.method} here\n"
        return Reply(status, text.encode())
