"""The archives of somebody's model store: what each says of itself, and its own settings.

Names that are missing are what TorchServe takes for them (ModelServer,
``ModelManager.createModelArchive`` of 0.12).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.core.errors import InputError
from harness.models import archive_contents

_PACKED = (".mar", ".model", ".tar.gz")


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive: ``file`` is its name in the store; ``config`` its model-config.yaml."""

    file: str
    path: Path
    name: str
    version: str
    handler: str = ""
    config: Mapping[str, object] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()

    def number(self, key: str) -> int:
        """A setting of model-config.yaml that counts: TorchServe takes nothing else for one."""
        node = self.config.get(key)
        return node if isinstance(node, int) and not isinstance(node, bool) and node > 0 else 0


def names(folder: Path) -> list[str]:
    """What ``load_models=all`` loads of a folder."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_dir() or path.name.endswith(_PACKED))
    )


def is_store(folder: Path) -> bool:
    """Whether archives lie in a folder, as they do not in that of a project."""
    if not folder.is_dir():
        return False
    packed = any(not (folder / name).is_dir() for name in names(folder))
    return packed or bool(workflows(folder)) or any(folder.glob("*/MAR-INF"))


def workflows(folder: Path) -> list[str]:
    """The workflow archives of a folder."""
    return sorted(path.name for path in folder.glob("*.war"))


def read(folder: Path, file: str) -> Archive:
    """Read one archive of a folder.

    Raises:
        InputError: it is not there, or cannot be read.
    """
    path = folder / file
    if not path.exists():
        raise InputError(f"no archive {file}", at=folder)
    contents = archive_contents.read(path)
    return Archive(
        file=file,
        path=path,
        name=contents.name or default_name(file),
        version=contents.version,
        handler=contents.handler,
        config=contents.settings,
        requirements=contents.requirements,
    )


def default_name(file: str) -> str:
    """The name that TorchServe gives an archive that has none (``getDefaultModelName``)."""
    last = file.rpartition("/")[2]
    if ".model" in file or ".mar" in file:
        last = last.rpartition(".")[0]
    return re.sub(r"[^A-Za-z0-9_]|^_", "_", last)


def config_file(path: Path) -> Mapping[str, object]:
    """A model-config.yaml that lies by itself.

    Raises:
        InputError: it cannot be read.
    """
    try:
        settings = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}  # what TorchServe cannot read of it, it logs and leaves out
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=path) from error
    return settings if isinstance(settings, dict) else {}
