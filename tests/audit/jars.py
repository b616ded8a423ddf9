"""JARs made of nothing but names and bytes."""

import zipfile
from collections.abc import Mapping
from pathlib import Path


def jar(path: Path, classes: Mapping[str, bytes], **others: bytes) -> Path:
    """A JAR with these classes, and other files by their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in classes.items():
            archive.writestr(f"{name}.class", content)
        for name, content in others.items():
            archive.writestr(name, content)
    return path
