"""``harness models push``, ``pull`` and ``gc`` as a person types them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import cli
from harness.archives.push import Bucket
from harness.core.repository import Repository
from harness.models.lock import Lock, write_lock
from harness.settings import site
from tests.archives.conftest import Archive


@pytest.fixture
def staging(
    checkout: Repository, tmp_path: Path, bucket: Bucket, archive, monkeypatch: pytest.MonkeyPatch
) -> Archive:
    """A checkout whose lock names one archive, which is built."""
    repository = Repository(tmp_path / "checkout")
    shutil.copytree(
        checkout.root / "clusters" / "staging", repository.root / "clusters" / "staging"
    )
    repository.models.mkdir()
    path, locked = archive(b"weights")
    write_lock(repository.lock, Lock(models={"tiny": locked}))
    (repository.built_models / "model-store").mkdir(parents=True)
    shutil.copy(path, repository.built_models / "model-store")
    site.fill(
        repository, "staging", {"AWS_ACCOUNT_ID": "123456789012", "MODEL_BUCKET": bucket.name}
    )
    subprocess.run(["git", "init", "--quiet"], cwd=repository.root, check=True)
    monkeypatch.chdir(repository.root)
    return path, locked


def test_push_puts_up_what_the_lock_names(
    staging: Archive, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "push", "--env", "staging"]) == 0
    assert f"s3://{bucket.name}: 1 pushed, 0 already present" in capsys.readouterr().out
    assert cli.main(["models", "push", "--env", "staging", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["there"] == [staging[1].mar]


def test_what_was_built_on_another_machine_needs_no_file_here_and_can_be_pulled(
    staging: Archive, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    path, locked = staging
    assert cli.main(["models", "push", "--env", "staging"]) == 0
    stored = Repository(Path.cwd()).built_models / "model-store" / locked.mar
    stored.unlink()
    assert cli.main(["models", "push", "--env", "staging"]) == 0
    assert "0 pushed, 1 already present" in capsys.readouterr().out
    assert cli.main(["models", "pull", "--env", "staging"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == locked.mar
    assert stored.read_bytes() == path.read_bytes()
    assert cli.main(["models", "pull", "--env", "staging", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pulled"] == []


def test_gc_lists_and_only_then_removes(
    staging: Archive, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in (staging[1].mar, "forgotten.mar", "evidence.json"):
        bucket.aws.call("s3", "put_object", Bucket=bucket.name, Key=key, Body=b"x")
    assert cli.main(["models", "gc", "--env", "staging"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "forgotten.mar"
    assert cli.main(["models", "gc", "--env", "staging", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unneeded"] == ["forgotten.mar"]
    remaining = bucket.aws.list_all("s3", "list_objects_v2", "Contents", Bucket=bucket.name)
    assert {each["Key"] for each in remaining} == {staging[1].mar, "evidence.json"}


def test_a_bucket_that_is_unset_names_the_command_that_sets_it(
    staging: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    site.fill(Repository(Path.cwd()), "staging", {"MODEL_BUCKET": "UNSET"})
    assert cli.main(["models", "push", "--env", "staging"]) == 1
    err = capsys.readouterr().err
    assert "site.yaml:" in err
    assert "harness init --env staging MODEL_BUCKET=…" in err
