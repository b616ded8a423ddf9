"""The webhook that Flagger asks at each step of a canary: are its answers the right ones?

    served = gate.samples_by_group(repository, "production")
    with gate.serving(served, ("127.0.0.1", 8099)) as server:
        server.serve_forever()

Flagger sends ``{"name", "namespace", "phase", "metadata": {"group"}}`` and reads the status: 200
goes on, anything else counts as a failed check, and its text becomes an event of the Canary.
https://docs.flagger.app/usage/webhooks. The requests are the models' samples of `harness models
build`, the answers those that are known of them; no payload of a client is seen or kept. Where they
go is the gate's own business: a caller names a group, never an address.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import text
from harness.models import answer, samples
from harness.models.lock import load_lock
from harness.models.record import Server
from harness.models.samples import PreparedSample
from harness.snapshot import config

_SECONDS = 30.0  # for one answer; Flagger itself waits 60 s for all of them
_LARGEST = 1 << 16  # bytes of what Flagger sends
_WRONG, _BAD_REQUEST, _GOOD = 417, 400, 200


CANARY = "http://{group}-models-canary.torchserve.svc.cluster.local:8080"
"""The Service that Flagger makes for the canary of a group."""

Served = Mapping[str, Sequence[PreparedSample]]
"""The samples of each model of a group."""


def samples_by_group(repository: Repository, env: str) -> Mapping[str, Served]:
    """The requests of each group's models, as `harness models build` leaves them.

    Raises:
        HarnessError: of a model no right answer is known, so that nothing could be decided.
    """
    lock = repository.built_models / "lock.yaml"
    prepared = samples.load_samples(repository, load_lock(lock))
    served = {
        group: {
            name: prepared.get(name, ())
            for name in config.load(repository, env, lock, group).routed
        }
        for group in repository.groups(env)
    }
    if unknown := [
        name for models in served.values() for name, known in models.items() if not known
    ]:
        raise HarnessError(
            f"no right answer of {', '.join(unknown)} is known",
            hint="`harness models record`, or write one under samples in its model.yaml",
        )
    return served


def wrong(url: str, served: Served) -> Iterator[str]:
    """What a server answers otherwise than it should, a sentence for each request."""
    server = Server(url, {}, _SECONDS)
    for name, known in served.items():
        for sample in known:
            path = f"/predictions/{quote(name, safe='')}"
            try:
                reply = server.ask(name, sample.body, sample.content_type)
            except HarnessError as error:
                yield f"{path}, asked for {sample.name}: no answer: {error.message}"
                continue
            if difference := answer.wrong_response(sample.expected, reply.status, reply.body):
                yield f"{path}, asked for {sample.name}: {difference}"


def serving(
    served: Mapping[str, Served], address: tuple[str, int], url: str = CANARY
) -> ThreadingHTTPServer:
    """The webhook's server, which listens and does not answer yet.

    Args:
        served: the samples of each group.
        address: where it listens.
        url: of a group's canary, with ``{group}`` for the group.
    """

    class Handler(BaseHTTPRequestHandler):
        """One question of Flagger's."""

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self._say(*decide(served, url, self.rfile.read(min(length, _LARGEST))))

        def do_GET(self) -> None:
            self._say(_GOOD, "asks what a canary answers\n")

        def _say(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer(address, Handler)


def decide(served: Mapping[str, Served], url: str, body: bytes) -> tuple[int, str]:
    """The status and the text that Flagger gets for a question."""
    try:
        group = text(json.loads(body), "metadata", "group")
    except ValueError as error:
        return _BAD_REQUEST, f"not a question of Flagger's: {error}\n"
    if group not in served:
        return _BAD_REQUEST, f"there is no group {group!r} here, but {', '.join(served)}\n"
    faults = list(wrong(url.format(group=group), served[group]))
    count = sum(map(len, served[group].values()))
    if faults:
        return _WRONG, f"{len(faults)} of {count} answers are wrong: {faults[0]}\n"
    return _GOOD, f"{count} right answers\n"
