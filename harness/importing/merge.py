"""Several sources, merged as TorchServe would: variables over command line over file.

Order of ``ConfigManager``'s constructor in 0.12: the file that ``TS_CONFIG_FILE`` or
``--ts-config`` names, ``$$NAME$$`` in its values, the command line, and, where
``enable_envvars_config`` is true, the variables named like its constants.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.importing import keys, shell
from harness.importing.keys import Outcome
from harness.importing.source import Command, Remark, RunningModel, Setting, Source, join

_TEMPLATE = re.compile(r"\$\{\w+[^}]*\}|\$[A-Za-z_]\w*|\{\{.*?\}\}|%[A-Z_]{2,}%|<%.*?%>")
_PATTERNS = {"allowed_urls", "blacklist_env_vars", "vmargs", "system_metrics_cmd"}
_PLACEHOLDER = re.compile(r"\$\$([^$]+[^$])\$\$")
# Keys that no variable sets, whatever it is called (ConfigManager's constants without TS_).
_NO_VARIABLE = {
    *("model_snapshot", "models", "system_metrics_cmd", "metric_time_interval", "version"),
    *("enable_envvars_config", "use_native_io", "io_ratio", "vmargs", "plugins_path", "python"),
    *("tsConfigFile", "use_env_allowed_urls"),
}
_CONSTANTS = {
    ("TS_" + key.removeprefix("ts_").upper()): key for key in keys.KNOWN - _NO_VARIABLE
} | {"TS_TOKEN_EXPIRATION_TIME_MIN": "token_expiration_min"}
del _CONSTANTS["TS_TOKEN_EXPIRATION_MIN"]
# Read from the environment whatever the file says.
_ALWAYS = {"TS_OPEN_INFERENCE_PROTOCOL"}
_PLACES = {"LOG_LOCATION", "METRICS_LOCATION", "TEMP", "TS_MODEL_SERVER_HOME", "JAVA_HOME"}
_INSTEAD = {
    "PYTHONPATH": "the image has its own: what a handler imports goes into its archive",
    "LD_PRELOAD": "`harness check` refuses it (gpu/visible-devices): what it loads is gone",
    **dict.fromkeys(
        ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
        "the device plugin: each pod sees the GPUs that it asks for, `gpus` of the release",
    ),
}
_OF_THE_IMAGE = {
    *("PATH", "HOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "DEBIAN_FRONTEND"),
    *("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "TMPDIR"),
}

_UNREAD = "enable_envvars_config=true is not in the file: TorchServe does not read it"
_UNREAD_PERHAPS = "read with enable_envvars_config=true in config.properties, which is not here"
_REST = "the rest of its words is not here → add the whole line: 'torchserve --start …'"


@dataclass(frozen=True, slots=True)
class Key:
    """A key somewhere in the sources, and what became of it."""

    key: str
    at: str
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """What TorchServe would be started with.

    Attributes:
        settings: the value of each key that counts, with where it stands.
        passed_over: keys that another source or line wins over, or that nothing reads.
        problems: why TorchServe would not start.
        questions: what has to be known first.
        folders: archives, as they lie in a model store.
        file: the config.properties, if it is one of this machine.
        metrics: the file of metrics.
        gpus: how many the container has, if a source says it.
        model_configs: files that are a model-config.yaml, by the model's name.
        running: what a server serves.
        environment: variables that handlers may read, without secrets.
        values: of the chart, that would do here what the old pods had.
    """

    settings: dict[str, Setting]
    passed_over: tuple[Key, ...] = ()
    problems: tuple[Problem, ...] = ()
    questions: tuple[Problem, ...] = ()
    folders: tuple[Path, ...] = ()
    file: Path | None = None
    metrics: Path | None = None
    gpus: Setting | None = None
    model_configs: dict[str, Path] = field(default_factory=dict)
    running: tuple[RunningModel, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)

    def value(self, key: str, default: str = "") -> str:
        """The value of a key."""
        setting = self.settings.get(key)
        return setting.value if setting else default


def merge(sources: Sequence[Source], store: Path | None = None) -> Configuration:
    """Merge what the sources say; the order of the sources does not matter.

    Args:
        sources: what was read.
        store: the old model store, if it is not a source itself.
    """
    joined = join(sources)
    whole = bool(store or joined.folder) and bool(joined.properties)
    passed_over = [_remark(remark, whole) for remark in joined.remarks]
    problems = [*joined.problems]
    variables = {each.key: each for each in joined.variables}
    settings: dict[str, Setting] = {}
    files = _distinct_files(sources)
    if len(files) > 1:
        first, second = files[0].properties[0].at.path, files[1].properties[0].at
        text = f"a second config.properties: TorchServe reads one, and {first} is another source"
        problems.append(Problem(text, second))
    for source in files[:1]:
        for each in source.properties:
            if earlier := settings.get(each.key):
                text = f"stands again in line {each.at.line}, which counts"
                passed_over.append(Key(each.key, str(earlier.at), Outcome.NOTHING, text))
            settings[each.key] = each
    problems += _substitute(settings, variables)
    questions = list(_fill(settings, variables))
    if not (joined.file or joined.properties):
        passed_over += [_absent_file(each) for each in joined.commands if each.config]
    if "TS_CONFIG_FILE" not in variables:
        passed_over += [_missing_words(each) for each in joined.commands if not each.starts]
    for command in joined.commands:
        for setting in _options(command):
            passed_over += _overridden(settings, setting)
            settings[setting.key] = setting
    passed_over += _apply_variables(settings, variables, known=bool(joined.properties))
    problems += _value_problems(settings)
    return Configuration(
        settings=settings,
        passed_over=tuple(passed_over),
        problems=tuple(problems),
        questions=tuple(questions),
        folders=tuple(source.folder for source in sources if source.folder),
        file=joined.file,
        metrics=joined.metrics,
        gpus=joined.gpus,
        model_configs=joined.model_configs,
        running=joined.running,
        environment={
            name: each.value for name, each in variables.items() if _is_for_handlers(name)
        },
        values=reduce(_merge_values, (each.values for each in joined.remarks), {}),
    )


def _merge_values(values: dict[str, object], more: Mapping[str, object]) -> dict[str, object]:
    """Values of the chart, joined key by key and list by list; of anything else, the first's."""
    joined = dict(values)
    for key, node in more.items():
        known = joined.get(key)
        if isinstance(known, dict) and isinstance(node, Mapping):
            joined[key] = _merge_values(known, node)
        elif isinstance(known, list) and isinstance(node, list):
            joined[key] = [*known, *(each for each in node if each not in known)]
        else:
            joined.setdefault(key, dict(node) if isinstance(node, Mapping) else node)
    return joined


