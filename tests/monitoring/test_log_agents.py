"""Both agents make the same documents of the same lines, with the same ids.

Fluent Bit's script runs as it ships; what is in C, and the Collector's operators, are played.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.values import mapping, text
from tests.support import collector_agent, fluent_bit
from tests.support.container_log import PART, Document, cri
from tests.support.fluent_bit import Event, script_of

LINES = Path(__file__).parents[1] / "testdata/logging/server.jsonl"
"""What the real TorchServe and its launcher wrote for two requests, one of which failed."""

UID = "0f0e8c5e-3d4f-4b1a-9c1d-2a6b7c8d9e0f"
SERVER = f"/var/log/pods/torchserve_torchserve-5d9c7b8f6d-x2x9k_{UID}/torchserve/0.log"
GATEWAY = f"/var/log/pods/envoy-gateway-system_envoy-0_{UID}/envoy/2.log"
OTHER = f"/var/log/pods/kube-system_coredns-0_{UID}/coredns/1.log"
TIME = "2026-11-29T21:58:15.151234567Z"
TEXTS = [
    "",
    " ",
    "plain",
    '{"message": "cut of',
    '{"level": "INFO"} and more',
    ' {"level": "INFO"}',
    "[1, 2]",
    "3",
    "null",
    '"text"',
    '{"loss": NaN}',
    "naïve 雪 🐍",
    "\ttabbed\x1b[31m",
    "雪" * PART,
]
"""What is not an object, or not only one."""

OBJECTS = [
    "{}",
    '{"message": null, "status": 200, "duration_ms": 0.5, "rate": 1e3, "ok": true}',
    '{"message": 5, "level": ["INFO"], "model": {"name": "m"}, "empty": [], "none": {}}',
    '{"rows": [1, null, {"a": null}], "last": [null]}',
    '{"document": 2, "log": 3, "path": "/x", "stream": 4, "text": "x"}',
    '{"time": "yesterday", "elasticsearch.document_id": "x", "a.b": {"": 1}}',
    '{"message": "naïve 雪 🐍 \\u00e9", "größe": 1}',
    '{"level": "INFO", "level": "WARN"}',
    '{"kubernetes": "mine", "@timestamp": 1}',
    '{"message": "' + "x" * 3 * PART + '"}',
]
OWN = {"@timestamp", "kubernetes"}
"""Keys that are the agent's, whatever a line says."""


def both(path: str, lines: list[bytes]) -> tuple[list[Document], list[Document]]:
    return fluent_bit.documents(path, lines), collector_agent.documents(path, lines)


def read(path: str, line: str, stream: str = "stdout") -> Document:
    """What both agents make of one line."""
    (one,), (other,) = both(path, cri(line, stream, TIME))
    assert one == other
    return one


@pytest.mark.parametrize("line", LINES.read_text().splitlines(), ids=range(34))
def test_a_line_of_a_server_becomes_its_own_document(line: str) -> None:
    document = read(SERVER, line)
    assert document.body == {
        **json.loads(line),
        "@timestamp": TIME,
        "kubernetes": {
            "node": "node-0",
            "namespace": "torchserve",
            "pod": "torchserve-5d9c7b8f6d-x2x9k",
            "uid": UID,
            "container": "torchserve",
            "restarts": "0",
            "stream": "stdout",
        },
    }
    assert document.identity == f"{UID}/torchserve/0/stdout/{TIME}/{len(line)}"


@pytest.mark.parametrize("path", [SERVER, GATEWAY, OTHER], ids=["server", "gateway", "other"])
@pytest.mark.parametrize("line", TEXTS, ids=range(len(TEXTS)))
def test_a_text_is_the_message(path: str, line: str) -> None:
    document = read(path, line, "stderr")
    assert document.body["message"] == line
    assert document.body["@timestamp"] == TIME
    assert text(document.body, "kubernetes", "stream") == "stderr"


@pytest.mark.parametrize("path", [SERVER, GATEWAY], ids=["server", "gateway"])
@pytest.mark.parametrize("line", OBJECTS, ids=range(len(OBJECTS)))
def test_an_object_keeps_its_keys(path: str, line: str) -> None:
    document = read(path, line)
    assert _without(document.body, OWN) == _without(json.loads(line), OWN)
    assert document.body["@timestamp"] == TIME


