"""config.properties and model-files.yaml: the same input, the same bytes, and nothing invented."""

import importlib.metadata
import itertools
import json
import re
import zipfile

import pytest
import yaml

from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.importing import keys
from harness.models.catalog import Catalog, load_catalog
from harness.models.lock import Lock, load_lock
from harness.snapshot import config, properties
from harness.snapshot.serving import ServingSettings, load_settings
from tests.snapshot.conftest import write

ENVIRONMENTS = ("local", "staging", "production")


def sources(small: Repository) -> tuple[Catalog, Lock, ServingSettings]:
    catalog = load_catalog(small.models)
    settings = load_settings(small.group("test", "torchserve") / "serving.yaml", catalog)
    return catalog, load_lock(small.lock), settings


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_committed_files_are_fresh(checkout: Repository, env: str) -> None:
    assert config.stale(checkout, env) == {}


def test_the_snapshot_says_what_is_served(small: Repository) -> None:
    text = config.load(small, "test").config_properties()

    snapshot = json.loads(properties.parse(text)["model_snapshot"])
    assert snapshot["modelCount"] == 2
    assert list(snapshot["models"]) == ["cat", "dog"]
    assert snapshot["models"]["dog"]["1.0"] == {
        "defaultVersion": True,
        "marName": "dog.mar",
        "minWorkers": 1,
        "maxWorkers": 2,
        "batchSize": 1,
        "maxBatchDelay": 1,
        "responseTimeout": 30,
        "startupTimeout": 120,
        "runtimeType": "python",
    }


def test_the_model_files_are_helm_values(small: Repository) -> None:
    values = yaml.safe_load(config.load(small, "test").model_files_yaml())

    assert values["modelStore"]["files"] == [
        {"name": "cat.mar", "sha256": "UNSET", "size": 0},
        {"name": "dog.mar", "sha256": "UNSET", "size": 0},
    ]


def test_the_order_of_the_sources_does_not_matter(small: Repository) -> None:
    catalog, lock, settings = sources(small)
    texts = set()
    for order in itertools.permutations(["cat", "dog"]):
        snapshot = config.build(
            "test",
            Catalog(models={name: catalog.models[name] for name in order}),
            Lock(models={name: lock.models[name] for name in order}),
            settings.model_copy(update={"models": {name: settings.models[name] for name in order}}),
        )
        texts.add((snapshot.config_properties(), snapshot.model_files_yaml()))

    assert len(texts) == 1


def test_each_model_has_a_line_of_its_own(small: Repository) -> None:
    lines = config.load(small, "test").config_properties().splitlines()

    assert [line.strip()[:6] for line in lines if ".mar" in line] == ['"cat":', '"dog":']


def test_the_fallback_that_was_built_is_served(checkout: Repository) -> None:
    catalog = load_catalog(checkout.models)
    lock = load_lock(checkout.lock)
    settings = load_settings(checkout.group("local", "torchserve") / "serving.yaml", catalog)
    built = lock.models["squeezenet1_1"].model_copy(update={"version": "1.0-random"})

    snapshot = config.build(
        "local", catalog, Lock(models={**lock.models, "squeezenet1_1": built}), settings
    )

    assert list(snapshot.models.models["squeezenet1_1"]) == ["1.0-random"]


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        ("models: {}", "model cat is not in the lock"),
        (
            "models: {cat: {version: '0.9', mar: cat.mar, sha256: UNSET, size: 0}}",
            "model cat is locked in version 0.9; its model.yaml has 1.0",
        ),
    ],
)
def test_a_lock_that_does_not_fit_is_refused(small: Repository, lock: str, expected: str) -> None:
    write(small.lock, lock)

    with pytest.raises(InputError, match=expected):
        config.load(small, "test")


def test_a_local_run_may_change_these_keys_and_no_other() -> None:
    assert sorted(config.LOCAL_KEYS) == [
        "grpc_inference_address",
        "grpc_inference_port",
        "grpc_management_address",
        "grpc_management_port",
        "inference_address",
        "management_address",
        "metrics_address",
        "metrics_config",
        "model_store",
        "number_of_gpu",
        "python",
    ]


