"""What people's load scripts do, sent to a real server on a real socket."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import loadtest
from harness.core.errors import InputError
from harness.loadtest import Report, Target
from harness.loadtest.terminal import text
from tests.loadtest.cases import profile
from tests.loadtest.test_run import LENIENT, request


@pytest.fixture(scope="module")
def counted(stub: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """Three users who send forty requests among them, and think in between."""
    load = profile(
        arrivals="closed",
        thinkTime={"from": 0.001, "to": 0.002},
        mix=[
            request("host", "/echo", headers={"Host": "other.example"}, contains="other.example"),
            request("turns", "/turns/503", status=[200, 503]),
            {**request("full", "/full/slow"), "weight": 2},
            request("stream", "/stream/0.2", contains="ab"),
        ],
        stages=[{"kind": "hold", "users": 3, "requests": 40}],
        slos=[{"of": "stream", "firstByte": {"p50": 100}, "latency": {"p50": 5000}}],
        judge=LENIENT,
    )
    out = tmp_path_factory.mktemp("counted")
    return loadtest.run(load, Target(stub), {}, out), out


def test_a_run_ends_with_its_count(counted: tuple[Report, Path]) -> None:
    report, _ = counted
    assert report.requests == 40
    assert report.seconds == report.judged_seconds < 30
    [check] = [each for each in report.checks if each.name == "number of requests"]
    assert check.passed


def test_one_host_goes_out(counted: tuple[Report, Path], stub: str, tmp_path: Path) -> None:
    host = next(part for part in counted[0].mix if part.name == "host")
    assert host.requests > 0
    assert host.failures == 0
    stages = [{"kind": "hold", "requests": 1, "users": 1}]
    one = request("r", "/echo", headers={"host": "a.example"}, contains="one answer for all")
    report = loadtest.run(
        profile(arrivals="closed", mix=[one], stages=stages, judge=LENIENT),
        Target(stub),
        {},
        tmp_path,
    )
    assert report.failure_groups[0].example.lower().count("host:") == 1


def test_an_expected_503_is_no_failure_and_counted_apart(counted: tuple[Report, Path]) -> None:
    report, out = counted
    turns = next(part for part in report.mix if part.name == "turns")
    assert turns.failures == 0
    assert 0 < turns.other_answers < turns.requests
    [group] = [each for each in report.failure_groups if each.expected]
    assert f"{group.count} more were HTTP 503 to turns" in text(report, out)


def test_a_stream_is_judged_by_its_first_byte(counted: tuple[Report, Path]) -> None:
    report, _ = counted
    first = next(each for each in report.slo if each.metric == "first byte p50")
    whole = next(each for each in report.slo if each.metric == "p50")
    assert first.observed is not None
    assert whole.observed is not None
    assert first.observed < whole.observed - 150


def test_the_most_frequent_failure_is_shown_with_what_to_do(counted: tuple[Report, Path]) -> None:
    report, out = counted
    printed = text(report, out)
    assert "full: HTTP 503 ServiceUnavailableException" in printed
    assert "has no worker to serve inference request." in printed
    assert "→ the model's queue is full; its workers are there. Raise jobQueueSize" in printed


class _Ok(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a server with a certificate of its own, and that certificate."""
    folder = tmp_path_factory.mktemp("tls")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    argv += ["-addext", "subjectAltName=DNS:localhost"]
    argv += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ok)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}", folder / "cert.pem"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("trust", ["caFile", "insecure", "nothing"])
def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    self_signed: tuple[str, Path], tmp_path: Path, trust: str
) -> None:
    url, certificate = self_signed
    keys = {"caFile": {"caFile": str(certificate)}, "insecure": {"insecure": True}, "nothing": {}}
    load = profile(
        arrivals="closed",
        mix=[request("m", "/m", contains="ok")],
        stages=[{"kind": "hold", "requests": 5, "users": 1}],
        judge=LENIENT,
        **keys[trust],
    )
    report = loadtest.run(load, Target(url), {}, tmp_path)
    printed = text(report, tmp_path)
    assert report.failures == (5 if trust == "nothing" else 0)
    assert ("not verified" in printed) is (trust == "insecure")
    assert ("name it as caFile" in printed) is (trust == "nothing")


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path, stub: str) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    load = profile(caFile=str(tmp_path / "ca.pem"))
    with pytest.raises(InputError, match="no certificates"):
        loadtest.run(load, Target(stub), {}, tmp_path)
