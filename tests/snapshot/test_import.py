"""An existing config.properties becomes models/ entries and settings; nothing is lost silently."""

from pathlib import Path

import pytest
import yaml

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models.catalog import load_catalog
from harness.models.lock import load_lock
from harness.snapshot import config, importer, properties
from harness.snapshot.serving import load_settings
from tests.snapshot.conftest import write

SAMPLES = Path(__file__).parents[1] / "testdata/import"


def test_the_one_model_sample_is_carried_over(small: Repository) -> None:
    imported = importer.read(SAMPLES / "one-model.properties")

    assert imported.server.model_dump(exclude_defaults=True) == {
        "number_of_gpu": 1,
        "job_queue_size": 1000,
        "number_of_netty_threads": 32,
    }
    squeezenet = imported.models["squeezenet1_1"]
    assert squeezenet.version == "1.0"
    assert squeezenet.serving.model_dump(by_alias=True) == {
        "minWorkers": 1,
        "maxWorkers": 1,
        "batchSize": 1,
        "maxBatchDelay": 100,
        "responseTimeout": 120,
        "startupTimeout": 120,
    }
    assert [(remark.key, remark.line) for remark in imported.remarks] == [
        ("load_models", 2),
        ("snapshot_store", 3),
        ("NUM_WORKERS", 4),
        ("tsConfigFile", 10),
        ("version", 11),
        ("management_address", 13),
    ]


def test_the_two_model_sample_is_carried_over() -> None:
    imported = importer.read(SAMPLES / "two-models.properties")

    workers = {name: model.serving.min_workers for name, model in imported.models.items()}
    assert workers == {"squeezenet1_1": 3, "mnist": 5}


def test_what_is_imported_gives_the_same_snapshot_again(small: Repository) -> None:
    imported = importer.read(SAMPLES / "two-models.properties")
    importer.write_models(small, imported)
    serving = small.group("test", "torchserve") / "serving.yaml"
    serving.write_text(imported.serving_yaml(load_catalog(small.models)))

    again = config.load(small, "test")

    assert again.models.models["mnist"]["1.0"].model_dump() == {
        "default_version": True,
        "mar_name": "mnist.mar",
        "min_workers": 5,
        "max_workers": 5,
        "batch_size": 1,
        "max_batch_delay": 200,
        "response_timeout": 60,
        "startup_timeout": 120,
        "runtime_type": "python",
        "parallel_level": None,
    }
    assert properties.parse(again.config_properties())["job_queue_size"] == "1000"
    assert load_lock(small.lock).models["mnist"].unset


def test_a_model_that_is_there_stays_as_it_is(small: Repository, tmp_path: Path) -> None:
    path = tmp_path / "old.cfg"
    path.write_text((SAMPLES / "two-models.properties").read_text().replace("mnist", "dog"))
    before = (small.models / "dog/model.yaml").read_text()
    imported = importer.read(path)

    [remark] = importer.existing_models(small, imported)
    written = importer.write_models(small, imported)

    assert remark.key == "model_snapshot.dog.1.0.marName"
    assert (small.models / "dog/model.yaml").read_text() == before
    assert small.models / "dog/model.yaml" not in written
    settings = yaml.safe_load(imported.serving_yaml(load_catalog(small.models)))["models"]["dog"]
    # Where its own file differs, the environment says what the old file said.
    assert settings == {
        "minWorkers": 5,
        "maxWorkers": 5,
        "maxBatchDelay": 200,
        "responseTimeout": 60,
    }


def test_what_is_written_can_be_loaded(small: Repository) -> None:
    imported = importer.read(SAMPLES / "one-model.properties")
    importer.write_models(small, imported)
    path = small.group("test", "torchserve") / "serving.yaml"
    catalog = load_catalog(small.models)
    path.write_text(imported.serving_yaml(catalog))

    served = load_settings(path, catalog).models["squeezenet1_1"].model_dump()
    assert served.items() >= imported.models["squeezenet1_1"].serving.model_dump().items()


ENTRY = (
    '"defaultVersion":true,"marName":"a.mar","minWorkers":1,"maxWorkers":1,'
    '"batchSize":1,"maxBatchDelay":1'
)


def import_text(tmp_path: Path, versions: str, rest: str = "") -> importer.Imported:
    path = tmp_path / "old.properties"
    write(path, f'model_snapshot={{"modelCount":1,"models":{{"a":{versions}}}}}\n{rest}')
    return importer.read(path)


@pytest.mark.parametrize(
    ("versions", "rest", "key", "why"),
    [
        ("", "number_of_gpu=2\nnumber_of_gpu=1", "number_of_gpu", "duplicate: line 3 wins"),
        ("", "", "job_queue_size", "not in the file: 100 stands in serving.yaml now"),
        ("", "keystore_pass=geheim", "keystore_pass", "TLS ends at the gateway"),
        ("", "cors_allowed_origin=*", "cors_allowed_origin", "serving.yaml has no such setting"),
        ("", "made_up=1", "made_up", "TorchServe 0.12 does not know it"),
        ('"color":1', "", "model_snapshot.a.1.0.color", "TorchServe ignores it"),
        ('"runtimeType":"LSP"', "", "model_snapshot.a.1.0.runtimeType", "the image's own Python"),
        ('"parallelLevel":2', "", "model_snapshot.a.1.0.parallelLevel", "model-config.yaml"),
    ],
)
def test_what_is_not_carried_over_is_named(
    tmp_path: Path, versions: str, rest: str, key: str, why: str
) -> None:
    entry = ",".join(filter(None, [ENTRY, versions]))

    imported = import_text(tmp_path, f'{{"1.0":{{{entry}}}}}', rest)

    [remark] = [each for each in imported.remarks if each.key == key]
    assert why in remark.why
    assert "geheim" not in str(imported.remarks)


def test_of_two_versions_the_default_one_is_taken(tmp_path: Path) -> None:
    other = ENTRY.replace("true", "false")

    imported = import_text(tmp_path, f'{{"1.0":{{{other}}},"2.0":{{{ENTRY}}}}}')

    assert imported.models["a"].version == "2.0"
    assert "model_snapshot.a.1.0" in [remark.key for remark in imported.remarks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("load_models=all\n", "no model_snapshot: nothing says which models are served"),
        ("model_snapshot={\n", r":1: model_snapshot is not JSON"),
        (
            'a=1\nmodel_snapshot={"modelCount":1,"models":{"a":{"1":{'
            + ENTRY.replace("true", "false")
            + "}}}}\n",
            r":2: a needs one default version and has none",
        ),
        (
            'model_snapshot={"modelCount":1,"models":{"a":{"1":{'
            + ENTRY.replace('"minWorkers":1', '"responseTimeout":0,"minWorkers":1')
            + "}}}}\n",
            r":1: model_snapshot: models.a.1.responseTimeout: ",
        ),
        (
            'model_snapshot={"modelCount":1,"models":{"a":{"1":{' + ENTRY + "}}}}\n"
            "number_of_gpu=one\n",
            r":2: number_of_gpu: ",
        ),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "old.properties"
    path.write_text(text)

    with pytest.raises(InputError, match=expected):
        importer.read(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        importer.read(tmp_path / "none")
