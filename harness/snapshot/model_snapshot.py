"""The value of ``model_snapshot``: JSON that says which models TorchServe starts, and how.

TorchServe 0.12 writes it on each change (``Model.getModelState``) and restores from it
(``Model.setModelState``). The fields here are the ones that it writes, in its order; it ignores
any other. It needs the first six of an entry: without one it ends with a NullPointerException.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from harness.core.document import Camel
from harness.core.errors import InputError, Location
from harness.core.refusal import json_refusals
from harness.models.catalog import INT_MAX, Positive

Count = Annotated[int, Field(ge=0, le=INT_MAX)]

NAME = "startup.cfg"
CREATED = 0
"""TorchServe reads this time and never uses it; the real one would make the same input give
other bytes on every run, and an invented one would lie."""


class Entry(Camel):
    """One version of a model. Unknown keys stay in ``model_extra``.

    Not a ``catalog.Serving``, although six keys are the same: people write those, with defaults and
    at least one worker; here TorchServe fails without a key, and writes zeros itself.
    """

    model_config = ConfigDict(extra="allow")

    default_version: bool
    mar_name: str = Field(min_length=1)
    min_workers: Count
    max_workers: Count
    batch_size: Positive
    max_batch_delay: Count  # ms
    response_timeout: Positive = 120  # s; TorchServe's constants where they are missing
    startup_timeout: Positive = 120  # s
    runtime_type: Literal["python", "python3", "LSP"] = "python"
    parallel_level: Positive | None = None  # GPUs of one worker


class ModelSnapshot(Camel):
    """The whole value: name → version → entry."""

    model_config = ConfigDict(extra="allow")

    name: str = NAME
    model_count: int
    created: int = CREATED
    models: Mapping[str, Mapping[str, Entry]]

    def entries(self) -> Iterator[tuple[str, str, Entry]]:
        """Every (model, version, entry)."""
        for name, versions in self.models.items():
            for version, entry in versions.items():
                yield name, version, entry

    def defaults(self, name: str) -> list[str]:
        """The versions of a model that call themselves its default; one is right."""
        return [version for version, entry in self.models[name].items() if entry.default_version]


def parse(text: str, at: Location | Path) -> ModelSnapshot:
    """Read the value of ``model_snapshot``; ``at`` is only for the errors.

    Raises:
        InputError: not JSON, a duplicate key, a missing or impossible value: all of them.
    """
    try:
        json.loads(text, object_pairs_hook=_without_twins)
        return ModelSnapshot.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(each.message for each in json_refusals(error, text, ModelSnapshot))
        raise InputError(f"model_snapshot: {problems}", at=at) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"model_snapshot is not JSON: {error}", at=at) from error


def pieces(snapshot: ModelSnapshot) -> Sequence[str]:
    """The value as JSON, in pieces: one for each model, so that a diff names it."""
    whole = snapshot.model_dump(by_alias=True, exclude_none=True)
    models = whole.pop("models")
    return [
        f'{_compact(whole)[:-1]},"models":{{',
        *(
            f"{_compact(name)}:{_compact(versions)}{',' if number < len(models) else ''}"
            for number, (name, versions) in enumerate(models.items(), 1)
        ),
        "}}",
    ]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _without_twins(pairs: list[tuple[str, object]]) -> None:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"duplicate key {key!r}")
