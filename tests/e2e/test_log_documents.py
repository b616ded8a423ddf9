"""The real Collector makes the documents that fast tests expect of both agents.

What those play (tests/monitoring/test_log_agents.py) is held here against the agent as it ships.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from tests.monitoring.test_log_agents import BROKEN, LINES, OBJECTS, OWN, TEXTS, TIMES
from tests.support import collector_agent, fluent_bit, log_pipeline
from tests.support.container_log import PART, Document, cri
from tests.support.log_pipeline import ELASTICSEARCH, Pipeline
from tests.support.processes import eventually


@pytest.fixture
def pipeline(checkout: Repository, tmp_path: Path) -> Iterator[Pipeline]:
    if command := ELASTICSEARCH.missing(checkout):
        pytest.skip(f"the Collectors are not built: {command}")
    with log_pipeline.running(ELASTICSEARCH, checkout, tmp_path) as running:
        yield running


def test_documents_are_those_that_are_played(pipeline: Pipeline) -> None:
    whole = [*LINES.read_text().splitlines(), *TEXTS, *_storable(OBJECTS)]
    raw = [part for number, line in enumerate(whole) for part in cri(line, "stderr", _time(number))]
    raw += [part for number, at in enumerate(TIMES) for part in cri(f"at {number}", "stdout", at)]
    first, *others = cri("a" * 2 * PART + "b", "stdout", _time(len(whole)))
    raw += [first, *cri("between", "stderr", _time(len(whole))), *others]
    path = pipeline.log.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(line + b"\n" for line in [*raw, *BROKEN]))

    on_node = f"/var/log/pods/{path.relative_to(pipeline.pods)}"
    played = collector_agent.documents(on_node, raw)
    assert played == fluent_bit.documents(on_node, raw)
    count = len(played) + len(BROKEN)
    stored = eventually(lambda: _all(pipeline, count), 60)
    by_id = {each.identity: each.body for each in stored}
    assert by_id.items() >= {each.identity: each.body for each in played}.items()

    # What no runtime wrote has the time at which it was read.
    late = [each.body for each in stored if each.identity not in {one.identity for one in played}]
    expected = [each.body for each in collector_agent.documents(on_node, BROKEN)]
    assert sorted(map(_message, late)) == sorted(map(_message, expected))
    assert all(each.identity.startswith(f"{pipeline.log.uid}/") for each in stored)


def _time(number: int) -> str:
    return f"2026-11-29T21:58:15.{number:09}Z"


def _storable(lines: list[str]) -> list[str]:
    """Without those that Elasticsearch does not take, or not as they are."""
    others = ('"model": {', '"a.b"', "null", *OWN)
    return [each for each in lines if not any(part in each for part in others)]


def _message(body: Value) -> str:
    return text(body, "message")


def _all(pipeline: Pipeline, count: int) -> list[Document]:
    if pipeline.store.count(pipeline.index) < count:
        return []
    answer = pipeline.store.ask("POST", f"{pipeline.index}/_search", {"size": count + 1})
    hits = [mapping(each) for each in items(answer, "hits", "hits")]
    return [Document(mapping(each, "_source"), text(each, "_id")) for each in hits]