def test_a_derived_file_differs_in_the_changed_keys_only(small: Repository) -> None:
    text = config.load(small, "test").config_properties()
    changes = dict.fromkeys(config.LOCAL_KEYS, "/modèles: #1")

    assert properties.parse(config.derive(text, changes)) == {**properties.parse(text), **changes}


def test_a_derived_file_may_not_change_another_key(small: Repository) -> None:
    text = config.load(small, "test").config_properties()

    with pytest.raises(UsageError, match="may not change allowed_urls, job_queue_size"):
        config.derive(text, {"allowed_urls": ".*", "job_queue_size": "1", "python": "x"})


def torchserve_keys() -> set[str]:
    """Every property name in the constants of TorchServe's own class."""
    jar = importlib.metadata.distribution("torchserve").locate_file("ts/frontend/model-server.jar")
    with zipfile.ZipFile(str(jar)) as classes:
        constants = classes.read("org/pytorch/serve/util/ConfigManager.class")
    return {word.decode() for word in re.findall(rb"[a-zA-Z_]{3,60}", constants)}


def test_every_key_that_is_written_is_torchserves_own(small: Repository) -> None:
    text = config.load(small, "test").config_properties()

    assert set(properties.parse(text)) <= keys.KNOWN
    # The Python launcher reads the other two.
    assert torchserve_keys() >= keys.KNOWN - {"vmargs", "plugins_path"}


def test_the_documentation_has_every_key_and_no_other(
    checkout: Repository, small: Repository
) -> None:
    page = (checkout.root / "docs/snapshot.md").read_text()
    written, left_out = page.split("## What is left out")

    write(small.cluster("test") / "loadtest.yaml", "slos: [{latency: {p50: 60, p99: 400}}]\n")
    rows = re.findall(r"^\| `([a-z_]+)`", written, re.MULTILINE)
    assert rows == list(properties.parse(config.load(small, "test").config_properties()))
    for key in ("NUM_WORKERS", "load_models", "tsConfigFile", "version", "snapshot_store"):
        assert f"`{key}`" in left_out


def test_limits_of_slos_are_bounds_of_the_launchers_histograms(small: Repository) -> None:
    write(small.cluster("test") / "loadtest.yaml", "slos: [{latency: {p50: 60, p99: 400}}]\n")
    values = properties.parse(config.load(small, "test").config_properties())
    assert values["launcher_latency_bounds"] == "0.4"


def test_oip_is_let_through_and_answered_together(small: Repository) -> None:
    write(
        small.group("test") / "serving.yaml",
        """
        server: {numberOfGpu: 0, jobQueueSize: 100, numberOfNettyThreads: 4}
        protocols: [torchserve, oip]
        models: {cat: {}, dog: {}}
        """,
    )
    snapshot = config.load(small, "test")
    files = snapshot.route_files("torchserve")
    settings = properties.parse(snapshot.config_properties())
    assert settings["ts_open_inference_protocol"] == "true"
    assert "value: /v2/models/cat\n" in files["httproute.yaml"]
    assert "openinference.GRPCInferenceService" in files["grpcroute.yaml"]


def test_a_browser_may_send_the_token_that_the_gateway_asks_for(small: Repository) -> None:
    write(
        small.group("test") / "serving.yaml",
        """
        server:
          numberOfGpu: 0
          jobQueueSize: 100
          numberOfNettyThreads: 4
          corsAllowedOrigin: "https://a.example.com, https://b.example.com"
          corsAllowedMethods: GET, POST
          corsAllowedHeaders: x-tenant
        models: {cat: {}, dog: {}}
        """,
    )
    text = config.load(small, "test").route_files("torchserve")["httproute.yaml"]
    [rule] = yaml.safe_load(text)["spec"]["rules"]
    assert rule["filters"][0]["cors"] == {
        "allowOrigins": ["https://a.example.com", "https://b.example.com"],
        "allowMethods": ["GET", "POST"],
        "allowHeaders": ["x-tenant", "authorization"],
    }


def test_routes_are_written_where_the_kustomization_lists_them(small: Repository) -> None:
    folder = small.group("test")
    assert folder / "httproute.yaml" not in config.stale(small, "test")
    (folder / "kustomization.yaml").write_text("resources: [httproute.yaml]\n")
    assert folder / "httproute.yaml" in config.stale(small, "test")
    assert folder / "grpcroute.yaml" not in config.stale(small, "test")
