"""What stores of logs are told: fields, retention and searches fit each other and the lines."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from harness.core.values import Value, items, mapping, text
from tests.monitoring.test_alerts import ROOT

STORES = [ROOT / "infra/logging/stack", ROOT / "infra/opensearch/stack"]
_KEYS = re.compile(r"^\| (`[^|]+) \|", re.MULTILINE)

of_each_store = pytest.mark.parametrize("store", STORES, ids=lambda path: path.parent.name)


def load(path: Path) -> Value:
    return mapping(json.loads(path.read_text()))


def fields(store: Path) -> set[str]:
    """What can be searched by, that of an object with its path."""
    properties = mapping(load(store / "logs-template.json"), "template", "mappings", "properties")
    below = {f"kubernetes.{name}" for name in mapping(properties, "kubernetes", "properties")}
    return {*properties, *below} - {"kubernetes"}


def searches(store: Path) -> list[Value]:
    lines = (store / "searches.ndjson").read_text().splitlines()
    return [mapping(json.loads(line)) for line in lines]


def keys_of_lines() -> set[str]:
    """The keys of docs/logging.md, section Keys."""
    section = (ROOT / "docs/logging.md").read_text().partition("## Keys")[2].partition("\n## ")[0]
    return {key for cell in _KEYS.findall(section) for key in re.findall(r"`(\w+)`", cell)}


@of_each_store
def test_every_key_of_a_line_is_a_field(store: Path) -> None:
    assert {"message", "trace_id"} <= keys_of_lines() <= fields(store)


@of_each_store
def test_searches_show_and_ask_fields_that_are_there(store: Path) -> None:
    patterns = {text(each, "id") for each in searches(store) if each["type"] == "index-pattern"}
    queries = [each for each in searches(store) if each["type"] == "search"]
    assert len(queries) == 3
    for each in queries:
        assert set(map(str, items(each, "attributes", "columns"))) <= fields(store)
        where = ("attributes", "kibanaSavedObjectMeta", "searchSourceJSON")
        query = text(json.loads(text(each, *where)), "query", "query")
        keys = set(re.findall(r"([\w.@]+) (?::|>=)", query))
        assert keys
        assert keys <= fields(store)
        assert {text(name, "id") for name in items(each, "references")} <= patterns


def test_retention_is_by_size_and_by_age() -> None:
    elasticsearch, opensearch = STORES
    phases = mapping(load(elasticsearch / "logs-lifecycle.json"), "policy", "phases")
    rollover = mapping(phases, "hot", "actions", "rollover")
    assert rollover == {"max_age": "1d", "max_primary_shard_size": "10gb"}
    age = text(phases, "delete", "min_age")

    policy = mapping(load(opensearch / "logs-retention.json"), "policy")
    written, deleted = items(policy, "states")
    size_and_age = {"min_index_age": "1d", "min_primary_shard_size": "10gb"}
    assert mapping(written, "actions", 0, "rollover") == size_and_age
    assert text(written, "transitions", 0, "conditions", "min_rollover_age") == age
    assert text(written, "transitions", 0, "state_name") == text(deleted, "name")
    assert items(deleted, "actions") == [{"delete": {}}]


def test_pipeline_of_opensearch_knows_every_field() -> None:
    store = STORES[1]
    properties = mapping(load(store / "logs-template.json"), "template", "mappings", "properties")
    (script,) = (
        mapping(each, "script")
        for each in items(load(store / "logs-pipeline.json"), "processors")
        if "script" in mapping(each)
    )
    assert set(map(str, items(script, "params", "keys"))) == set(properties) - {"other"}


def index_of(store: Path) -> str:
    """What the gateway writes to."""
    exporters = mapping(yaml.safe_load((store / "gateway.yml").read_text()), "exporters")
    (index,) = {text(each, "logs_index") for each in exporters.values()}
    return index


def commands(store: Path) -> str:
    """What the Job says to the store."""
    job = yaml.safe_load((store / "job.yaml").read_text())
    return text(job, "spec", "template", "spec", "containers", 0, "args", 0)


@of_each_store
def test_templates_and_searches_are_about_what_the_gateway_writes_to(store: Path) -> None:
    (view,) = (each for each in searches(store) if each["type"] == "index-pattern")
    patterns = {*items(load(store / "logs-template.json"), "index_patterns")}
    index = index_of(store)
    # Of an alias, which the gateway of OpenSearch writes to, the index; the Job makes the first.
    names = re.findall(rf"put ({index}-\d+) ", commands(store)) or [index]
    for pattern in map(str, {*patterns, text(view, "attributes", "title")}):
        assert [each for each in names if fnmatchcase(each, pattern)] == names


@of_each_store
def test_what_a_template_names_is_what_the_job_makes(store: Path) -> None:
    settings = mapping(load(store / "logs-template.json"), "template", "settings", "index")
    if "lifecycle" in settings:
        assert f"put _ilm/policy/{text(settings, 'lifecycle', 'name')} " in commands(store)
        return
    assert f"put _ingest/pipeline/{text(settings, 'default_pipeline')} " in commands(store)
    alias = text(settings, "plugins.index_state_management.rollover_alias")
    assert alias == index_of(store)
    assert f'{{"aliases": {{"{alias}": {{"is_write_index": true}}}}}}' in commands(store)


def test_retention_of_opensearch_is_of_its_indices() -> None:
    store = STORES[1]
    (template,) = items(load(store / "logs-retention.json"), "policy", "ism_template")
    patterns = [str(each) for each in items(template, "index_patterns")]
    assert patterns == [
        str(each) for each in items(load(store / "logs-template.json"), "index_patterns")
    ]
