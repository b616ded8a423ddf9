"""An internal gateway is judged from where it can be reached, and from nowhere else."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from harness.loadtest import reach

PUBLIC, PRIVATE = "https://8.8.8.8", "https://10.0.0.1"


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a port that answers no packet, as one behind a load balancer out of reach.

    Linux does so for a listener whose queue of connections is full.
    """
    with contextlib.ExitStack() as until:
        listener = until.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = until.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_an_internal_gateway_that_is_silent_outside_its_network_cannot_be_judged(
    silent: str,
) -> None:
    why = reach.out_of_reach(silent, PUBLIC, seconds=0.3)
    assert "internal (127.0.0.1)" in why
    assert "the workflow" in why


@pytest.mark.parametrize(
    "gateway",
    [
        pytest.param("https://127.0.0.1:1", id="it refuses the connection"),
        pytest.param("https://nowhere.invalid", id="its name is not in DNS"),
        pytest.param(PUBLIC, id="its addresses are public"),
    ],
)
def test_what_is_wrong_from_anywhere_is_judged(gateway: str) -> None:
    assert reach.out_of_reach(gateway, PUBLIC, seconds=0.3) == ""


def test_silence_inside_the_network_is_judged(silent: str) -> None:
    assert reach.out_of_reach(silent, PRIVATE, seconds=0.3) == ""


def test_a_gateway_that_answers_is_judged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert reach.out_of_reach(f"https://127.0.0.1:{listener.getsockname()[1]}", PUBLIC) == ""
