"""The golden gate: Flagger goes on where every sample of a group gets its correct answer."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from harness.canary import gate
from harness.core.errors import HarnessError
from harness.models.answer import Expected, Tolerance
from harness.models.samples import PreparedSample
from tests.canary.server import answering
from tests.support.processes import free_ports

HELLO = PreparedSample(
    model="tiny",
    version="1",
    name="hello",
    content_type="text/plain",
    body=b"hello",
    expected=Expected(answer={"length": 5}, tolerance=Tolerance(absolute=0.5)),
)
SERVED = {"vision": {"tiny": (HELLO,)}}


def question_about(group: str) -> bytes:
    """What Flagger sends."""
    about = {"name": group, "namespace": "torchserve", "phase": "Progressing", "checksum": "1"}
    return json.dumps({**about, "metadata": {"group": group}}).encode()


@pytest.mark.parametrize(
    ("body", "status", "decided", "message"),
    [
        (b'{"length": 5.2}', 200, 200, "1 correct answers"),
        (
            b'{"length": 7}',
            200,
            417,
            "1 of 1 answers are wrong: /predictions/tiny, asked for hello",
        ),
        (b"out of memory", 507, 417, "HTTP 507"),
    ],
)
def test_only_correct_answers_let_a_canary_go_on(
    body: bytes, status: int, decided: int, message: str
) -> None:
    with answering(lambda _: (status, body)) as url:
        verdict, text = gate.decide(SERVED, url, question_about("vision"))
    assert (verdict, message in text) == (decided, True), text


def test_a_canary_that_nobody_reaches_is_wrong() -> None:
    with answering(lambda _: (200, b"")) as url:
        pass
    verdict, text = gate.decide(SERVED, url, question_about("vision"), patience=0)
    assert verdict == 417
    assert "no answer" in text


def test_a_canary_has_a_moment_until_its_address_is_known() -> None:
    (port,) = free_ports(1)
    with ThreadPoolExecutor(1) as pool:
        decision = pool.submit(
            gate.decide, SERVED, f"http://127.0.0.1:{port}", question_about("vision")
        )
        assert not wait([decision], 0.5).done, "nobody listens yet"
        with answering(lambda _: (200, b'{"length": 5}'), port):
            verdict, text = decision.result(30)
    assert (verdict, text) == (200, "1 correct answers\n")


@pytest.mark.parametrize("body", [b"", b"[1", b"[" * 60_000, question_about("speech")])
def test_a_question_that_is_none_is_refused_without_a_request(body: bytes) -> None:
    verdict, text = gate.decide(SERVED, "http://127.0.0.1:1", body)
    assert verdict == 400, text


def test_an_address_that_cannot_be_had_is_an_error_with_a_hint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for address in (taken.getsockname(), ("127.0.0.1", 1 << 20)):
            with pytest.raises(HarnessError, match=r"cannot listen on 127\.0\.0\.1:") as error:
                gate.serving(SERVED, address)
            assert "another port" in error.value.hint
