"""The shadow: the canary's answers to clients' requests, compared with those that clients got."""

import itertools
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.canary import shadow
from harness.canary.shadow import Copy, Shadow
from harness.models.answer import Expected, Tolerance
from harness.models.samples import PreparedSample
from tests.canary.server import Request, answering, listening

KNOWN = PreparedSample(
    model="known",
    version="1",
    name="hello",
    content_type="text/plain",
    body=b"hello",
    expected=Expected(answer={"length": 5}, tolerance=Tolerance(absolute=0.5)),
)
GROUPS = {"vision": {"known": (KNOWN,), "unknown": ()}}
Answer = tuple[int, bytes]


@contextmanager
def comparing(
    served: Callable[[Request], Answer],
    canary: Callable[[Request], Answer],
    percent: float = 100,
    keep: Path | None = None,
) -> Iterator[Shadow]:
    """A shadow of pods that serve so and a canary that answers so."""
    with answering(served) as primary_url, answering(canary) as canary_url:
        yield Shadow(GROUPS, percent, canary_url, primary_url, keep)


def constantly(body: bytes, status: int = 200) -> Callable[[Request], Answer]:
    return lambda _: (status, body)


def counts(of: Shadow) -> dict[str, int]:
    """How many requests ended how."""
    lines = [line.split() for line in of.metrics().splitlines() if not line.startswith("#")]
    return {name.partition('outcome="')[2][:-2]: int(count) for name, count in lines if int(count)}


def see(one: Shadow, model: str) -> None:
    """Have a copy of a request compared."""
    path = f"/predictions/{model}"
    one.see(path, lambda: Copy(path, {}, b"hello"))


@pytest.mark.parametrize(
    ("model", "served", "canary", "outcome"),
    [
        ("known", (200, b'{"length": 5}'), (200, b'{"length": 5.4}'), "same"),
        ("known", (200, b'{"length": 5}'), (200, b'{"length": 6}'), "different"),
        ("known", (200, b'{"length": 5}'), (500, b'{"length": 5}'), "different"),
        ("known", (400, b"no text"), (400, b"other words"), "same"),
        ("known", (503, b"full"), (200, b'{"length": 5}'), "unserved"),
        ("known", (404, b"no model"), (200, b'{"length": 5}'), "unserved"),
        ("unknown", (200, b"[1, 2.0]"), (200, b"[1.0, 2]"), "same"),
        ("unknown", (200, b"[1, 2]"), (200, b"[1, 2.1]"), "different"),
        ("unknown", (200, b"\x00\xff"), (200, b"\x00\xff"), "same"),
        ("unknown", (200, b"\x00\xff"), (200, b"\x00\xfe"), "different"),
    ],
)
def test_answers_are_compared_as_exactly_as_the_samples_ask(
    model: str, served: Answer, canary: Answer, outcome: str
) -> None:
    with comparing(lambda _: served, lambda _: canary) as one:
        see(one, model)
    assert counts(one) == {outcome: 1}


def test_a_model_that_does_not_agree_with_itself_is_not_compared() -> None:
    turn = itertools.count()
    with comparing(lambda _: (200, b"%d" % next(turn)), constantly(b"7")) as one:
        see(one, "unknown")
    assert counts(one) == {"unsteady": 1}


def test_without_a_canary_nobody_is_asked() -> None:
    requests: list[Request] = []
    with answering(constantly(b"")) as gone:
        pass
    with answering(lambda request: (requests.append(request), (200, b""))[1]) as primary:
        one = Shadow(GROUPS, 100, gone, primary)
        see(one, "known")
    assert (requests, counts(one)) == ([], {})


def test_so_many_of_a_hundred_are_compared() -> None:
    with comparing(constantly(b"1"), constantly(b"1"), percent=25) as one:
        for _ in range(8):
            see(one, "known")
        see(one, "nobodys")
    assert counts(one) == {"same": 2}


