"""The sync Job's program on a folder of this machine, run as the image runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import harness
from harness.archives.push import Bucket
from harness.models.lock import LockedModel
from tests.support.aws_server import Shim

Archive = tuple[Path, LockedModel]
MODULES = Path(harness.__file__).parent  # in the image /opt/serving, with nothing else in it


@dataclass
class Job:
    """A volume, and the Job that fills it."""

    bucket: Bucket
    folder: Path
    environment: dict[str, str]
    argv: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "data" / "model_store"

    @property
    def files(self) -> Path:
        return self.folder / "model-files.json"

    def wants(self, *locked: LockedModel) -> "Job":
        listed = [{"name": each.mar, "sha256": each.sha256, "size": each.size} for each in locked]
        self.files.write_text(json.dumps(listed))
        config = self.folder / "config.properties"
        config.write_text("load_models=all\n")
        self.argv = [
            sys.executable, "-m", "model_sync", f"--source=s3://{self.bucket.name}",
            f"--files={self.files}", f"--config={config}", f"--store={self.store}",
        ]  # fmt: skip
        return self

    def start(self, **more: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv, cwd=MODULES, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more,
        )  # fmt: skip

    def run(self, **more: object) -> tuple[int, str]:
        with self.start(**more) as process:
            out = process.communicate(timeout=60)[0]
        return process.returncode, out

    def holds(self) -> list[str]:
        return sorted(path.name for path in self.store.iterdir() if path.name != ".lock")


@pytest.fixture
def job(bucket: Bucket, shim: Shim, tmp_path: Path) -> Job:
    (tmp_path / "data").mkdir()
    saved = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    saved["AWS_REGION"] = "us-west-2"
    return Job(bucket, tmp_path, saved)


@pytest.fixture
def pushed(push: Callable, archive: Callable[..., Archive]) -> LockedModel:
    built = archive(b"weights" * 300_000)
    push(built)
    return built[1]
