"""models/<name>/model.yaml: what a model is made of, how it is served, what it must answer.

catalog = load_catalog(repository.models)
catalog.models["silero_vad"].serving.max_workers
"""

from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from harness.core import document
from harness.core.document import Camel, Strict
from harness.core.errors import InputError
from harness.core.form import Form, Sha256
from harness.core.refusal import refusals
from harness.core.suggest import did_you_mean
from harness.models import handler
from harness.models.answer import Tolerance
from harness.models.config import INT_MAX, Config, Positive, Serving
from harness.models.expectation import Expectation, Recorded
from harness.models.lock import Name, Version
from harness.models.source import Source, is_remote, mention

__all__ = ["INT_MAX", "Catalog", "Config", "Model", "Positive", "Serving", "load_catalog"]

RECORDED = "recorded.yaml"
Word = Annotated[str, StringConstraints(min_length=1)]


def _archive_path(path: str) -> str:
    parts = path.rstrip("/").split("/")
    if path != "." and ({"", ".", ".."} & set(parts) or not path.isprintable() or "\\" in path):
        raise ValueError("a path in the archive is needed, such as tokenizer/vocab.txt")
    if parts[0] == "MAR-INF":
        raise ValueError("MAR-INF holds the archive's manifest")
    return "/".join(parts)


def _requirements(_value: object) -> object:
    raise ValueError(
        "packages stand in requirements.in next to model.yaml: write them there, then run "
        "`make requirements`"
    )


ArchivePath = Annotated[str, AfterValidator(_archive_path)]


def _also(key: str, earlier: str) -> Any:
    """A field that is read under its earlier, British key too (until 2027-03-01)."""
    return Field(alias=key, validation_alias=AliasChoices(key, earlier))


class Fallback(Camel):
    """Served where the weights cannot be downloaded: seeded noise, under a version of its own."""

    version: Version
    seed: int


class Torchvision(Camel):
    """A model that torchvision builds, with weights that it downloads."""

    builder: Word
    weights: Annotated[
        str, Form(r"\w+_Weights\.\w+", "weights of torchvision, as ResNet18_Weights.IMAGENET1K_V1")
    ]
    fallback: Fallback | None = None


class SavedFile(Camel):
    """One file that holds the model."""

    file: Source


class Folder(Camel):
    """A folder of files that the handler reads, in the archive's folder ``into``.

    ``exclude`` names what stays out, by wildcard: other formats of the same weights, say.
    """

    folder: Source
    into: ArchivePath = "model"
    exclude: tuple[Word, ...] = ()


class Eager(Camel):
    """Code with one ``torch.nn.Module`` class, and its weights if it has any.

    ``stateDict`` is one file, or a file for each submodule, merged under the submodule's name.
    """

    code: Source
    state_dict: Source | Mapping[Name, Source] | None = None


class Adopted(Camel):
    """An archive that somebody else made: a ``.mar``, a ``.tar.gz`` or a folder.

    Attributes:
        archive: where it lies: its path from model.yaml, or an address.
        sha256: of the file, where it is known beforehand.
    """

    archive: Annotated[Source, _also("archive", "mar")]
    sha256: Sha256 | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it has to be fetched."""
        return is_remote(self.archive)


class OtherVersion(Camel):
    """A version that a group may serve next to the model's own: an archive that exists.

    Attributes:
        archive: as in ``Adopted``; without it, the one that models/lock.yaml has already.
        sha256: of the file, where it is known beforehand.
    """

    archive: Source | None = None
    sha256: Sha256 | None = None

    @property
    def adopted(self) -> Adopted | None:
        """It as an adopted archive, if model.yaml says where it is."""
        return Adopted(archive=self.archive, sha256=self.sha256) if self.archive else None


class PickleException(Camel):
    """A finding of `harness models audit` that is accepted, until a day.

    Attributes:
        file: a path in the archive, as in a shell.
        name: the global that the pickle names, as in a shell; empty for one that cannot be read.
        reason: why it is accepted.
        expires: the last day on which it is.
    """

    file: Word
    name: str
    reason: Word
    expires: date

    def covers(self, file: str, name: str, today: date) -> bool:
        """Whether it accepts a finding."""
        matches = fnmatchcase(file, self.file) and fnmatchcase(name, self.name)
        return matches and today <= self.expires


class Artifact(Camel):
    """What the model is, at most one of these; with none the handler brings what it needs.

    torchscript, export, onnx and safetensors are one file: what ``torch.jit.save``,
    ``torch.export.save`` or AOTInductor, an ONNX exporter and safetensors write. huggingface and
    diffusers are folders that ``save_pretrained`` wrote; folder is any other.
    """

    torchvision: Torchvision | None = None
    torchscript: SavedFile | None = None
    export: SavedFile | None = None
    onnx: SavedFile | None = None
    safetensors: SavedFile | None = None
    eager: Eager | None = None
    huggingface: Folder | None = None
    diffusers: Folder | None = None
    folder: Folder | None = None
    adopted: Adopted | None = None

    @property
    def saved(self) -> SavedFile | None:
        """The one file that is the model, if it is one."""
        return self.torchscript or self.export or self.onnx or self.safetensors

    @property
    def tree(self) -> Folder | None:
        """The folder that is the model, if it is one."""
        return self.huggingface or self.diffusers or self.folder

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if sum(kind is not None for _, kind in self) > 1:
            raise ValueError(f"at most one of: {', '.join(type(self).model_fields)}")
        return self


class License(Camel):
    """SPDX names; ``weights`` where they differ from the code's, ``notice`` what else to know."""

    code: Word
    weights: Word
    notice: str = ""

    @property
    def names(self) -> tuple[str, str]:
        """Of the code and of the weights."""
        return self.code, self.weights


