"""A folder of images in the OCI layout, and images made there of another one's layers.

Format: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core import files

_NAME = "org.opencontainers.image.ref.name"
_LAYER = "application/vnd.oci.image.layer.v1.tar"

Descriptor = dict[str, object]
"""Media type, digest and size of a blob."""


class Layout:
    """A layout and its index; ``write`` keeps what was added.

    One whose writing was cut short has no index, and no image.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, path = folder, folder / "index.json"
        self._index = json.loads(path.read_text()) if path.is_file() else {"manifests": []}

    def find(self, image: str) -> Descriptor | None:
        """Return the manifest of an image, or None if there is none of that name."""
        named = (each for each in self._index["manifests"] if each["annotations"][_NAME] == image)
        return next(named, None)

    def layers(self, manifest: Descriptor) -> list[int]:
        """The bytes of each layer of an image, as it is stored."""
        return [int(each["size"]) for each in self._read(manifest)["layers"]]

    def keep(self, images: Sequence[str]) -> None:
        """Take all other names away."""
        manifests = self._index["manifests"]
        self._index["manifests"] = [
            each for each in manifests if each["annotations"][_NAME] in images
        ]

    def name(self, image: str, manifest: Descriptor) -> None:
        """Give a manifest this name too."""
        self._index["manifests"].append({**manifest, "annotations": {_NAME: image}})

    def derive(
        self,
        image: str,
        parent: Descriptor,
        entry: Sequence[str],
        *,
        user: str,
        programs: Mapping[str, Path] | None = None,
    ) -> None:
        """Add an image of another one's layers.

        Args:
            image: its name.
            parent: the other one's manifest.
            entry: what it runs.
            user: as whom.
            programs: by name, what it has in /usr/local/bin beyond the other one.
        """
        manifest = self._read(parent)
        settings = self._read(manifest["config"])
        settings["config"] = {"Entrypoint": [*entry], "User": user}
        if programs:
            layer = self._layer(programs)
            manifest["layers"].append(layer)
            settings["rootfs"]["diff_ids"].append(layer["digest"])
            settings["history"].append({"created_by": f"programs {', '.join(programs)}"})
        manifest["config"] = {**manifest["config"], **self._add(settings)}
        self.name(image, {**parent, **self._add(manifest)})

    def relabel(self, image: str, parent: Descriptor, labels: Mapping[str, str]) -> str:
        """Add an image that differs from another one in its labels alone.

        Args:
            image: its name, without the digest.
            parent: the other one's manifest.
            labels: the labels.

        Returns:
            Its digest, which its name ends with.
        """
        manifest = self._read(parent)
        settings = self._read(manifest["config"])
        settings["config"]["Labels"] = {**labels}
        manifest["config"] = {**manifest["config"], **self._add(settings)}
        descriptor = {**parent, **self._add(manifest)}
        self.name(f"{image}@{descriptor['digest']}", descriptor)
        return str(descriptor["digest"])

    def write(self) -> None:
        """Write the index, unless it says so: a node may be reading it."""
        files.write(self._folder / "index.json", json.dumps(self._index))

    def _blob(self, digest: object) -> Path:
        return self._folder / "blobs" / "sha256" / str(digest).removeprefix("sha256:")

    def _read(self, descriptor: Descriptor) -> dict[str, Any]:
        return dict(json.loads(self._blob(descriptor["digest"]).read_text()))

    def _add(self, document: object) -> Descriptor:
        content = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        files.write(self._blob(digest), content)
        return {"digest": digest, "size": len(content)}

    def _layer(self, programs: Mapping[str, Path]) -> Descriptor:
        path = self._folder / "layer.tar"
        with tarfile.open(path, "w") as tar:
            for name, program in programs.items():
                entry = tarfile.TarInfo(f"usr/local/bin/{name}")
                entry.size, entry.mode = program.stat().st_size, 0o755
                with program.open("rb") as file:
                    tar.addfile(entry, file)
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        size = path.stat().st_size
        shutil.move(path, self._blob(digest))
        return {"mediaType": _LAYER, "digest": digest, "size": size}
