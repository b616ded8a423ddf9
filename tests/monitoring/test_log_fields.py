"""Whatever stores, searches and docs/logging.md name of a line is what some line has.

Both sides are read from what ships: who writes lines, what either agent adds, what is searched by.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from harness.core.values import Value, items, mapping, text
from tests.monitoring import envoy
from tests.monitoring.test_alerts import ROOT
from tests.monitoring.test_log_stores import STORES, fields, keys_of_lines, load, searches
from tests.support import collector_agent, fluent_bit
from tests.support.container_log import Document, cri

LAUNCHER = ROOT / "harness/launcher"
POD = "/var/log/pods/torchserve_torchserve-0_0f0e8c5e/torchserve/0.log"
AGENTS = [collector_agent.documents, fluent_bit.documents]
Agent = Callable[[str, Iterable[bytes]], list[Document]]

of_each_agent = pytest.mark.parametrize("agent", AGENTS, ids=["collector", "fluent-bit"])
of_each_store = pytest.mark.parametrize("store", STORES, ids=lambda path: path.parent.name)


def keys_of_servers() -> set[str]:
    """Those of log4j2.xml, and what the launcher adds to them."""
    layout = set(re.findall(r'"(\w+)":"', (LAUNCHER / "log4j2.xml").read_text()))
    code = "".join((LAUNCHER / name).read_text() for name in ("output.py", "worker_log.py"))
    single = re.findall(r'event\["(\w+)"\][^=\n]* = ', code)
    merged = "".join(re.findall(r"event \|= \{(.*?)\}", code))
    return layout | set(single) | set(re.findall(r'"(\w+)": ', merged))


def keys_of_gateway() -> set[str]:
    (log,) = items(
        yaml.safe_load(envoy.PROXY.read_text()), "spec", "telemetry", "accessLog", "settings"
    )
    return set(mapping(log, "format", "json"))


def keys_of_agent(agent: Agent) -> set[str]:
    """What it gives a line that has no key, and a line that is text."""
    documents = agent(POD, [*cri("{}", "stdout", _TIME), *cri("text", "stderr", _TIME)])
    return {key for each in documents for key in _names(each.body)}


_TIME = "2026-01-01T00:00:00.123456789Z"


def _names(body: Value) -> Iterator[str]:
    for key, value in body.items():
        yield from (f"{key}.{name}" for name in _names(value)) if isinstance(value, dict) else [key]


@of_each_agent
@of_each_store
def test_every_field_is_one_that_an_agent_sends(agent: Agent, store: Path) -> None:
    sent = keys_of_servers() | keys_of_gateway() | keys_of_agent(agent)
    # The pipeline of OpenSearch makes it of all that no field has.
    assert fields(store) - {"other"} <= sent


@of_each_agent
@of_each_store
def test_every_key_of_an_agent_is_a_field(agent: Agent, store: Path) -> None:
    assert keys_of_agent(agent) <= fields(store)


@of_each_store
def test_what_a_search_shows_is_what_a_line_has(store: Path) -> None:
    """Each column of a saved search is of a server's line or an agent's, not only a field."""
    sent = keys_of_servers() | keys_of_agent(collector_agent.documents)
    columns = {
        str(column)
        for each in searches(store)
        if each["type"] == "search"
        for column in items(each, "attributes", "columns")
    }
    assert {"message", "kubernetes.pod"} <= columns <= sent


@of_each_store
def test_a_search_without_a_field_looks_where_lines_have_text(store: Path) -> None:
    settings = mapping(load(store / "logs-template.json"), "template", "settings", "index")
    default = set(map(str, items(settings, "query", "default_field")))
    assert default
    assert default <= keys_of_servers()


def test_keys_of_servers_are_those_that_the_page_lists() -> None:
    assert keys_of_servers() == keys_of_lines()


def test_one_request_asks_both_ids() -> None:
    """A server's line has one, the gateway's the other."""
    for store in STORES:
        (search,) = (each for each in searches(store) if each["id"] == "one-request")
        where = ("attributes", "kibanaSavedObjectMeta", "searchSourceJSON")
        query = text(json.loads(text(search, *where)), "query", "query")
        of_server, of_gateway = re.findall(r'(\w+) : "REQUEST"', query)
        assert of_server in keys_of_servers()
        assert of_gateway in keys_of_gateway() - keys_of_servers()
