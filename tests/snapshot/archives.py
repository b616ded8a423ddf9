"""The smallest archives that TorchServe serves."""

import json
import zipfile
from pathlib import Path

from harness.core import files
from harness.models.lock import LockedModel

_HANDLER = "def handle(data, context):\n    return ['ok' for _ in data or []]\n"


def write_archive(store: Path, name: str, version: str, mar: str = "") -> LockedModel:
    """Write an archive into the store and say what it is."""
    store.mkdir(parents=True, exist_ok=True)
    model = {"modelName": name, "modelVersion": version, "handler": "handler.py:handle"}
    manifest = {"runtime": "python", "archiverVersion": "0.12.0", "model": model}
    path = store / (mar or f"{name}.mar")
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        packed.writestr("handler.py", _HANDLER)
    digest = files.sha256(path)
    return LockedModel(version=version, mar=path.name, sha256=digest, size=path.stat().st_size)