def _absent_file(command: Command) -> Key:
    text = f"{command.config} is not here, and what it sets is unknown → add the file as a source"
    return Key("--ts-config", str(command.at), Outcome.LOST, text)


def _missing_words(command: Command) -> Key:
    text = (
        "it refuses to start without --model-store, or --ts-config with model_store in the file: "
    )
    return Key("torchserve", str(command.at), Outcome.LOST, f"{text}{_REST}")


def _distinct_files(sources: Sequence[Source]) -> list[Source]:
    """The sources with properties, one for each file: a Dockerfile may name what is given too.

    What an image or a command would write counts if no file is given.
    """
    distinct: dict[str, Source] = {}
    for source in sources:
        if source.properties and not source.assumed:
            distinct.setdefault(str(source.properties[0].at.path.resolve()), source)
    assumed = [source for source in sources if source.properties and source.assumed]
    return list(distinct.values()) or assumed[:1]


def _is_for_handlers(name: str) -> bool:
    is_ours = name.startswith("TS_") or name in {*_PLACES, *_OF_THE_IMAGE, *_INSTEAD}
    return not is_ours and not keys.SECRET.search(name)


def _remark(remark: Remark, whole: bool) -> Key:
    if remark.fetched and whole:
        text = "these sources: KServe fetched config/ and model-store/ from there"
        return Key(remark.what, str(remark.at), Outcome.ELSEWHERE, text)
    outcome = Outcome.LOST if remark.lost else Outcome.ELSEWHERE
    if "TorchServe ignores" in remark.why or "never restored" in remark.why:
        outcome = Outcome.LOST if remark.lost else Outcome.NOTHING
    return Key(remark.what, str(remark.at), outcome, remark.why)


def _substitute(settings: dict[str, Setting], variables: dict[str, Setting]) -> Iterator[Problem]:
    for key, setting in list(settings.items()):
        names = _PLACEHOLDER.findall(setting.value)
        for name in names:
            if name not in variables:
                text = f"{key} needs the variable {name}: add {name}=VALUE as a source"
                yield Problem(text, setting.at)
        if names and all(name in variables for name in names):
            text = _PLACEHOLDER.sub(lambda match: variables[match[1]].value, setting.value)
            settings[key] = replace(setting, value=text)


