"""The models that TorchServe would serve after its start, each with its settings.

Order of ``ModelServer.initModelStore`` in 0.12: a ``model_snapshot`` alone decides; else
``load_models`` names archives, and for each model its model-config.yaml wins over ``models={…}``,
and that over the defaults. What depends on the old machine is assumed, and said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from harness.core.errors import InputError, Location
from harness.core.problem import Problem
from harness.core.refusal import refusals
from harness.importing import archives, keys, lenient
from harness.importing.archives import Archive
from harness.importing.keys import Outcome
from harness.importing.merge import Configuration, Key
from harness.importing.source import Setting
from harness.snapshot.model_snapshot import Entry, ModelSnapshot

_TIMEOUT = 120  # s: TorchServe's default_response_timeout and default_startup_timeout
_BATCH_DELAY = 100  # ms: RegisterModelRequest.DEFAULT_MAX_BATCH_DELAY


@dataclass(frozen=True, slots=True)
class Started:
    """A version of a model as TorchServe would start it; ``archive`` is None if it is not here."""

    name: str
    version: str
    entry: Entry
    at: Location
    archive: Archive | None = None


@dataclass
class Startup:
    """The models, and what was found on the way to them."""

    models: list[Started] = field(default_factory=list)
    assumed: list[Key] = field(default_factory=list)
    questions: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def of(configuration: Configuration, folder: Path | None, workers: int | None) -> Startup:
    """What would be served.

    Args:
        configuration: the merged sources.
        folder: the old model store, mounted or copied, or None.
        workers: of a model for which only the old machine's GPUs or cores decide; None: assumed.
    """
    startup = Startup()
    if configuration.running:
        _running(configuration, startup)
    elif snapshot := configuration.settings.get("model_snapshot"):
        _snapshot(snapshot, folder, startup)
    else:
        _load_models(configuration, folder, workers, startup)
    _refuse_twins(startup)
    return startup


def _running(configuration: Configuration, startup: Startup) -> None:
    for each in configuration.running:
        try:
            entry = Entry.model_validate(each.entry, strict=False)
        except ValidationError as error:
            startup.problems += [
                Problem(f"{each.name} {each.version}: {refusal.message}", each.at)
                for refusal in refusals(error, each.entry, Entry)
            ]
        else:
            startup.models.append(Started(each.name, each.version, entry, each.at))


def _snapshot(setting: Setting, folder: Path | None, startup: Startup) -> None:
    try:
        node = lenient.loads(setting.value)
        snapshot = ModelSnapshot.model_validate(node, strict=False)
    except ValidationError as error:
        startup.problems += [
            Problem(f"model_snapshot: {each.message.removeprefix('models.')}", setting.at)
            for each in refusals(error, node, ModelSnapshot)
        ]
        return
    except (ValueError, RecursionError):
        return  # reported where the file was read
    if snapshot.model_count <= 0:
        text = "modelCount is 0: TorchServe starts without a model"
        startup.assumed.append(Key("model_snapshot", str(setting.at), Outcome.NOTHING, text))
        return
    for name, written, entry in snapshot.entries():
        archive = _archive(folder, entry.mar_name, setting.at, startup) if folder else None
        version = archive.version if archive else written
        if version != written:
            text = f"its archive says version {version}, and that is what TorchServe serves"
            where = f"model_snapshot.{name}.{written}"
            startup.assumed.append(Key(where, str(setting.at), Outcome.NOTHING, text))
        if entry.min_workers > entry.max_workers:
            text = f"maxWorkers {entry.max_workers} is below minWorkers, which is what starts"
            where = f"model_snapshot.{name}.{written}.maxWorkers"
            startup.assumed.append(Key(where, str(setting.at), Outcome.NOTHING, text))
            entry = entry.model_copy(update={"max_workers": entry.min_workers})  # noqa: PLW2901
        if folder is None or archive:
            startup.models.append(Started(name, version, entry, setting.at, archive))
        for text, key in _ignored_entries(entry):
            where = f"model_snapshot.{name}.{version}.{key}"
            startup.assumed.append(Key(where, str(setting.at), Outcome.NOTHING, text))


def _ignored_entries(entry: Entry) -> Iterator[tuple[str, str]]:
    for key in entry.model_extra or {}:
        yield "TorchServe ignores it", key
    if entry.runtime_type == "LSP":
        yield "the image has no C++ backend: the model runs in Python", "runtimeType"


def _archive(folder: Path, file: str, at: Location, startup: Startup) -> Archive | None:
    try:
        return archives.read(folder, file)
    except InputError as error:
        startup.problems.append(Problem(f"{error.at}: {error.message}", at))
        return None


def _load_models(
    configuration: Configuration, folder: Path | None, workers: int | None, startup: Startup
) -> None:
    declared = _model_declarations(configuration, startup)
    named: list[tuple[str | None, str]]
    setting = configuration.settings.get("load_models")
    listed = setting.value if setting else ""
    at = setting.at if setting else Location(Path("the sources"))
    if listed.upper() == "ALL":
        if folder is None and not declared:
            store = configuration.value("model_store") or "the model store"
            text = f"load_models={listed} loads what lies in {store}, which is not known here"
            startup.questions.append(Problem(f"{text}: add --store FOLDER, mounted or copied", at))
            return
        files = archives.names(folder) if folder else []
        named = [(None, file) for file in files] if folder else _of_declared(declared)
        if not folder:
            text = "what else lies in the model store is not known: --store FOLDER"
            startup.assumed.append(Key("load_models", str(at), Outcome.CARRIED, text))
    elif listed:
        pairs = [word.split("=", 1) for word in listed.split(",")]
        named = [(p[0], p[1]) if len(p) == 2 else (None, p[0]) for p in pairs if p[-1]]
    elif declared:
        text = "models={…} alone loads nothing: its models are started here, as if registered"
        where = configuration.settings["models"].at
        startup.assumed.append(Key("models", str(where), Outcome.CARRIED, text))
        named = _of_declared(declared)
    else:
        named = [(None, file) for file in archives.names(folder)] if folder else []
    for name, file in named:
        if file != file.strip(" \"'") and not (folder and (folder / file).exists()):
            text = (
                f"TorchServe looks for {file}, spaces and quotes included, and starts without it: "
            )
            text += "remove them"
            startup.assumed.append(Key("load_models", str(at), Outcome.LOST, text))
            continue
        _start(configuration, folder, declared, (name, file, at), workers, startup)


def _start(
    configuration: Configuration,
    folder: Path | None,
    declared: Mapping[str, Mapping[str, Mapping[str, object]]],
    named: tuple[str | None, str, Location],
    workers: int | None,
    startup: Startup,
) -> None:
    given_name, url, at = named
    file = url.rpartition("/")[2] if "://" in url else url
    archive = None
    if folder and (folder / file).exists():
        archive = _archive(folder, file, at, startup)
    elif folder and "://" not in url:
        text = f"{file!r} is not in the model store: TorchServe starts without it"
        startup.assumed.append(Key("load_models", str(at), Outcome.NOTHING, text))
        return
    name = given_name or (archive.name if archive else _guess(declared, file))
    versions = declared.get(name, {})
    version = archive.version if archive else next(iter(versions), "1.0")
    if archive is None and not versions:
        text = f"assumed: {name} {version} in {file}, which is not here (--store FOLDER)"
        startup.assumed.append(Key(f"load_models.{name}", str(at), Outcome.CARRIED, text))
    config_path = configuration.model_configs.get(name)
    config = archives.config_file(config_path) if config_path else {}
    config = config or (archive.config if archive else {})
    described = Archive(file, Path(file), name, version, config=config)
    entry = _entry(configuration, described, versions.get(version, {}), at, workers, startup)
    startup.models.append(Started(name, version, entry, at, archive))


def _entry(
    configuration: Configuration,
    archive: Archive,
    declared: Mapping[str, object],
    at: Location,
    workers: int | None,
    startup: Startup,
) -> Entry:
    def number(key: str, default: int) -> int:
        return archive.number(key) or _positive(declared.get(key)) or default

    def timeout(key: str, default: str) -> int:
        if archive.config:  # any model-config.yaml has 120 s, whatever is declared elsewhere
            return archive.number(key) or _TIMEOUT
        return _positive(declared.get(key)) or _seconds(configuration, default)

    low, high = (_positive(declared.get(key)) for key in ("minWorkers", "maxWorkers"))
    workers_of_archive = archive.number("minWorkers"), archive.number("maxWorkers")
    if 0 < workers_of_archive[0] <= workers_of_archive[1]:  # else TorchServe ignores both
        low, high = workers_of_archive
    if not (low and high):
        default, why = _default_workers(configuration, workers)
        low, high = low or default, high or max(default, low)
        if why:
            count = f"{low} to {high} workers" if high > 1 else "1 worker"
            text = f"{archive.name}: {count}; {why}"
            key = f"{archive.name}.minWorkers, maxWorkers"
            startup.assumed.append(Key(key, str(at), Outcome.CARRIED, text))
    return Entry(
        defaultVersion=True,
        marName=archive.file,
        minWorkers=low,
        maxWorkers=max(low, high),
        batchSize=number("batchSize", 1),
        maxBatchDelay=number("maxBatchDelay", _BATCH_DELAY),
        responseTimeout=timeout("responseTimeout", "default_response_timeout"),
        startupTimeout=timeout("startupTimeout", "default_startup_timeout"),
    )


def _default_workers(configuration: Configuration, workers: int | None) -> tuple[int, str]:
    """The number that ConfigManager.getDefaultWorkers returns, and why it is assumed, if it is."""
    if keys.as_bool(configuration.value("debug")):
        return 1, ""
    for key in ("default_workers_per_model", "number_of_gpu"):
        text = configuration.value(key, "0")
        if text.isdecimal() and int(text):
            return int(text), ""
    if configuration.gpus and int(configuration.gpus.value):
        return int(configuration.gpus.value), ""
    if workers:
        return workers, ""
    return 1, "the old machine had as many as GPUs, or cores if it had none: --workers N"


def _model_declarations(
    configuration: Configuration, startup: Startup
) -> dict[str, dict[str, dict[str, object]]]:
    """``models={…}``; JSON that is none was reported where the file was read."""
    setting = configuration.settings.get("models")
    if not setting or setting.value.strip() in ("", "[]"):
        return {}
    try:
        node = lenient.loads(setting.value)
    except (ValueError, RecursionError):
        return {}  # reported where the file was read
    try:
        return {
            str(name): {str(version): dict(entry) for version, entry in versions.items()}
            for name, versions in node.items()  # type: ignore[attr-defined]
        }
    except (ValueError, AttributeError, TypeError):
        text = "models has another form than NAME → VERSION → settings"
        startup.problems.append(Problem(text, setting.at))
        return {}


def _of_declared(
    declared: Mapping[str, Mapping[str, Mapping[str, object]]],
) -> list[tuple[str | None, str]]:
    return [
        (name, str(entry.get("marName") or f"{name}.mar"))
        for name, versions in declared.items()
        for entry in versions.values()
    ]


def _guess(declared: Mapping[str, Mapping[str, Mapping[str, object]]], file: str) -> str:
    """The model of an archive that is not here: the one whose entry names it, or its own name."""
    for name, versions in declared.items():
        if any(entry.get("marName") == file for entry in versions.values()):
            return name
    last = file.rpartition("/")[2]
    return last.removesuffix(".mar").removesuffix(".tar.gz").removesuffix(".model")


def _refuse_twins(startup: Startup) -> None:
    """Two archives of one version: TorchServe refuses the second, and the whole snapshot."""
    earlier: dict[tuple[str, str], Started] = {}
    for model in startup.models:
        twin = earlier.setdefault((model.name, model.version), model)
        if twin is not model:
            text = f"{model.name} {model.version} stands for two archives: {twin.entry.mar_name}, "
            startup.problems.append(Problem(text + model.entry.mar_name, model.at))


def _seconds(configuration: Configuration, key: str) -> int:
    node = configuration.value(key, str(_TIMEOUT))
    return int(node) if node.lstrip("+").isdecimal() and int(node) > 0 else _TIMEOUT


def _positive(node: object) -> int:
    return node if isinstance(node, int) and not isinstance(node, bool) and node > 0 else 0


def default_versions(models: Sequence[Started]) -> dict[str, Started]:
    """Of each model, the version that answers without a version in the path."""
    chosen: dict[str, Started] = {}
    for model in models:
        if model.entry.default_version or model.name not in chosen:
            chosen[model.name] = model
    return chosen