class Sample(Camel):
    """A request, and what is known of its correct answer. With a reference, the whole answer comes
    from there; ``recorded`` says that a server's own answers gave the expectation.
    """

    name: Name
    file: Source
    content_type: Word
    expect: Expectation | None = None
    recorded: Recorded | None = None


class RecordedSamples(Camel):
    """recorded.yaml next to model.yaml, which ``harness models record`` writes."""

    samples: tuple[Sample, ...]


class Probe(Camel):
    """A small request, its body in base64, that a worker answers well unless it is broken: the
    launcher asks it when every answer of the model is a failure. It becomes part of the settings
    of every pod, so that it is small.
    """

    content_type: Word
    body: Annotated[
        str,
        Form(r"[A-Za-z0-9+/]+={0,2}", "bytes in base64, 8,192 characters at most", longest=8192),
    ]


class Model(Camel):
    """One model.yaml."""

    name: Name
    version: Version
    versions: Mapping[Version, OtherVersion] = Field(default_factory=dict)
    description: Word
    license: Annotated[License | None, _also("license", "licence")] = None
    artifact: Annotated[Artifact, _also("artifact", "artefact")] = Artifact()
    handler: Source | None = None
    extra_files: Mapping[ArchivePath, Source] = Field(default_factory=dict)
    config: Config | None = None
    serving: Serving = Serving()
    requirements: Annotated[object, AfterValidator(_requirements)] = None
    reference: Source | None = None
    tolerance: Tolerance = Tolerance()
    samples: tuple[Sample, ...] = ()
    probe: Probe | None = None
    pickles: tuple[PickleException, ...] = ()

    @model_validator(mode="after")
    def _with_workers(self) -> Self:
        """``serving``, with what ``config`` says about it."""
        workers = self.config.workers() if self.config else {}
        serving = self.serving.model_dump(by_alias=True, exclude_unset=True)
        for key in workers.keys() & serving.keys():
            if workers[key] != serving[key]:
                both = f"config.{key} {workers[key]}, serving.{key} {serving[key]}"
                raise ValueError(f"{both}: say it once, in serving")
        try:
            return self.model_copy(update={"serving": self.serving.over(workers)})
        except ValidationError as error:
            raise ValueError(refusals(error, workers)[0].message) from error

    @property
    def all_versions(self) -> tuple[str, ...]:
        """Its own version, and those that can be served next to it."""
        return (self.version, *self.versions)

    def older(self) -> "Iterator[Model]":
        """The other versions whose archives model.yaml names, each as a model of its own.

        What a person expects of a sample is asked of the model's own version only.
        """
        samples = tuple(
            each.model_copy(update={"expect": None, "recorded": None}) for each in self.samples
        )
        for version, other in self.versions.items():
            if other.adopted:
                artifact = Artifact(adopted=other.adopted)
                changes = {"version": version, "versions": {}, "artifact": artifact}
                changes |= {"handler": None, "extra_files": {}, "samples": samples}
                yield self.model_copy(update=changes)

    @model_validator(mode="after")
    def _versions_differ(self) -> Self:
        if self.version in self.versions:
            raise ValueError(f"versions: {self.version} is the model's own version already")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.artifact.adopted:
            return self
        if self.handler is None or self.license is None:
            raise ValueError("handler and license are needed unless the archive is adopted")
        eager = self.artifact.eager
        file = self.artifact.saved.file if self.artifact.saved else eager and eager.state_dict
        file = file if isinstance(file, str) else None
        if refusal := handler.refusal(self.handler, file, eager=eager is not None):
            raise ValueError(refusal)
        return self

    @model_validator(mode="after")
    def _samples_are_usable(self) -> Self:
        names = [sample.name for sample in self.samples]
        if len(set(names)) != len(names):
            raise ValueError("two samples have the same name")
        unknown = [each.name for each in self.samples if not (each.expect or self.reference)]
        if unknown:
            raise ValueError(
                f"the correct answer of sample {unknown[0]} is not known: give it `expect`, or the "
                "model a `reference`, or ask a server: `harness models record`"
            )
        return self


class Catalog(Strict):
    """Every model of the repository, by name."""

    models: Mapping[str, Model]


def load_model(path: Path) -> Model:
    """Read one model.yaml.

    Raises:
        InputError: it does not fit the schema, or its name is not its folder's.
    """
    model = document.load(path, Model)
    code = handler.file(model.handler or "")
    bare = code is not None and model.handler == code.removesuffix(".py")
    if code and bare and code not in model.extra_files and not path.with_name(code).is_file():
        near = did_you_mean(str(model.handler), handler.OWN)
        raise InputError(
            f"handler: no file {code}, and {model.handler} is none of TorchServe's own{near}",
            at=mention(f"handler: {model.handler}", path),
        )
    if model.name != path.parent.name:
        raise InputError(
            f"name: {model.name} is not the folder's name {path.parent.name}",
            at=mention(f"name: {model.name}", path),
            hint="rename one of them",
        )
    return _with_recorded(model, path.with_name(RECORDED))


def _with_recorded(model: Model, path: Path) -> Model:
    """The model with the samples in ``path`` too; model.yaml's own win over those of their name."""
    if not path.is_file():
        return model
    names = {sample.name for sample in model.samples}
    recorded = document.load(path, RecordedSamples).samples
    return model.model_copy(
        update={
            "samples": (*model.samples, *(each for each in recorded if each.name not in names)),
        }
    )


def load_catalog(folder: Path) -> Catalog:
    """Read ``<folder>/*/model.yaml``.

    Raises:
        InputError: there is none, or one does not fit.
    """
    paths = sorted(folder.glob("*/model.yaml"))
    if not paths:
        raise InputError("no */model.yaml", at=folder)
    return Catalog(models={path.parent.name: load_model(path) for path in paths})
