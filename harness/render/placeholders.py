"""``UNSET``: what a fresh fork lacks. A placeholder of valid form stands in for it.

placeholders.yaml has them: the last key of a field → a value that the schemas of charts and CRDs
accept. They never reach a cluster.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.values import KeyPath, mapping

UNSET = re.compile(r"\bUNSET\b")
FILE = Path("harness/render/placeholders.yaml")
CONTAINERFILE = Path("apps/torchserve/image/Containerfile")


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What stands in, by key."""

    values: Mapping[str, str]

    def fill(self, value: object, on_unset: Callable[[KeyPath], object]) -> object:
        """``value`` with every UNSET replaced; ``on_unset`` gets the path of each.

        Raises:
            InputError: a field has no placeholder.
        """
        return self._fill(value, (), on_unset)

    def _fill(self, value: object, path: KeyPath, on_unset: Callable[[KeyPath], object]) -> object:
        if isinstance(value, dict):
            return {key: self._fill(inner, (*path, key), on_unset) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._fill(inner, (*path, i), on_unset) for i, inner in enumerate(value)]
        if not isinstance(value, str) or not UNSET.search(value):
            return value
        on_unset(path)
        if "\n" in value:
            return value  # a whole file in a ConfigMap: what is in it is not a field
        return UNSET.sub(self._value(path), value)

    def _value(self, path: KeyPath) -> str:
        key = next((key for key in reversed(path) if isinstance(key, str)), "")
        if key not in self.values:
            raise InputError(
                f"{'.'.join(map(str, path))} is UNSET and {key} has no placeholder",
                hint=f"add one to {FILE}, or give the field a value",
            )
        return self.values[key]


def unset_bases(containerfile: str) -> list[int]:
    """The lines, from 1, of a Containerfile's text that name a base without its digest."""
    return [
        number
        for number, line in enumerate(containerfile.splitlines(), start=1)
        if line.startswith("FROM ") and UNSET.search(line)
    ]


def load() -> Placeholders:
    """Read the placeholders.

    Raises:
        InputError: the file is not a mapping.
    """
    path = Path(__file__).with_name(FILE.name)
    documents = yamlfile.parse(yamlfile.read_text(path), FILE)
    data = mapping(documents[0].value) if documents else {}
    if not data:
        raise InputError("holds no placeholders", at=FILE)
    return Placeholders({key: str(value) for key, value in data.items()})
