"""apps/torchserve/<env>/<group>/serving.yaml: which models a group serves, and how.

    server:
      numberOfGpu: 1
      jobQueueSize: 1000
      numberOfNettyThreads: 32
    models:
      mtcnn: {}             # as its model.yaml says
      squeezenet1_1:
        maxWorkers: 4       # one setting of this group's own

Names and units are TorchServe's; ``server`` has those of the whole process.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from harness.core import document
from harness.core.document import Camel, Document
from harness.core.errors import InputError
from harness.core.suggest import did_you_mean
from harness.models.catalog import Catalog, Serving
from harness.models.lock import Name
from harness.snapshot.routes import Protocol
from harness.snapshot.server import ServerSettings


class ServingSettings(Camel):
    """One serving.yaml; what it leaves open about a model is what the model's own file says."""

    server: ServerSettings
    models: Annotated[Mapping[Name, Serving], Field(min_length=1)]
    protocols: Annotated[tuple[Protocol, ...], Field(min_length=1)] = (Protocol.TORCHSERVE,)
    """The families of paths that the gateway lets through; ``oip`` also sets
    ``tsOpenInferenceProtocol``.
    """


def load_settings(path: Path, catalog: Catalog) -> ServingSettings:
    """Read a serving.yaml.

    Raises:
        InputError: it does not fit, or names a model that the catalog does not have.
    """
    documents = document.parse(document.read_text(path), path)
    if len(documents) != 1:
        raise InputError(f"{len(documents)} YAML documents where one is expected", at=path)
    [source] = documents
    complete = Document(path, _with_defaults(source.value, catalog), source.lines)
    settings = document.validate(complete, ServingSettings)
    for name in settings.models:
        if name not in catalog.models:
            raise InputError(
                f"models.{name}: no such model{did_you_mean(name, catalog.models)}",
                at=source.at(("models", name)),
                hint=f"one of: {', '.join(sorted(catalog.models))}",
            )
    return settings


def _with_defaults(value: object, catalog: Catalog) -> object:
    """The document with each model's own settings under what it says of the model.

    A value of another form stays as it is, for the schema to refuse with its line.
    """
    if not isinstance(value, dict) or not isinstance(models := value.get("models"), dict):
        return value
    complete = {}
    for name, overrides in models.items():
        model = catalog.models.get(name)
        known = model.serving.model_dump(by_alias=True) if model else {}
        complete[name] = known | overrides if isinstance(overrides, dict) else overrides
    return value | {"models": complete}
