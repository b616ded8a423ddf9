"""serving.yaml: what it leaves open the models decide, and what is wrong has its line."""

import pytest

from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models.catalog import load_catalog
from harness.snapshot.serving import ServingSettings, load_settings
from tests.snapshot.conftest import write

SERVER = "server: {numberOfGpu: 1, jobQueueSize: 10, numberOfNettyThreads: 2}\n"


def load(small: Repository, text: str) -> ServingSettings:
    path = small.group("test", "torchserve") / "serving.yaml"
    write(path, text)
    return load_settings(path, load_catalog(small.models))


def test_a_setting_wins_over_the_model_and_leaves_the_others(small: Repository) -> None:
    settings = load(small, SERVER + "models:\n  dog:\n    minWorkers: 3\n")

    dog = settings.models["dog"]
    assert (dog.min_workers, dog.max_workers, dog.batch_size) == (3, 4, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SERVER + "models:\n  dgo: {}\n", r":3: models.dgo: no such model; did you mean dog"),
        (
            SERVER + "models:\n  cat: {minWorkrs: 1}\n",
            r":3: .*unknown key; did you mean minWorkers",
        ),
        (SERVER + "models:\n  dog:\n    minWorkers: 9\n", r":3: .*minWorkers 9 > maxWorkers 4"),
        (SERVER + "models:\n  cat: {batchSize: 2147483648}\n", r":3: .*is not 2147483647 or less"),
        (SERVER + "models:\n  cat:\n", r":3: models.cat: "),
        (SERVER + "models: {}\n", r":2: models: "),
        (SERVER + "models: [cat]\n", r":2: models: "),
        ("server: {numberOfGpu: 1}\nmodels: {cat: {}}\n", r":1: server.jobQueueSize is missing"),
        (SERVER.replace("1,", "'1',") + "models: {cat: {}}\n", r":1: server.numberOfGpu: "),
        ("[]\n", r":1: "),
        (SERVER + "models: {cat: {}}\n---\nmodels: {}\n", r": 2 YAML documents where one"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(small: Repository, text: str, expected: str) -> None:
    with pytest.raises(InputError, match=r"serving\.yaml" + expected):
        load(small, text)
