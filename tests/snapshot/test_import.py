"""``harness snapshot import``: one file into models/ and the serving.yaml of an environment."""

from pathlib import Path

import pytest
import yaml

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.importing import write
from harness.models.lock import load_lock
from harness.snapshot import config, properties
from tests.importing.conftest import import_

SAMPLES = Path(__file__).parents[1] / "testdata/import"


def serving(small: Repository) -> Path:
    return small.group("test", "torchserve") / "serving.yaml"


def test_what_is_imported_gives_the_same_snapshot_again(small: Repository) -> None:
    imported = import_(SAMPLES / "two-models.properties")

    write.apply_part(small, imported, serving(small))

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


def test_a_model_that_exists_stays_as_it_is(small: Repository, tmp_path: Path) -> None:
    path = tmp_path / "old.cfg"
    path.write_text((SAMPLES / "two-models.properties").read_text().replace("mnist", "dog"))
    before = (small.models / "dog/model.yaml").read_text()

    written, text = write.apply_part(small, import_(path), None)

    assert (small.models / "dog/model.yaml").read_text() == before
    assert small.models / "dog/model.yaml" not in written
    # Where its own file differs, the environment says what the old file said.
    assert yaml.safe_load(text)["models"]["dog"] == {
        "minWorkers": 5,
        "maxWorkers": 5,
        "maxBatchDelay": 200,
        "responseTimeout": 60,
    }


def test_a_file_without_a_model_is_not_enough(small: Repository, tmp_path: Path) -> None:
    path = tmp_path / "old.properties"
    path.write_text("job_queue_size=7\n")

    with pytest.raises(InputError, match="no source names a model"):
        write.apply_part(small, import_(path), None)
