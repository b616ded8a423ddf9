"""A place for every key: typed where TorchServe knows it, free where it does not."""

import pytest
from pydantic import ValidationError

from harness.core.repository import Repository
from harness.importing import keys
from harness.snapshot import config, properties
from harness.snapshot.server import DECIDED, FIELDS, ServerSettings
from tests.snapshot.conftest import write

NEEDED = {"numberOfGpu": 0, "jobQueueSize": 1, "numberOfNettyThreads": 0}
METRICS = "dimensions: []\n"


def test_every_key_that_torchserve_knows_is_set_here_or_decided_elsewhere() -> None:
    places = set(FIELDS.values()) | set(DECIDED)

    # TorchServe overwrites the one, and reports whatever text the other has as its own version.
    assert keys.KNOWN - places == {"tsConfigFile", "version"}


def test_a_setting_is_written_as_torchserve_spells_it() -> None:
    server = ServerSettings.model_validate(
        {**NEEDED, "maxRequestSize": 500_000_000, "decodeInputRequest": False, "vmargs": "-Xmx4g"}
    )

    assert server.config_properties() == {
        "number_of_gpu": "0",
        "job_queue_size": "1",
        "number_of_netty_threads": "0",
        "max_request_size": "500000000",
        "decode_input_request": "false",
        "vmargs": "-Xmx4g",
    }


def test_a_key_of_a_plugin_passes_as_it_is() -> None:
    server = ServerSettings.model_validate({**NEEDED, "properties": {"snapshot_table": "a b"}})

    assert server.config_properties()["snapshot_table"] == "a b"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("max_request_size", "write it as maxRequestSize"),
        ("allowed_urls", "cannot be set: Git decides what is served"),
        ("model_store", "cannot be set: the chart and the launcher say where things are"),
    ],
)
def test_a_key_with_a_place_of_its_own_is_no_free_one(key: str, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        ServerSettings.model_validate({**NEEDED, "properties": {key: "1"}})


def test_the_file_of_the_metrics_goes_to_the_pods_with_the_settings(small: Repository) -> None:
    serving = small.group("test") / "serving.yaml"
    serving.write_text(serving.read_text().replace("server: {", "server: {metricsConfig: m.yaml, "))
    write(small.group("test") / "m.yaml", METRICS)

    snapshot = config.load(small, "test")

    written = properties.parse(snapshot.config_properties())
    assert written["metrics_config"] == "/etc/torchserve/metrics.yaml"
    assert f"metricsConfig: |\n  {METRICS}" in snapshot.model_files_yaml()
