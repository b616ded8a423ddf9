"""What one source says, before sources are merged.

A source is a file, a folder, an address or a line of text that somebody's TorchServe is started
with. Each reader of this package turns one into a ``Source``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import Location
from harness.core.problem import Problem
from harness.importing.shell import Write


@dataclass(frozen=True, slots=True)
class Setting:
    """A key, its value as TorchServe reads it, and where it stands."""

    key: str
    value: str
    at: Location


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a source says and that is not a key of config.properties.

    Attributes:
        lost: what it did is gone, and something breaks.
        fetched: it names where config.properties and archives are: nothing is lost once both are
            among the sources.
        values: of the chart, that would do here what it did.
    """

    what: str
    why: str
    at: Location
    lost: bool = False
    fetched: bool = False
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """The options of ``torchserve --start``; ``config`` is the file that it names."""

    at: Location
    config: str = ""
    model_store: str = ""
    workflow_store: str = ""
    models: tuple[str, ...] = ()
    log_config: str = ""
    cpp_log_config: str = ""
    plugins_path: str = ""
    disable_token_auth: bool = False
    enable_model_api: bool = False

    @property
    def starts(self) -> bool:
        """Whether it has what ``torchserve`` wants before it starts the JVM."""
        return bool(self.config or self.model_store)


@dataclass(frozen=True, slots=True)
class RunningModel:
    """A version of a model as a running server describes it: the keys of a snapshot's entry."""

    name: str
    version: str
    entry: dict[str, object]
    at: Location


@dataclass(frozen=True, slots=True)
class Source:
    """What one source says.

    Attributes:
        properties: the entries of a config.properties, in its order.
        assumed: whether those are what an image or a command is known to write, which a file of
            the other sources replaces.
        file: the config.properties that it is, or names by a path of this machine.
        commands: how TorchServe is started.
        writes: changes of files by the shell around it, in their order, each with its place.
        variables: the variables of its process.
        folder: archives, as they lie in a model store.
        model_configs: files that are a model-config.yaml, by the model's name.
        running: what a server serves.
        metrics: a file of metrics.
        gpus: how many the container has, as its limits say; the value is a whole number.
        remarks: what else it says.
        problems: why TorchServe would not start with it, or what could not be read.
    """

    properties: tuple[Setting, ...] = ()
    assumed: bool = False
    file: Path | None = None
    commands: tuple[Command, ...] = ()
    writes: tuple[tuple[Write, Location], ...] = ()
    variables: tuple[Setting, ...] = ()
    folder: Path | None = None
    model_configs: dict[str, Path] = field(default_factory=dict)
    running: tuple[RunningModel, ...] = ()
    metrics: Path | None = None
    gpus: Setting | None = None
    remarks: tuple[Remark, ...] = ()
    problems: tuple[Problem, ...] = ()


def join(parts: Iterable[Source]) -> Source:
    """Return what sources, or the parts of one, say together; of what can be one, the first's."""
    sources = [*parts]
    written = [source for source in sources if source.properties and not source.assumed]
    assumed = [source for source in sources if source.properties and source.assumed][:1]
    return Source(
        properties=tuple(each for source in written or assumed for each in source.properties),
        assumed=bool(assumed and not written),
        file=next((source.file for source in sources if source.file), None),
        commands=tuple(each for source in sources for each in source.commands),
        writes=tuple(each for source in sources for each in source.writes),
        variables=tuple(each for source in sources for each in source.variables),
        folder=next((source.folder for source in sources if source.folder), None),
        model_configs={k: v for source in sources for k, v in source.model_configs.items()},
        running=tuple(each for source in sources for each in source.running),
        metrics=next((source.metrics for source in sources if source.metrics), None),
        gpus=next((source.gpus for source in sources if source.gpus), None),
        remarks=tuple(each for source in sources for each in source.remarks),
        problems=tuple(each for source in sources for each in source.problems),
    )
