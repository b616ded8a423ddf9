"""Files of the Go modules that the external programs are built from.

definitions(checkout, "keda", "config/crd/bases")  # the kinds that the program asks for
"""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness import programs, tools
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import Value, mapping, text
from harness.core.yamlfile import ManifestLoader

_DOWNLOAD = 600.0  # seconds


def definitions(repository: Repository, name: str, *folders: str) -> Iterator[Value]:
    """The CustomResourceDefinitions in some folders of a program's module."""
    for folder in folders:
        for path in sorted((_module(repository, name) / folder).glob("*_*.yaml")):
            yield from map(mapping, yaml.load_all(path.read_text(), Loader=ManifestLoader))


def _module(repository: Repository, name: str) -> Path:
    """The module's files, at the pinned version."""
    tool = programs.ALL[name]
    module = f"{tool.module}@v{tools.version(repository, name)}"
    program, env = tools.go(repository)
    folder = repository.root / "tools" / tool.folder
    argv: list[str | Path] = [program, "mod", "download", "-json", module]
    output = command.run(argv, cwd=folder, env=env, timeout=_DOWNLOAD).stdout
    return Path(text(json.loads(output), "Dir"))
