"""The webhook that Flagger asks at each step of a canary: are its answers the right ones?

    groups = known.collect(repository, "production")
    with gate.serving(groups, ("127.0.0.1", 8099)) as server:
        server.serve_forever()

The requests are the models' samples of `harness models build`, the answers those that are known of
them; no payload of a client is seen or kept. Where they go is the gate's own business: a caller
names a group, never an address.
"""

import socket
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, quote, urlsplit

from harness.canary.known import Groups, Models
from harness.canary.server import BAD_REQUEST, GOOD, LARGEST, WRONG, Handler, metadata
from harness.core.errors import HarnessError, UsageError
from harness.core.http_server import Request, Server
from harness.core.values import text
from harness.models import answer, record

_SECONDS = 30.0  # for one answer; Flagger itself waits 60 s for all of them
# Until every node knows where a pod is that has just got ready: Flagger asks at once.
_PATIENCE = 15.0
_POLL = 0.2

CANARY = "http://{group}-models-canary.torchserve.svc.cluster.local:8080"
"""The Service that Flagger makes for the canary of a group."""


def without_answers(groups: Groups) -> list[str]:
    """The models of which no correct answer is known, so that nothing could be decided."""
    return [name for models in groups.values() for name, samples in models.items() if not samples]


def wrong(url: str, models: Models) -> Iterator[str]:
    """What a server answers otherwise than it should, a sentence for each request."""
    server = record.Server(url, {}, _SECONDS)
    for name, samples in models.items():
        for sample in samples:
            path = f"/predictions/{quote(name, safe='')}"
            try:
                reply = server.ask(name, sample.body, sample.content_type)
            except HarnessError as error:
                yield f"{path}, asked for {sample.name}: no answer: {error.message}"
                continue
            if difference := answer.wrong_response(sample.expected, reply.status, reply.body):
                yield f"{path}, asked for {sample.name}: {difference}"


def serving(groups: Groups, address: tuple[str, int], url: str = CANARY) -> Server:
    """The webhook's server, which listens and does not answer yet.

    Args:
        groups: the samples of each one.
        address: where it listens.
        url: of a group's canary, with ``{group}`` for the group.
    """

    class Gate(Handler):
        """One question of Flagger's."""

        def question(self, request: Request) -> tuple[int, str]:
            return decide(groups, url, request.body(LARGEST))

        def state(self) -> str:
            return "asks what a canary answers\n"

    return Server(address, Gate)


def decide(groups: Groups, url: str, body: bytes, patience: float = _PATIENCE) -> tuple[int, str]:
    """The status and the text that Flagger gets for a question.

    Args:
        groups: the samples of each one.
        url: of a group's canary.
        body: the question.
        patience: seconds for the canary's address to answer.
    """
    try:
        group = text(metadata(body, groups), "group")
    except UsageError as error:
        return BAD_REQUEST, f"{error.message}\n"
    canary = url.format(group=group)
    _wait_for(canary, patience)
    faults = list(wrong(canary, groups[group]))
    count = sum(map(len, groups[group].values()))
    if faults:
        return WRONG, f"{len(faults)} of {count} answers are wrong: {faults[0]}\n"
    return GOOD, f"{count} correct answers\n"


def _wait_for(url: str, patience: float) -> None:
    """Wait until somebody listens there, or the time is over."""
    where, deadline = urlsplit(url), time.monotonic() + patience
    while time.monotonic() < deadline and not _is_listening(where):
        time.sleep(_POLL)


def _is_listening(where: SplitResult) -> bool:
    try:
        socket.create_connection((where.hostname or "", where.port or 80), _POLL).close()
    except OSError:
        return False
    return True
