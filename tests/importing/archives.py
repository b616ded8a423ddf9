"""Archives by name, in each form that TorchServe takes: zip, gzipped tar, folder."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

HANDLER = "def handle(data, context):\n    return ['ok' for _ in data or []]\n"


@dataclass(frozen=True)
class Made:
    """An archive to make: its file in the store, and what it says of itself."""

    file: str
    name: str
    version: str
    config: Mapping[str, object] = field(default_factory=dict)
    requirements: str = ""

    def write(self, store: Path) -> Path:
        path = store / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        contents = self._contents()
        if self.file.endswith(".mar"):
            with zipfile.ZipFile(path, "w") as packed:
                for name, text in contents.items():
                    packed.writestr(name, text)
        elif self.file.endswith(".tar.gz"):
            with tarfile.open(path, "w:gz") as packed:
                for name, text in contents.items():
                    # TorchServe drops the first folder of each name.
                    entry = tarfile.TarInfo(f"{self.name}/{name}")
                    entry.size = len(text.encode())
                    packed.addfile(entry, io.BytesIO(text.encode()))
        else:
            for name, text in contents.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_text(text)
        return path

    def _contents(self) -> dict[str, str]:
        model = {"modelName": self.name, "modelVersion": self.version, "handler": "h.py:handle"}
        contents = {"h.py": HANDLER}
        if self.config:
            model["configFile"] = "model-config.yaml"
            contents["model-config.yaml"] = yaml.safe_dump(dict(self.config))
        if self.requirements:
            model["requirementsFile"] = "requirements.txt"
            contents["requirements.txt"] = self.requirements
        manifest = {"runtime": "python", "archiverVersion": "0.12.0", "model": model}
        return {"MAR-INF/MANIFEST.json": json.dumps(manifest), **contents}
