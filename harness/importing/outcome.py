"""What becomes of everything that the sources say: settings, models, and each key's own line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from harness.core.problem import Problem
from harness.importing import archives, keys
from harness.importing.files_there import Files
from harness.importing.keys import NUMBERS, Outcome
from harness.importing.merge import Configuration, Key
from harness.importing.source import Setting
from harness.importing.startup import Started, Startup, default_versions
from harness.snapshot.server import FIELDS, ServerSettings, camel

METRICS = "metrics.yaml"
"""The name that a file of metrics has next to serving.yaml."""

_REQUIRED = ("number_of_gpu", "job_queue_size", "number_of_netty_threads")
_ABSENT = {
    "number_of_gpu": "TorchServe takes every GPU of its machine",
    "job_queue_size": "TorchServe's default",
    "number_of_netty_threads": "TorchServe counts the cores of its machine",
}
_JOB_QUEUE_SIZE = 100  # TorchServe's default
_GATEWAY = 130  # s: requestTimeout of infra/gateway
_SMALL = 10_000  # bytes: a limit below that was meant in other units


@dataclass(frozen=True, slots=True)
class Imported:
    """What the sources say, in this repository's terms.

    Attributes:
        server: the settings of the whole server.
        metrics: the file of metrics that goes with them.
        models: what is served, each in its default version.
        others: the versions that are served next to those, by model.
        keys: every key of every source, and what became of it.
        problems: why TorchServe would not start with the sources; nothing is written then.
        questions: what has to be known before anything can be written.
        environment: variables for the server's container.
        values: of the chart, that would do here what the old pods had; they are not written.
        store: the old model store.
    """

    server: ServerSettings
    metrics: Path | None
    models: Mapping[str, Started]
    others: Mapping[str, tuple[Started, ...]]
    keys: tuple[Key, ...]
    problems: tuple[Problem, ...]
    questions: tuple[Problem, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    store: Path | None = None

    @property
    def refused(self) -> tuple[Problem, ...]:
        """Why nothing can be written."""
        return (*self.problems, *self.questions)

    def of(self, outcome: Outcome) -> list[Key]:
        """The keys of one class."""
        return [key for key in self.keys if key.outcome is outcome]


def of(
    configuration: Configuration,
    startup: Startup,
    like: ServerSettings,
    folder: Path | None,
) -> Imported:
    """Put everything together.

    Args:
        configuration: the merged sources.
        startup: the models that they start.
        like: the settings of the environment that the new one is made like: for what the sources
            leave to their machine.
        folder: the old model store, or None.
    """
    metrics = _metrics(configuration)
    server, rows = _server(configuration, like, metrics)
    rows += _elsewhere(configuration, metrics)
    chosen = default_versions(startup.models)
    rows += _requirements(configuration, startup.models)
    rows += _gateway(chosen)
    if folder and (workflows := archives.workflows(folder)):
        text = f"/wfpredict/… of {', '.join(workflows)}: workflows are left out (docs/import.md)"
        rows.append(Key("workflows", str(folder), Outcome.LOST, text))
    return Imported(
        server=server,
        metrics=metrics,
        models=chosen,
        others={
            name: tuple(each for each in startup.models if each.name == name and each is not model)
            for name, model in chosen.items()
        },
        keys=(*rows, *startup.assumed, *configuration.passed_over),
        problems=(*configuration.problems, *startup.problems),
        questions=(*configuration.questions, *startup.questions),
        environment=configuration.environment,
        values=_values(configuration.values),
        store=folder,
    )


def _values(values: Mapping[str, object]) -> Mapping[str, object]:
    """The chart's values, without what excludes another one of them."""
    chosen = dict(values)
    scaling = chosen.pop("autoscaling", None)
    if isinstance(scaling, Mapping):
        if "maxReplicas" in scaling:
            chosen.pop("replicas", None)
            chosen["autoscaling"] = {"kind": "hpa", **scaling}
        else:  # the chart wants both; pods that are always there are replicas
            chosen.setdefault("replicas", scaling.get("minReplicas"))
    return chosen


def _server(
    configuration: Configuration, like: ServerSettings, metrics: Path | None
) -> tuple[ServerSettings, list[Key]]:
    values: dict[str, object] = {}
    rows = []
    for name, key in FIELDS.items():
        setting = configuration.settings.get(key)
        if setting is None or keys.PLACES[key].outcome is not Outcome.CARRIED:
            continue
        carried = _value(setting)
        if key == "metrics_config":
            carried = METRICS if metrics else None
        if carried is None or not _fits(name, carried):
            rows.append(_uncarried_key(setting, metrics))
            continue
        values[name] = carried
        note = keys.read_as(key, setting.value) or _remark(key, carried)
        text = f"server.{name}: {str(carried).lower() if isinstance(carried, bool) else carried}"
        rows.append(Key(key, str(setting.at), Outcome.CARRIED, f"{text}{note and f'; {note}'}"))
    for key in _REQUIRED:
        name = camel(key)
        if name not in values:
            default = _JOB_QUEUE_SIZE if key == "job_queue_size" else getattr(like, key)
            at, origin = "", _ABSENT[key]
            if key == "number_of_gpu" and (gpus := configuration.gpus):
                default, at = int(gpus.value), str(gpus.at)
                origin = "TorchServe takes every GPU of its container"
            values[name] = default
            text = f"server.{name}: {default}; not set: {origin}"
            rows.append(Key(key, at, Outcome.CARRIED, text))
    return ServerSettings.model_validate(values), rows