def test_a_copy_that_is_too_large_is_counted() -> None:
    body = b" " * (shadow.LARGEST_COPY + 1)
    with comparing(constantly(b"1"), constantly(b"1")) as one, _listening(one) as url:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/predictions/known", body, timeout=30)
        refused.value.close()
    assert (refused.value.code, counts(one)) == (413, {"skipped": 1})


def test_a_copy_that_is_not_compared_is_dropped_as_it_comes() -> None:
    def take() -> Copy:
        pytest.fail("nobody needs its body")

    with comparing(constantly(b"1"), constantly(b"1"), percent=0) as one:
        one.see("/predictions/known", take)
        one.see("/predictions/nobodys", take)
    assert counts(one) == {}


def test_the_request_is_passed_on_whole_without_a_token() -> None:
    requests: list[Request] = []

    def answer(request: Request) -> Answer:
        requests.append(request)
        return 200, b"1"

    with ExitStack() as stack:
        one = stack.enter_context(comparing(answer, answer))
        url = stack.enter_context(_listening(one))
        headers = {"Authorization": "Bearer secret", "Content-Type": "image/png"}
        where = f"{url}/predictions/known?top=5"
        with urllib.request.urlopen(urllib.request.Request(where, b"\x00", headers), timeout=30):
            pass
    assert [(each.path, each.body) for each in requests] == [
        ("/predictions/known?top=5", b"\x00")
    ] * 2
    assert all(each.headers["content-type"] == "image/png" for each in requests)
    assert not any("secret" in value for each in requests for value in each.headers.values())


@pytest.mark.parametrize(
    ("answer", "percent", "decided"),
    [(b'{"length": 5}', "0", 200), (b'{"length": 7}', "1", 417), (b'{"length": 7}', "100", 200)],
)
def test_flagger_hears_how_many_of_the_next_requests_differ(
    answer: bytes, percent: str, decided: int
) -> None:
    with comparing(constantly(b'{"length": 5}'), constantly(answer)) as one, _clients_of(one):
        status, text = one.decide(question(requests="3", percent=percent))
    assert (status, "answers differ from" in text) == (decided, True), text
    assert "length" not in text, "an answer is a client's"


def test_too_few_requests_decide_nothing() -> None:
    with comparing(constantly(b""), constantly(b"")) as one:
        status, text = one.decide(question(requests="3", percent="1"), seconds=0)
    assert (status, text) == (417, "0 of 3 requests were there to compare\n")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"metadata": {"group": "vision"}}'])
def test_a_question_that_is_none_is_refused(body: bytes) -> None:
    with comparing(constantly(b""), constantly(b"")) as one:
        status, text = one.decide(body)
    assert status == 400, text


def test_a_payload_is_kept_only_where_somebody_asks(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "kept"):
        with comparing(constantly(b"1"), constantly(b"2"), keep=folder) as one:
            see(one, "known")
    payloads = {each.relative_to(tmp_path): each.read_bytes() for each in tmp_path.rglob("*.*")}
    assert payloads == {
        Path("kept/0-known.request"): b"hello",
        Path("kept/0-known.served"): b"1",
        Path("kept/0-known.canary"): b"2",
    }


def question(**more: str) -> bytes:
    """What Flagger sends."""
    about = {"name": "vision", "namespace": "torchserve", "phase": "Progressing", "checksum": "1"}
    return json.dumps({**about, "metadata": {"group": "vision", **more}}).encode()


@contextmanager
def _clients_of(one: Shadow) -> Iterator[None]:
    """Requests, one after the other, while the block runs."""
    until = threading.Event()

    def ask() -> None:
        while not until.is_set():
            see(one, "known")

    clients = threading.Thread(target=ask)
    clients.start()
    yield
    until.set()
    clients.join(30)


@contextmanager
def _listening(one: Shadow) -> Iterator[str]:
    with listening(shadow.serving(one, ("127.0.0.1", 0))) as port:
        yield f"http://127.0.0.1:{port}"
