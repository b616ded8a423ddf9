"""apps/torchserve/<env>/<group>/serving.yaml: which models a group serves, and how.

    server:
      numberOfGpu: 1
      jobQueueSize: 1000
      numberOfNettyThreads: 32
    models:
      mtcnn: {}             # as its model.yaml says
      squeezenet1_1:
        maxWorkers: 4       # one setting of this group's own
      ranker:
        versions:           # other versions in models/ranker/model.yaml, served with its own
          "1.0": {maxWorkers: 2}
        defaultVersion: "1.0"   # what answers /predictions/ranker; its own version by default

Names and units are TorchServe's; ``server`` has those of the whole process. A model belongs to one
group; while it moves, a second one serves it too, with its name under ``unrouted``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from harness.core import document
from harness.core.document import Camel, Document
from harness.core.errors import InputError
from harness.core.suggest import did_you_mean
from harness.models.catalog import Catalog, Model, Serving
from harness.models.lock import Name, Version
from harness.snapshot.routes import Protocol
from harness.snapshot.server import ServerSettings


class ModelServing(Serving):
    """How a group serves a model, and which of its other versions.

    Attributes:
        versions: those others, and how.
        default_version: the one that answers where a client names none; by default its own.
    """

    versions: Mapping[Version, Serving] = Field(default_factory=dict)
    default_version: Version | None = None


class ServingSettings(Camel):
    """One serving.yaml; what it leaves open about a model is what the model's own file says."""

    server: ServerSettings
    models: Annotated[Mapping[Name, ModelServing], Field(min_length=1)]
    unrouted: tuple[Name, ...] = ()
    """Models that get no requests here, since another group serves them: on their way in or out."""
    protocols: Annotated[tuple[Protocol, ...], Field(min_length=1)] = (Protocol.TORCHSERVE,)
    """The families of paths that the gateway lets through; ``oip`` also sets
    ``tsOpenInferenceProtocol``.
    """

    canary: bool = False
    """Whether the group's Canary owns its HTTPRoute (docs/canary.md), and not Flux."""

    latency_bounds: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Seconds: further bounds of the launcher's histograms. Each limit that loadtest.yaml sets to a
    percentile from p95 on is one anyway.
    """

    @property
    def routed(self) -> tuple[str, ...]:
        """The models that get their requests here, sorted."""
        return tuple(sorted(set(self.models) - set(self.unrouted)))


def load_settings(path: Path, catalog: Catalog) -> ServingSettings:
    """Read a serving.yaml.

    Raises:
        InputError: it does not fit, or names a model that the catalog does not have.
    """
    documents = document.parse(document.read_text(path), path)
    if len(documents) != 1:
        raise InputError(f"{len(documents)} YAML documents where one is expected", at=path)
    [source] = documents
    complete = Document(path, _with_defaults(source.value, catalog), source.lines, source.start)
    settings = document.validate(complete, ServingSettings)
    for name in settings.models:
        if name not in catalog.models:
            raise InputError(
                f"models.{name}: no such model{did_you_mean(name, catalog.models)}",
                at=source.at(("models", name)),
                hint=f"one of: {', '.join(sorted(catalog.models))}",
            )
        _confirm_versions(name, settings.models[name], catalog.models[name], source)
    for index, name in enumerate(settings.unrouted):
        if name not in settings.models:
            raise InputError(
                f"unrouted: the group does not serve {name}{did_you_mean(name, settings.models)}",
                at=source.at(("unrouted", index)),
                hint="list it under models too, or leave it out here",
            )
    return settings


def _confirm_versions(name: str, serving: ModelServing, model: Model, source: Document) -> None:
    for version in serving.versions:
        if version not in model.versions:
            raise InputError(
                f"models.{name}.versions.{version}: its model.yaml has no such other version"
                f"{did_you_mean(version, model.versions)}",
                at=source.at(("models", name, "versions", version)),
                hint=f'write it into models/{name}/model.yaml: `versions: {{"{version}": {{}}}}`',
            )
    served = (model.version, *serving.versions)
    if serving.default_version and serving.default_version not in served:
        raise InputError(
            f"models.{name}.defaultVersion: {serving.default_version} is not served",
            at=source.at(("models", name, "defaultVersion")),
            hint=f"one of: {', '.join(served)}; or add it to `versions`",
        )


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
        complete[name] = _over(known, overrides)
        if isinstance(overrides, dict) and isinstance(others := overrides.get("versions"), dict):
            complete[name]["versions"] = {key: _over(known, each) for key, each in others.items()}
    return value | {"models": complete}


def _over(known: dict[str, object], overrides: object) -> Any:
    return known | overrides if isinstance(overrides, dict) else overrides
