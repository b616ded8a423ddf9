"""The launcher reads config.properties as the rest of the harness writes it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.launcher import BadInput, config
from harness.launcher.config import ModelConfig
from harness.snapshot import properties

# No lone halves of surrogate pairs, and nothing beyond 16 bits: paths and JSON in ASCII.
TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=30)


@given(st.dictionaries(TEXT.filter(bool), TEXT))
def test_what_the_snapshot_writes_is_read_back(values: dict[str, str]) -> None:
    assert config.parse(properties.dump(values)) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("# a comment\n! another\n\nkey = value", {"key": "value"}),
        ("key:value", {"key": "value"}),
        ("key value", {"key": "value"}),
        ("key=a\\\n   b", {"key": "ab"}),
        ("key=a\\\\\nother=b", {"key": "a\\", "other": "b"}),
        ("address=http\\://127.0.0.1\\:8081", {"address": "http://127.0.0.1:8081"}),
        ("key=1\nkey=2", {"key": "2"}),
    ],
    ids=["comments", "colon", "space", "continued", "backslash", "escapes", "twice"],
)
def test_forms_of_a_properties_file(text: str, values: dict[str, str]) -> None:
    assert config.parse(text) == values


def test_what_the_launcher_takes_from_it(tmp_path: Path) -> None:
    entry = {"marName": "a.mar", "minWorkers": 2, "batchSize": 8, "maxBatchDelay": 50}
    snapshot = {"models": {"a": {"1.0": entry, "2.0": {**entry, "maxBatchDelay": 100}}}}
    path = tmp_path / "config.properties"
    values = {"model_store": "/store", "vmargs": "-Xmx1g -Xms1g"}
    path.write_text(properties.dump({**values, "model_snapshot": json.dumps(snapshot)}))
    settings = config.read(path)
    model = ModelConfig("a.mar", workers=2, batch_size=8)
    assert settings.models == {("a", "1.0"): model, ("a", "2.0"): model}
    assert (settings.inference, settings.http_port) == ("http://127.0.0.1:8080", 8080)
    assert settings.grpc_port == 7070
    assert settings.batch_delay == 0.1
    assert settings.vmargs == ["-Xmx1g", "-Xms1g"]
    assert settings.management == "http://127.0.0.1:8081"
    assert settings.metrics == "http://127.0.0.1:8082"


@pytest.mark.parametrize(
    "text", ["model_store=/s", "model_snapshot={}", "model_store=/s\nmodel_snapshot=x"]
)
def test_a_file_that_is_no_use_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.properties"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"config\.properties: "):
        config.read(path)


@pytest.mark.parametrize(
    ("address", "port"), [("http://0.0.0.0:80", 80), ("unix:/tmp/inference.sock", None)]
)
def test_where_inference_listens(tmp_path: Path, address: str, port: int | None) -> None:
    path = tmp_path / "config.properties"
    values = {"model_store": "/store", "model_snapshot": '{"models": {}}'}
    path.write_text(properties.dump({**values, "inference_address": address}))
    assert config.read(path).http_port == port
