"""What the real TorchServe, its models and the launcher print is one JSON object a line."""

import http.client
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.launcher.conftest import Launcher, Site, starting
from tests.launcher.test_drain import GRPC, predict_over_grpc
from tests.support.processes import PATIENCE, eventually

pytestmark = pytest.mark.torchserve
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TRACE = "0af7651916cd43dd8448eb211c80319c"
Record = dict[str, Any]


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory, archive: Any) -> Iterator[Launcher]:
    site = Site(tmp_path_factory.mktemp("json"), archive)
    with starting() as start:
        launcher = start(site)
        eventually(launcher.is_ready)
        yield launcher


def ask(launcher: Launcher, body: bytes, query: str = "") -> tuple[int, str, str]:
    """Status, TorchServe's id of the request as the client gets it, and the text."""
    connection = http.client.HTTPConnection("127.0.0.1", launcher.site.http, timeout=PATIENCE)
    headers = {"Content-Type": "application/octet-stream", "x-request-id": "of-the-gateway"}
    connection.request("POST", f"/predictions/gated{query}", body, headers)
    response = connection.getresponse()
    answer = response.status, response.headers["x-request-id"], response.read().decode()
    connection.close()
    return answer


def find(launcher: Launcher, condition: Callable[[Record], object]) -> Record:
    """The only record that fits, once it is there."""
    eventually(lambda: any(map(condition, launcher.records())))
    (record,) = filter(condition, launcher.records())
    return record


def test_a_request_is_found_by_the_id_that_its_client_got(launcher: Launcher) -> None:
    status, request_id, text = ask(launcher, b"print of this request", "?key=hunter2")
    assert (status, text) == (200, request_id), "a handler knows it too"
    access = find(launcher, lambda each: each.get("request_id") == request_id)
    assert access["path"] == "/predictions/gated"
    assert (access["status"], access["method"], access["protocol"]) == (200, "POST", "http")
    assert (access["model"], access["version"], access["worker"]) == ("gated", "1.0", "9000")
    assert access["duration_ms"] >= 0
    assert TIME.fullmatch(access["time"])
    printed = find(launcher, lambda each: each["message"] == "of this request")
    assert printed["stream"] == "stdout"
    assert (printed["worker"], printed["batch"]) == (access["worker"], access["batch"])
    assert "hunter2" not in launcher.stdout.read_text()


def test_what_fails_is_found_by_worker_and_batch(launcher: Launcher) -> None:
    status, _, _ = ask(launcher, b"chain")
    assert status == 503
    failed = find(launcher, lambda each: "ValueError: then" in each.get("traceback", ""))
    assert failed["message"] == "ValueError: then"
    assert "KeyError: 'first'" in failed["traceback"], "the whole chain"
    assert failed["level"] == "ERROR"
    access = find(launcher, lambda each: each.get("status") == 503)
    assert (access["worker"], access["batch"]) == (failed["worker"], failed["batch"])


def test_over_grpc_a_request_has_an_id_too(launcher: Launcher) -> None:
    assert all(b'"ok": true' in answer.result() for answer in predict_over_grpc(launcher))

    def calls() -> list[Record]:
        return [each for each in launcher.records() if each.get("protocol") == "grpc"]

    eventually(lambda: len(calls()) == GRPC)
    assert len({each["request_id"] for each in calls()}) == GRPC
    assert {(each["status"], each["model"]) for each in calls()} <= {
        (None, "gated"),
        (0, "gated"),
    }


@pytest.mark.parametrize(
    "printed",
    [
        b'{"a": "\\"}',
        b"\xff\xfe \x00 \x1b[31m red",
        "日本 é 😀".encode(),
        b"back\\slash \\u0041 \t tab",
        b"%d %m ${jndi:ldap://x} ${env:HOME} {}",
        b"x" * 100_000,
    ],
    ids=["quotes", "bytes", "languages", "escapes", "patterns", "long"],
)
def test_whatever_a_model_prints_is_one_record(launcher: Launcher, printed: bytes) -> None:
    assert ask(launcher, b"print " + printed)[0] == 200
    text = printed.decode(errors="replace")
    find(launcher, lambda each: each["message"] == text)


def test_a_line_that_names_a_trace_is_of_that_trace(launcher: Launcher) -> None:
    line = f'{{"event": "decoded", "trace_id": "{TRACE}"}}'
    ask(launcher, b"print " + line.encode())
    assert find(launcher, lambda each: each["message"] == line)["trace_id"] == TRACE


def test_the_level_can_be_set_while_it_runs(launcher: Launcher) -> None:
    def shows(text: str) -> bool:
        ask(launcher, b"ask")
        return any(each["message"].startswith(text) for each in launcher.records())

    assert not shows("Flushing req.cmd PREDICT")
    (launcher.site.folder / "log-level").write_text("debug\n")
    eventually(lambda: shows("Flushing req.cmd PREDICT"))
