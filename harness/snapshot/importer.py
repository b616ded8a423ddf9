"""An existing config.properties, turned into models/ entries and the settings of an environment.

    imported = importer.read(Path("config.properties"))
    imported.remarks        # each key that was not carried over, and why
    importer.write_models(repository, imported)

Files: one that a person wrote, or a ``*-startup.cfg``, ``*-snapshot.cfg`` or ``*-shutdown.cfg``
of TorchServe.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from harness.core import files
from harness.core.errors import InputError, Location
from harness.core.repository import Repository
from harness.models.catalog import Catalog, Model, Serving
from harness.models.lock import Lock, load_lock, unset, write_lock
from harness.snapshot import model_snapshot, properties
from harness.snapshot.config import CONTAINER, SWITCHES
from harness.snapshot.model_snapshot import Entry
from harness.snapshot.properties import Entry as Property
from harness.snapshot.server import ServerSettings

# Where the file says nothing, TorchServe takes every GPU, 100, and as many threads as it likes.
_MISSING = {"number_of_gpu": "1", "job_queue_size": "100", "number_of_netty_threads": "32"}

# Every key that org.pytorch.serve.util.ConfigManager of TorchServe 0.12 knows.
KNOWN = frozenset(
    """
    allowed_urls async_logging blacklist_env_vars certificate_file cors_allowed_headers
    cors_allowed_methods cors_allowed_origin cpp_log_config cpu_launcher_args cpu_launcher_enable
    debug decode_input_request default_response_timeout default_service_handler
    default_startup_timeout default_workers_per_model disable_system_metrics
    disable_token_authorization enable_envvars_config enable_grpc_ssl enable_metrics_api
    enable_model_api grpc_inference_address grpc_inference_max_connection_age_grace_ms
    grpc_inference_max_connection_age_ms grpc_inference_port grpc_management_address
    grpc_management_max_connection_age_grace_ms grpc_management_max_connection_age_ms
    grpc_management_port inference_address initial_distribution_port initial_worker_port
    install_py_dep_per_model io_ratio ipex_enable ipex_gpu_enable job_queue_size keystore
    keystore_pass keystore_type limit_max_image_pixels load_models management_address
    max_request_size max_response_size metric_time_interval metrics_address metrics_config
    metrics_mode model_metrics_auto_detect model_server_home model_snapshot model_store models
    netty_client_threads number_of_gpu number_of_netty_threads prefer_direct_buffer
    private_key_file python service_envelope system_metrics_cmd token_expiration_min
    ts_header_key_sequence_end ts_header_key_sequence_id ts_header_key_sequence_start
    ts_open_inference_protocol tsConfigFile unregister_model_timeout use_env_allowed_urls
    use_native_io version workflow_store
    """.split()  # noqa: SIM905 - words are easier to read and compare than a list literal
)

_SCHEMA = "# yaml-language-server: $schema={}\n"
_TLS = "TLS ends at the gateway"
_OVERRIDDEN = "TorchServe ignores it next to model_snapshot"
_IN_SNAPSHOT = "model_snapshot sets it for every model"
_WHY = {
    "NUM_WORKERS": "TorchServe does not know it; minWorkers and maxWorkers of each model decide",
    "snapshot_store": "TorchServe 0.12 does not know it; only 0.1 did",
    "tsConfigFile": "TorchServe overwrites it with the name of the file that it was started with",
    "version": "the server would report this version, whatever its own is",
    "load_models": _OVERRIDDEN,
    "models": _OVERRIDDEN,
    "default_workers_per_model": _IN_SNAPSHOT,
    "default_response_timeout": _IN_SNAPSHOT,
    "default_startup_timeout": _IN_SNAPSHOT,
    "workflow_store": "no workflow is served",
    "vmargs": "the JVM's own defaults fit a container: a quarter of its memory is heap",
    "enable_envvars_config": "nothing but the file decides: no variable of the pod may win over it",
    "keystore": _TLS,
    "keystore_pass": _TLS,
    "keystore_type": _TLS,
    "certificate_file": _TLS,
    "private_key_file": _TLS,
    "enable_grpc_ssl": _TLS,
}

_SERVING = [field.alias or name for name, field in Serving.model_fields.items()]


@dataclass(frozen=True, slots=True)
class Remark:
    """What became of a key that was not carried over as it is. No value: it may be a password."""

    key: str
    line: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file holds, in this repository's terms."""

    path: Path
    server: ServerSettings
    models: Mapping[str, Model]
    remarks: tuple[Remark, ...]

    def serving_yaml(self, catalog: Catalog) -> str:
        """A serving.yaml: for a model that ``catalog`` has, the settings that differ from it."""
        overrides: dict[str, dict[str, int]] = {}
        for name, model in self.models.items():
            known = catalog.models[name].serving if name in catalog.models else model.serving
            old, new = known.model_dump(by_alias=True), model.serving.model_dump(by_alias=True)
            overrides[name] = {key: value for key, value in new.items() if value != old[key]}
        value = {
            "server": self.server.model_dump(by_alias=True, exclude_defaults=True),
            "models": overrides,
        }
        schema = _SCHEMA.format("../../../schemas/serving.json")
        body = yaml.safe_dump(value, sort_keys=False)
        return f"{schema}# Imported from {self.path.name}.\n{body}"