def _value(setting: Setting) -> object:
    if setting.key in NUMBERS:
        whole = re.fullmatch(r"[+-]?[0-9]+", setting.value)
        return int(setting.value) if whole else None
    if setting.key in keys.BOOLEANS:
        return keys.as_bool(setting.value)
    return setting.value or None


def _fits(name: str, carried: object) -> bool:
    required = {camel(key): 1 for key in _REQUIRED}
    try:
        ServerSettings.model_validate({**required, name: carried})
    except ValidationError:
        return False
    return True


def _uncarried_key(setting: Setting, metrics: Path | None) -> Key:
    key, at = setting.key, str(setting.at)
    if key == "metrics_config" and metrics is None and setting.value:
        text = (
            f"{setting.value} is not here: TorchServe's own list replaces it, and a handler's "
            "metrics are gone → add the file as a source"
        )
        return Key(key, at, Outcome.LOST, text)
    if not setting.value:
        return Key(key, at, Outcome.NOTHING, "it has no value: TorchServe's default")
    late = keys.LAZY.get(key)
    text = f"TorchServe starts with it, and fails when {late}" if late else "TorchServe ignores it"
    return Key(key, at, Outcome.NOTHING, f"{text}: its default is used")


def _remark(key: str, carried: object) -> str:
    if key in ("max_request_size", "max_response_size") and isinstance(carried, int):
        return "bytes, not megabytes: nearly everything is refused" if carried < _SMALL else ""
    if key == "vmargs" and "-Xmx" in str(carried):
        return "the heap is part of the pod's memory"
    if key == "cpu_launcher_enable" and carried:
        return "workers are pinned by taskset: the image has no numactl"
    if key in ("ipex_enable", "ipex_gpu_enable") and carried:
        return "needs intel_extension_for_pytorch in the image, else workers warn and go on"
    return ""


def _elsewhere(configuration: Configuration, metrics: Path | None) -> Iterator[Key]:
    carried = {key for key in FIELDS.values() if keys.PLACES[key].outcome is Outcome.CARRIED}
    for key, setting in configuration.settings.items():
        if key in carried and (key != "metrics_config" or metrics or setting.value):
            continue
        place = keys.place(key)
        text = place.text
        if key in keys.BOOLEANS and (odd := keys.read_as(key, setting.value)):
            text = f"{text}; {odd}"
        if key == "install_py_dep_per_model" and not keys.as_bool(setting.value):
            place, text = keys.Place(Outcome.NOTHING, ""), "off, as it is here"
        if key == "enable_model_api" and keys.as_bool(setting.value):
            text = f"{text}: registering over the network is answered 405"
        yield Key(key, str(setting.at), place.outcome, text)


def _requirements(configuration: Configuration, models: Sequence[Started]) -> Iterator[Key]:
    """The packages that an archive wants installed at its start."""
    installed = keys.as_bool(configuration.value("install_py_dep_per_model"))
    for model in models:
        if model.archive and model.archive.requirements:
            packages = ", ".join(model.archive.requirements[:8])
            text = f"models/{model.name}/requirements.in: {packages}"
            if not installed:
                text += " (not installed before either: install_py_dep_per_model is off)"
            yield Key(f"{model.entry.mar_name}: requirements", "", Outcome.ELSEWHERE, text)


def _gateway(models: Mapping[str, Started]) -> Iterator[Key]:
    """Answers for which the gateway does not wait, whatever TorchServe would do."""
    slow = {name: each for name, each in models.items() if each.entry.response_timeout > _GATEWAY}
    for name, each in slow.items():
        text = (
            f"drainSeconds of the release; the gateway hangs up after {_GATEWAY} s, until "
            "requestTimeout in infra/gateway/configs/backendtrafficpolicy.yaml is raised"
        )
        key = f"{name}: responseTimeout {each.entry.response_timeout}"
        yield Key(key, str(each.at), Outcome.ELSEWHERE, text)


def _metrics(configuration: Configuration) -> Path | None:
    """The file that metrics_config names, if it is here."""
    setting = configuration.settings.get("metrics_config")
    if setting is None or not setting.value:
        return None
    if configuration.metrics:
        return configuration.metrics
    path = Files(setting.at.path.parent, {}).find(setting.value)
    return path if path and path.is_file() else None