@pytest.mark.parametrize("line", OBJECTS, ids=range(len(OBJECTS)))
def test_an_object_of_another_pod_is_text(line: str) -> None:
    assert read(OTHER, line).body["message"] == line


def _without(keys: Mapping[str, object], some: set[str]) -> dict[str, object]:
    return {key: each for key, each in keys.items() if key not in some}


@settings(deadline=None)
@given(st.lists(st.sampled_from([*TEXTS, *OBJECTS, *LINES.read_text().splitlines()]), max_size=5))
def test_lines_of_a_file_stay_apart(lines: list[str]) -> None:
    raw = [part for line in lines for part in cri(line, "stdout", TIME)]
    one, other = both(SERVER, raw)
    assert one == other
    assert len(one) == len(lines)


WORDS = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(WORDS, each, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(WORDS, JSON, max_size=5), st.booleans())
def test_any_object_is_the_same_document_of_both(keys: dict[str, object], is_plain: bool) -> None:
    document = read(SERVER, json.dumps(keys, ensure_ascii=is_plain))
    assert _without(document.body, OWN) == _without(keys, OWN)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\n")))
def test_any_text_is_the_same_document_of_both(line: str) -> None:
    assert read(OTHER, line).body["message"] == line


TIMES = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.5Z",
    "2026-01-01T02:00:00.123456789+02:00",
    "2025-12-31T19:30:00.1-04:30",
]


@pytest.mark.parametrize("time", TIMES)
def test_a_time_has_nine_digits_and_no_offset(time: str) -> None:
    (one,), (other,) = both(SERVER, cri("{}", "stdout", time))
    assert one == other
    assert datetime.fromisoformat(text(one.body, "@timestamp")) == datetime.fromisoformat(time)
    assert len(text(one.body, "@timestamp")) == len(TIME)


def test_parts_of_two_streams_are_two_lines() -> None:
    """A server's line goes on while something is written to the other stream."""
    first, second = '{"message": "' + "a" * 2 * PART + '"}', '{"message": "b"}'
    one, two, last = cri(first, "stdout", TIME)
    (between,) = cri(second, "stderr", TIME)
    by_fluent_bit, by_collector = both(SERVER, [one, between, two, last])
    assert by_fluent_bit == by_collector
    assert {text(each.body, "message") for each in by_collector} == {"a" * 2 * PART, "b"}


BROKEN = [
    b"\0" * 40,
    b"hello",
    b"\t  of a line that began with spaces  ",
    b'{"message": "hello"}',
    b"2026-01-01T00:00:00Z stdout",
    b"2026-01-01T00:00:00Z stdin F x",
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("path", [SERVER, OTHER], ids=["server", "other"])
def test_what_no_runtime_writes_is_text_and_spoils_no_other_line(path: str, broken: bytes) -> None:
    """A node that lost power leaves half of a line, or zeros."""
    (before,), (after,) = cri('{"level": "INFO"}', "stdout", TIME), cri("after", "stderr", TIME)
    one, other = both(path, [before, broken, after])
    assert one == other
    first, second, third = one
    assert first == read(path, '{"level": "INFO"}')
    assert second.body["message"] in (broken.decode(), "hello")
    assert second.body["@timestamp"] == "2026-01-01T00:00:00.250000000Z"
    assert third == read(path, "after", "stderr")
    assert len({each.identity for each in one}) == 3


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False)
    | st.text()
    | st.lists(st.text())
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["log", "time", "stream", "path", "_p", "x"]), VALUES))
def test_the_script_takes_any_record(record: dict[str, object]) -> None:
    """An error of its would leave a whole chunk of lines as it came."""
    for keeps_null in (True, False):
        script = script_of(keeps_null=keeps_null)
        event = script.call("read", "json", Event({}, record))
        document = script.call("complete", "json", event)
        assert text(mapping(document.metadata), "otlp", "attributes", "elasticsearch.document_id")
        assert text(mapping(document.body), "document", "@timestamp")
        assert mapping(document.body, "document", "kubernetes")["node"] == "node-0"