def read(path: Path) -> Imported:
    """Read a config.properties.

    Raises:
        InputError: it cannot be read, has no model_snapshot, or one that cannot be served.
    """
    entries = properties.read(path)
    last = {entry.key: entry for entry in entries}
    if "model_snapshot" not in last:
        raise InputError(
            "no model_snapshot: nothing says which models are served, and how",
            at=path,
            hint="start TorchServe with it, then import the logs/config/*-startup.cfg it writes",
        )
    at = Location(path, last["model_snapshot"].line)
    snapshot = model_snapshot.parse(last["model_snapshot"].value, at)
    models = {}
    for name in snapshot.models:
        if len(defaults := snapshot.defaults(name)) != 1:
            has = " and ".join(defaults) or "none"
            raise InputError(f"{name} needs one default version and has {has}", at=at)
        [version] = defaults
        models[name] = _model(name, version, snapshot.models[name][version], at)
    remarks = [*_property_remarks(entries, last)]
    for name, version, entry in snapshot.entries():
        remarks += _entry_remarks(f"model_snapshot.{name}.{version}", at.line, entry)
    return Imported(path, _server(last, path), models, tuple(remarks))


def existing_models(repository: Repository, imported: Imported) -> list[Remark]:
    """The models whose model.yaml stays as it is."""
    return [
        Remark(
            f"model_snapshot.{name}.{model.version}.marName",
            None,
            f"models/{name}/model.yaml already exists: it says how the archive is built; "
            "only the settings were taken",
        )
        for name, model in imported.models.items()
        if (repository.models / name / "model.yaml").exists()
    ]


def write_models(repository: Repository, imported: Imported) -> list[Path]:
    """Write a model.yaml for each model that has none, and lock its archive as UNSET.

    An existing model.yaml stays as it is.

    Returns:
        The files that were written.
    """
    written = []
    locked = dict(load_lock(repository.lock).models) if repository.lock.is_file() else {}
    for name, model in imported.models.items():
        path = repository.models / name / "model.yaml"
        if path.exists() or model.artifact.adopted is None:
            continue
        value = model.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
        schema = _SCHEMA.format("../../schemas/model.json")
        files.write(path, schema + yaml.safe_dump(value, sort_keys=False))
        written.append(path)
        locked[name] = unset(name, model.version, model.artifact.adopted.archive)
    if written and write_lock(repository.lock, Lock(models=locked)):
        written.append(repository.lock)
    return written


def _model(name: str, version: str, entry: Entry, at: Location) -> Model:
    values = entry.model_dump(by_alias=True)
    try:
        return Model.model_validate(
            {
                "name": name,
                "version": version,
                "description": f"Imported: {entry.mar_name}, version {version}.",
                "artifact": {"adopted": {"archive": entry.mar_name}},
                "serving": {key: values[key] for key in _SERVING},
            }
        )
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()
        ]
        raise InputError(f"{name} {version}: {'; '.join(problems)}", at=at) from None


def _server(last: Mapping[str, Property], path: Path) -> ServerSettings:
    values = {key: last[key].value if key in last else default for key, default in _MISSING.items()}
    try:
        # Text is what the format has: the numbers in it are converted here, and only here.
        return ServerSettings.model_validate(values, strict=False, by_name=True)
    except ValidationError as error:
        [first, *_] = error.errors()
        key = str(first["loc"][0])
        raise InputError(f"{key}: {first['msg']}", at=Location(path, last[key].line)) from None


def _property_remarks(
    entries: Sequence[Property], last: Mapping[str, Property]
) -> Iterator[Remark]:
    ours = CONTAINER | SWITCHES
    for entry in entries:
        if (winner := last[entry.key]) is not entry:
            yield Remark(entry.key, entry.line, f"duplicate: line {winner.line} wins")
        elif entry.key in ours:
            if entry.value != ours[entry.key]:
                why = f"the same everywhere, and agreed with the chart: {ours[entry.key]}"
                yield Remark(entry.key, entry.line, why)
        elif entry.key not in _MISSING and entry.key != "model_snapshot":
            yield Remark(entry.key, entry.line, _why(entry.key))
    for key in sorted(set(_MISSING) - set(last)):
        yield Remark(key, None, f"not in the file: {_MISSING[key]} stands in serving.yaml now")


def _why(key: str) -> str:
    if why := _WHY.get(key):
        return why
    if key in KNOWN:
        return "serving.yaml has no such setting: TorchServe's default is used"
    return "TorchServe 0.12 does not know it"


def _entry_remarks(where: str, line: int | None, entry: Entry) -> Iterator[Remark]:
    if not entry.default_version:
        yield Remark(where, line, "a model is served in one version: the default one was taken")
        return
    if entry.runtime_type != "python":
        yield Remark(f"{where}.runtimeType", line, "every model runs in the image's own Python")
    if entry.parallel_level:
        why = "TorchServe reads it from the archive's own model-config.yaml"
        yield Remark(f"{where}.parallelLevel", line, why)
    for key in entry.model_extra or {}:
        yield Remark(f"{where}.{key}", line, "TorchServe ignores it")
