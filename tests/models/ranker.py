"""A checkout with one model in two versions: a .tar.gz, and a MAR under a name of its own."""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import yaml

from harness.core import repository
from harness.core.repository import Repository
from harness.models.archive import MANIFEST

NEW = "2024-03-20-18:11"
HANDLER = "def handle(data, context):\n    return [{text!r} for _ in data or []]\n"


def export(folder: Path, version: str) -> Path:
    """A folder that answers with its version."""
    (folder / "MAR-INF").mkdir(parents=True)
    about = {"modelName": "exported", "modelVersion": version, "handler": "handler.py:handle"}
    (folder / MANIFEST).write_text(json.dumps({"runtime": "python", "model": about}))
    (folder / "handler.py").write_text(HANDLER.format(text=f"by {version}"))
    return folder


def plant(root: Path) -> Repository:
    """Write the checkout."""
    home = root / "models/ranker"
    home.mkdir(parents=True)
    with tarfile.open(home / "ranker new.tar.gz", "w:gz") as packed:
        packed.add(export(root / "new", NEW), "ranker")
    with zipfile.ZipFile(home / "ranker_v1.mar", "w") as packed:
        old = export(root / "old", "1.0")
        for name in (MANIFEST, "handler.py"):
            packed.write(old / name, name)
    describe(root, {"1.0": {"archive": "ranker_v1.mar"}})
    serve(root, {"minWorkers": 1, "maxWorkers": 1, "maxBatchDelay": 0}, {"1.0": {}})
    jars = root / "apps/torchserve/image/jars.lock"
    jars.parent.mkdir(parents=True)
    shutil.copy(repository.find().jars_lock, jars)
    return Repository(root)


def describe(root: Path, versions: dict[str, dict[str, str]], version: str = NEW) -> None:
    model = {"name": "ranker", "version": version, "versions": versions, "description": "Ranks."}
    model["artifact"] = {"adopted": {"archive": "ranker new.tar.gz"}}
    (root / "models/ranker/model.yaml").write_text(yaml.safe_dump(model))


def serve(root: Path, model: dict[str, object], versions: object, **more: object) -> None:
    group = root / "apps/torchserve/local/torchserve"
    group.mkdir(parents=True, exist_ok=True)
    (root / "clusters/local").mkdir(parents=True, exist_ok=True)
    server = {"numberOfGpu": 0, "jobQueueSize": 10, "numberOfNettyThreads": 2}
    models = {"ranker": {**model, "versions": versions, **more}}
    (group / "serving.yaml").write_text(yaml.safe_dump({"server": server, "models": models}))
