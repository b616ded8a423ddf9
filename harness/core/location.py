"""A place in a source file: the line for a person, and in YAML the path of the value there."""

from dataclasses import dataclass, field
from pathlib import Path

from harness.core.values import KeyPath


@dataclass(frozen=True, slots=True)
class YamlPath:
    """Where a value lies in a YAML file, or would if the file had it.

    Attributes:
        keys: the keys and indexes that lead to it.
        document: which of the file's documents it is in, from 0.
        block: where a text that is YAML itself, such as a patch of a kustomization.yaml, lies in
            that document; ``keys`` start inside it. Empty if there is none.
    """

    keys: KeyPath
    document: int = 0
    block: KeyPath = ()

    def __str__(self) -> str:
        """As people write it: ``spec.containers[0].name``."""
        parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys)
        return "".join(parts).removeprefix(".")


START = YamlPath(())


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a source file.

    Attributes:
        path: the file, in the repository.
        line: from 1; ``None`` if no line is meant.
        field: of YAML the value that is meant; ``None`` where it is not a single one.
    """

    path: Path
    line: int | None = None
    field: YamlPath | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)