def _fill(settings: dict[str, Setting], variables: dict[str, Setting]) -> Iterator[Problem]:
    """What a template leaves open: no TorchServe fills it in, but a script before it does."""
    known = {name: each.value for name, each in variables.items()}
    for key, setting in list(settings.items()):
        if key in _PATTERNS or not _TEMPLATE.search(setting.value):
            continue
        settings[key] = replace(setting, value=shell.expand(setting.value, known))
        if match := _TEMPLATE.search(settings[key].value):
            name = re.sub(r"\W", "", match[0])
            text = f"{key} holds {match[0]}, which a script fills in before TorchServe starts: "
            more = f", or add {name}=VALUE as a source" if match[0].startswith("$") else ""
            yield Problem(f"{text}give the file as it is then{more}", setting.at)


def _options(command: Command) -> Iterator[Setting]:
    """What the command line sets, in the order of the constructor."""
    pairs = {
        "model_store": command.model_store,
        "workflow_store": command.workflow_store,
        "cpp_log_config": command.cpp_log_config,
        "load_models": ",".join(command.models),
        "enable_model_api": "true" if command.enable_model_api else "",
        "disable_token_authorization": "true" if command.disable_token_auth else "",
        "plugins_path": command.plugins_path,
    }
    for key, text in pairs.items():
        if text:
            yield Setting(key, text, command.at)


def _overridden(settings: dict[str, Setting], winner: Setting) -> Iterator[Key]:
    earlier = settings.get(winner.key)
    if earlier and earlier.value != winner.value:
        text = f"{winner.at} overrides it"
        yield Key(winner.key, str(earlier.at), Outcome.NOTHING, text)


def _apply_variables(
    settings: dict[str, Setting], variables: dict[str, Setting], *, known: bool
) -> Iterator[Key]:
    read = _is_true(settings, "enable_envvars_config")
    unread = _UNREAD if known else _UNREAD_PERHAPS
    for name, variable in variables.items():
        key = _CONSTANTS.get(name)
        at = str(variable.at)
        if name in _ALWAYS and key:
            settings[key] = replace(variable, key=key, value=str(variable.value == "oip").lower())
        elif key == "allowed_urls" and not read:
            yield Key(name, at, Outcome.NOTHING, "enable_envvars_config=true is not set")
        elif key and read:
            yield from _overridden(settings, replace(variable, key=key))
            settings[key] = replace(variable, key=key)
        elif key:
            yield Key(name, at, Outcome.NOTHING, unread)
        elif name == "TS_CONFIG_FILE" or name in _PLACES:
            yield Key(name, at, Outcome.ELSEWHERE, "the launcher says where things are")
        elif name.startswith("TS_"):
            yield Key(name, at, Outcome.NOTHING, _why_unknown(name))
        else:
            yield _for_handlers(name, at)


def _for_handlers(name: str, at: str) -> Key:
    """A variable that TorchServe does not read: a handler may."""
    if name in _OF_THE_IMAGE:
        return Key(name, at, Outcome.ELSEWHERE, "the image has its own")
    if text := _INSTEAD.get(name):
        outcome = Outcome.LOST if name == "LD_PRELOAD" else Outcome.ELSEWHERE
        return Key(name, at, outcome, text)
    text = "the chart's `env`, in helmrelease.yaml"
    if keys.SECRET.search(name):
        text += ": add it there with valueFrom, from a Secret"
    return Key(name, at, Outcome.ELSEWHERE, text)


def _why_unknown(variable: str) -> str:
    key = variable.removeprefix("TS_").lower()
    if key in _NO_VARIABLE & keys.KNOWN:
        return f"no variable sets it: TorchServe reads {key} from its file alone"
    return f"TorchServe 0.12 does not know it{did_you_mean(variable, _CONSTANTS)}"


def _value_problems(settings: dict[str, Setting]) -> Iterator[Problem]:
    for key, setting in settings.items():
        if _PLACEHOLDER.search(setting.value):
            continue  # its variable is asked for
        if key not in _PATTERNS and _TEMPLATE.search(setting.value):
            continue
        if why := keys.fault(key, setting.value):
            late = keys.LAZY.get(key)
            if late and not _has_models(settings):
                continue
            if key == "metric_time_interval" and _is_true(settings, "disable_system_metrics"):
                continue
            yield Problem(f"{key} {why}", setting.at)
    secure = "keystore" in settings or {"certificate_file", "private_key_file"} <= settings.keys()
    for key in sorted(keys.ADDRESSES & settings.keys()):
        if settings[key].value.lower().startswith("https:") and not secure:
            text = "is https, and needs keystore, or certificate_file and private_key_file"
            yield Problem(f"{key} {text}: no JDK since 16 makes TorchServe's own", settings[key].at)


def _is_true(settings: dict[str, Setting], key: str) -> bool:
    return key in settings and keys.as_bool(settings[key].value)


def _has_models(settings: dict[str, Setting]) -> bool:
    return "model_snapshot" in settings or bool(
        (models := settings.get("load_models")) and models.value
    )
