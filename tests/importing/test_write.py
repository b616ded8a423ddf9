"""An import writes a whole environment, or nothing."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.cli import main
from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.importing import write
from harness.importing.write import Target
from harness.loadtest import profile
from harness.models.lock import load_lock
from harness.policy import engine
from harness.snapshot import config, properties
from tests.importing.archives import Made
from tests.importing.conftest import import_
from tests.importing.forms import entry, snapshot
from tests.support import variation

CONFIG = (
    "inference_address=https://0.0.0.0:8443\nkeystore=/k.p12\nkeystore_pass=hunter2\n"
    "default_response_timeout=1000\nmax_request_size=500000000\nservice_envelope=kserve\n"
    "metrics_config=/old/metrics.yaml\nload_models=mnist.mar,ner=nlp/ner model.mar\n"
)


@pytest.fixture
def repository(checkout: Repository, tmp_path: Path) -> Repository:
    root = tmp_path / "clone"
    for name in ("apps", "clusters", "infra", "models"):
        shutil.copytree(checkout.root / name, root / name)
    return Repository(root.resolve())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    config = {"minWorkers": 2, "maxWorkers": 3}
    Made("mnist.mar", "mnist", "2.0", config, "# ours\ntransformers==4.44.0\n").write(folder)
    Made("nlp/ner model.mar", "other", "1.0").write(folder)
    return folder


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "metrics.yaml").write_text("dimensions: []\nmetrics: {}\n")
    path = tmp_path / "config.properties"
    path.write_text(CONFIG)
    return path


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_the_environment_is_whole(repository: Repository, old: Path, store: Path) -> None:
    imported = import_(old, store=store)

    write.apply(repository, imported, Target("mine", "staging"))

    assert config.stale(repository, "mine") == {}
    written = properties.parse((repository.group("mine") / "config.properties").read_text())
    assert written["max_request_size"] == "500000000"
    assert written["metrics_config"] == "/etc/torchserve/metrics.yaml"
    served = json.loads(written["model_snapshot"])["models"]
    assert served["mnist"]["2.0"]["maxWorkers"] == 3
    assert served["ner"]["1.0"]["responseTimeout"] == 1000
    lock = load_lock(repository.lock)
    assert lock.models["mnist"].size == (store / "mnist.mar").stat().st_size
    # No store can hold a name with a blank: the archive is there to be repacked.
    assert lock.models["ner"].unset
    assert (repository.models / "ner/ner model.mar").is_file()


def test_what_depends_on_the_models_follows(repository: Repository, old: Path, store: Path) -> None:
    imported = import_(old, "OMP_NUM_THREADS=1", "HF_TOKEN=secret", store=store)
    write.apply(repository, imported, Target("mine", "staging"))

    release = yaml.safe_load((repository.group("mine") / "helmrelease.yaml").read_text())["spec"]
    assert release["values"]["drainSeconds"] == 1000
    assert release["values"]["test"] == {"model": "mnist"}
    assert release["timeout"] == "68m"
    assert release["values"]["env"] == [{"name": "OMP_NUM_THREADS", "value": "1"}]
    packages = (repository.models / "mnist/requirements.in").read_text()
    assert packages.splitlines()[1:] == ["transformers==4.44.0"]
    serving = yaml.safe_load((repository.group("mine") / "serving.yaml").read_text())
    assert serving["protocols"] == ["torchserve", "kserve-v1"]
    path = repository.cluster("mine") / "loadtest.yaml"
    assert [each.model for each in profile.load_profile(path).mix] == ["mnist", "ner"]
    stages = path.read_text().partition("stages:")[2].partition("slos:")[0]
    assert "#" not in stages, "comments with figures of the other environment"


@pytest.mark.parametrize("line", ["", "job_queue_size=7\n", "job_queue_size=1000\n"])
def test_an_environment_of_one_model_passes_check(tmp_path: Path, line: str) -> None:
    repository = variation.copy(tmp_path / "clone")
    Made("ocr.mar", "ocr", "1.0").write(tmp_path / "store")
    path = tmp_path / "config.properties"
    path.write_text(f"{line}load_models=all\n")

    write.apply(repository, import_(path, store=tmp_path / "store"), Target("mine", "staging"))

    assert engine.check(repository).findings == ()


def test_versions_stay_next_to_each_other(repository: Repository, tmp_path: Path) -> None:
    store = tmp_path / "store"
    versions = {}
    for version, default in (("1.0", False), ("2.0", True)):
        Made(f"r{version}.mar", "ranker", version).write(store)
        versions[version] = entry(f"r{version}.mar", defaultVersion=default, maxWorkers=3)
    versions["1.0"]["batchSize"] = 7
    path = tmp_path / "config.properties"
    path.write_text(f"model_snapshot={snapshot({'ranker': versions})}\nmodel_store={store}\n")

    write.apply(repository, import_(path), Target("mine", "staging"))

    written = properties.parse((repository.group("mine") / "config.properties").read_text())
    ranker = json.loads(written["model_snapshot"])["models"]["ranker"]
    assert {version: each["defaultVersion"] for version, each in ranker.items()} == {
        "1.0": False,
        "2.0": True,
    }
    assert (ranker["1.0"]["batchSize"], ranker["2.0"]["batchSize"]) == (7, 1)
    assert (ranker["1.0"]["maxWorkers"], ranker["2.0"]["maxWorkers"]) == (3, 3)
    [other] = load_lock(repository.lock).models["ranker"].others
    assert (other.version, other.mar) == ("1.0", "r1.0.mar")


def test_an_environment_that_exists_is_changed_by_force_alone(
    repository: Repository, old: Path, store: Path
) -> None:
    imported = import_(old, store=store)
    before = files(repository.root)

    with pytest.raises(UsageError, match="--force replaces its"):
        write.apply(repository, imported, Target("staging", "staging"))
    assert files(repository.root) == before

    write.apply(repository, imported, Target("staging", "staging", force=True))
    assert config.stale(repository, "staging") == {}


def test_a_failure_leaves_nothing_behind(repository: Repository, store: Path) -> None:
    imported = import_(f"torchserve --models good=mnist.mar --model-store {store}")
    bad = import_(f"torchserve --models 'no good=mnist.mar' --model-store {store}")
    before = files(repository.root)

    with pytest.raises(InputError, match="no good"):
        both = {**imported.models, **bad.models}
        write.apply(
            repository,
            replace(imported, models=both, others={**imported.others, **bad.others}),
            Target("mine", "staging"),
        )

    assert files(repository.root) == before


def test_without_a_model_those_of_the_other_environment_stand_in(
    repository: Repository, tmp_path: Path
) -> None:
    path = tmp_path / "config.properties"
    path.write_text("job_queue_size=7\n")

    write.apply(repository, import_(path), Target("mine", "staging"))

    serving = yaml.safe_load((repository.group("mine") / "serving.yaml").read_text())
    assert serving["server"]["jobQueueSize"] == 7
    like = yaml.safe_load((repository.group("staging") / "serving.yaml").read_text())
    assert set(serving["models"]) == set(like["models"])


@pytest.fixture
def run(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def _run(*words: object) -> tuple[int, str, str]:
        monkeypatch.chdir(repository.root)
        code = main(["import", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return _run


def test_without_apply_nothing_is_written(
    repository: Repository, run: Callable[..., tuple[int, str, str]], old: Path, store: Path
) -> None:
    before = files(repository.root)

    code, out, err = run(old, "--env", "mine", "--store", store)

    assert code == 0
    assert "would write apps/torchserve/mine" in out
    assert "--apply writes it" in err
    assert "hunter2" not in out + err
    assert files(repository.root) == before


def test_the_report_for_programs(
    run: Callable[..., tuple[int, str, str]], old: Path, store: Path
) -> None:
    code, out, _ = run(old, "--env", "mine", "--store", store, "--apply", "--json")

    report = json.loads(out)
    assert (code, report["applied"], report["lost"]) == (0, True, 0)
    classes = {each["key"]: each["class"] for each in report["keys"]}
    assert classes["keystore_pass"] == "carried elsewhere"
    assert classes["max_request_size"] == "carried"
    assert "models/mnist/model.yaml" in report["files"]
    assert "hunter2" not in out


def test_every_fault_of_a_file_at_once_with_its_line(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "config.properties"
    path.write_text(
        "job_queue_size=10\ngrpc_inference_port=http://x:1\n\nnumber_of_netty_threads=2 # two\n"
        'model_snapshot={\n  "modelCount": 1\n}\n'
    )

    code, out, err = run(path, "--env", "mine")

    assert code == 1
    lines = [line.partition(f"{path}:")[2] for line in err.splitlines() if "✗" in line]
    assert [line[:24] for line in sorted(lines)] == [
        "2: grpc_inference_port i",
        "4: number_of_netty_threa",
        "5: model_snapshot: the v",
    ]
    assert "give it a line of its own" in err
    assert "TorchServe 0.12 does not start with that either" in err
    assert "server.jobQueueSize: 10" in out


def test_what_has_to_be_asked_is_no_fault(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "config.properties"
    path.write_text("load_models=all\nmodel_store=/old/store\n")

    code, _, err = run(path, "--env", "mine")

    assert code == 1
    assert "what lies in /old/store, which is not known here: add --store FOLDER" in err
    assert "either" not in err
    _, out, _ = run(path, "--env", "mine", "--json")
    assert json.loads(out)["next"] == []


def test_an_environment_that_exists_is_named_where_it_is(
    repository: Repository, run: Callable[..., tuple[int, str, str]], old: Path, store: Path
) -> None:
    code, _, err = run(old, "--env", "staging", "--store", store)

    assert code == 2
    serving = repository.group("staging") / "serving.yaml"
    assert f"✗ {serving}: the environment staging exists" in err
