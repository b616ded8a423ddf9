"""A serving.yaml as text: models come and go, and what a person wrote around them stays.

file = ServingFile.read(path)
file.with_model("dog", {"maxWorkers": 2}).with_unrouted({"dog"}).text
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from harness.core import yamlfile
from harness.core.errors import InputError
from harness.core.values import items, mapping

_KEY = re.compile(r"(?m)^(?=[A-Za-z])")


@dataclass(frozen=True, slots=True)
class ServingFile:
    """The text of a serving.yaml, and where it lies."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> "ServingFile":
        """Read a file.

        Raises:
            InputError: it cannot be read.
        """
        return cls(path, yamlfile.read_text(path))

    @property
    def value(self) -> Mapping[str, object]:
        """What the text says.

        Raises:
            InputError: it is not one YAML mapping.
        """
        documents = yamlfile.parse(self.text, self.path)
        if len(documents) != 1 or not isinstance(documents[0].value, dict):
            raise InputError("is not one mapping", at=self.path)
        return documents[0].value

    @property
    def models(self) -> Mapping[str, object]:
        """Each model with its settings here."""
        return mapping(self.value, "models")

    @property
    def unrouted(self) -> set[str]:
        """The models that get no requests here."""
        return set(map(str, items(self.value, "unrouted")))

    @property
    def routed(self) -> set[str]:
        """The models that get their requests here."""
        return set(self.models) - self.unrouted

    def with_model(self, name: str, settings: object) -> "ServingFile":
        """The file with one more model, the last."""
        lines = yaml.safe_dump({name: settings}, sort_keys=False).splitlines()
        block = self._block("models").rstrip("\n")
        added = "\n".join([block, *(f"  {line}" for line in lines)]) + "\n"
        return self._with_block("models", added, {**self.models, name: settings})

    def without_model(self, name: str) -> "ServingFile":
        """The file without a model, whether it got requests or not."""
        entry = re.compile(rf"(?m)^  [\"']?{re.escape(name)}[\"']?:.*\n(?:    .*\n|[ \t]*\n)*")
        rest = {key: each for key, each in self.models.items() if key != name}
        shorter = self._with_block("models", entry.sub("", self._block("models")), rest)
        return shorter.with_unrouted(self.unrouted - {name})

    def with_unrouted(self, names: Collection[str]) -> "ServingFile":
        """The file with these models under ``unrouted``; without that key for none."""
        if set(names) == self.unrouted:
            return self
        old = self._block("unrouted")
        new = yaml.safe_dump({"unrouted": sorted(names)}) if names else ""
        text = self.text.replace(old, new) if old else self.text.rstrip("\n") + "\n" + new
        return replace(self, text=text)

    def with_models(self, models: Mapping[str, object]) -> "ServingFile":
        """The file with other models, each of which gets requests."""
        return self._with_block("models", "", models).with_unrouted(())

    def _block(self, key: str) -> str:
        """The text of a top-level key, up to the next one; empty if there is none."""
        for block in _KEY.split(self.text if self.text.endswith("\n") else self.text + "\n"):
            if block.startswith(f"{key}:"):
                return block
        return ""

    def _with_block(self, key: str, block: str, meaning: object) -> "ServingFile":
        """The file with another block for a key, written again if the text says something else."""
        old = self._block(key)
        text = self.text if self.text.endswith("\n") else self.text + "\n"
        edited = replace(self, text=text.replace(old, block))
        try:
            if edited.value.get(key) == meaning:
                return edited
        except InputError:
            pass
        return replace(
            self, text=text.replace(old, yaml.safe_dump({key: meaning}, sort_keys=False))
        )
