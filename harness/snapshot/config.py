"""config.properties and model-files.yaml: a pure function of the models, the lock and serving.yaml.

    snapshot = config.load(repository, "staging")
    snapshot.config_properties()    # apps/torchserve/staging/torchserve/config.properties

docs/snapshot.md says why each key is there, and why some are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness import slo
from harness.core import document
from harness.core.errors import InputError, UsageError
from harness.core.repository import FIRST_GROUP, Repository
from harness.core.values import items
from harness.models.catalog import Catalog, Model, Serving, load_catalog
from harness.models.lock import Lock, LockedModel, load_lock
from harness.snapshot import model_snapshot, properties, routes
from harness.snapshot.model_snapshot import Entry, ModelSnapshot
from harness.snapshot.routes import Group, Protocol
from harness.snapshot.server import ServerSettings
from harness.snapshot.serving import ModelServing, ServingSettings, load_settings

CONTAINER = {
    "inference_address": "http://0.0.0.0:8080",
    "grpc_inference_address": "0.0.0.0",  # noqa: S104 - a pod is reached on its own address
    "grpc_inference_port": "7070",
    # The launcher is the only client of these; nothing outside the pod may reach them.
    "management_address": "http://127.0.0.1:8081",
    "metrics_address": "http://127.0.0.1:8082",
    "grpc_management_address": "127.0.0.1",
    "grpc_management_port": "7071",
    "model_store": "/home/model-server/model-store",
    "python": "/home/venv/bin/python3",
}
"""Where things are in the container: the chart and the image agree with it."""

SWITCHES = {
    # One switch for the whole process, and tokens that differ from pod to pod: behind a Service
    # they cannot work. Management is on loopback, inference is authenticated at the gateway.
    "disable_token_authorization": "true",
    # What is served is decided in Git: nothing is registered over the network, and from no URL.
    # The value is a pattern; no URL is the word "none".
    "enable_model_api": "false",
    "allowed_urls": "none",
    # Otherwise /metrics answers 200 with nothing in it. The launcher passes it on.
    "metrics_mode": "prometheus",
    # Each figure costs a Python process; the node's and the GPU's exporters know them better.
    "disable_system_metrics": "true",
}
"""What no environment decides otherwise."""

LOCAL_KEYS = frozenset({*CONTAINER, "number_of_gpu", "metrics_config"})
"""All that a run on this machine may change: where things are, and how many GPUs there are."""

_HEADER = (
    "# Written by `harness snapshot` from serving.yaml, models/ and models/lock.yaml.\n"
    "# Do not edit it: change those, then run `make snapshot ENV={env}`. See docs/snapshot.md.\n"
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One archive that the model store must hold: file name, SHA-256 (or UNSET), size in bytes, and
    the request that the launcher asks in doubt, as it reads it: contentType, and body in base64.
    """

    name: str
    sha256: str
    size: int
    sample: Mapping[str, str] | None = None

    def entry(self) -> dict[str, object]:
        """As it stands in the chart's values, and in the launcher's list."""
        entry: dict[str, object] = {"name": self.name, "sha256": self.sha256, "size": self.size}
        return entry | ({"sample": dict(self.sample)} if self.sample else {})


@dataclass(frozen=True, slots=True)
class ConfigSnapshot:
    """What the TorchServe of a group is started with; ``metrics`` is the text of the file that
    ``metricsConfig`` names, or nothing; ``latency_bounds`` are the launcher's, in seconds.
    """

    env: str
    server: ServerSettings
    models: ModelSnapshot
    model_files: tuple[ModelFile, ...]
    metrics: str = ""
    routed: tuple[str, ...] = ()
    protocols: tuple[Protocol, ...] = ()
    latency_bounds: tuple[float, ...] = ()
    canary: bool = False

    def config_properties(self) -> str:
        """The text of config.properties, with the container's values."""
        bounds = " ".join(map(str, self.latency_bounds))
        return _HEADER.format(env=self.env) + properties.dump(
            {
                **CONTAINER,
                **SWITCHES,
                **self.server.config_properties(),
                # The launcher's own key; TorchServe passes over what it does not know.
                **({"launcher_latency_bounds": bounds} if bounds else {}),
                "model_snapshot": model_snapshot.pieces(self.models),
            }
        )

    def model_files_yaml(self) -> str:
        """The text of model-files.yaml: the chart's values ``modelStore.files`` and, where they are
        set, ``metricsConfig`` and ``canary.match``.

        Raises:
            InputError: the group's requests do not fit into a Canary's route.
        """
        # Without samples until 2027-06-01: the chart of 69fd4c0, from which an upgrade in place may
        # start, refuses them, and charts and values arrive apart (rule render/version-skew).
        files = [{"name": f.name, "sha256": f.sha256, "size": f.size} for f in self.model_files]
        values: dict[str, object] = {"modelStore": {"files": files}}
        if self.metrics:
            values["metricsConfig"] = _Block(self.metrics)
        if self.canary:
            values["canary"] = {"match": routes.canary_matches(self._as_group(""))}
        return _HEADER.format(env=self.env) + yaml.dump(values, Dumper=_Dumper, sort_keys=False)

    def route_files(self, group: str) -> dict[str, str]:
        """httproute.yaml and grpcroute.yaml of a group, for an environment with a gateway."""
        routed = self._as_group(group)
        header = _HEADER.format(env=self.env)
        return {
            "httproute.yaml": routes.dump(header, routes.http_routes(routed)),
            "grpcroute.yaml": routes.dump(header, [routes.grpc_route(routed)]),
        }

    def _as_group(self, group: str) -> Group:
        """What the routes of a group are made of."""
        return Group(
            name=group,
            first=group == FIRST_GROUP,
            models=self.routed,
            protocols=self.protocols,
            cors=self.server.cors,
            canary=self.canary,
        )


class _Block(str):
    """A text whose lines stand on lines of their own, so that a diff names the one that changed."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def load(
    repository: Repository, env: str, lock: Path | None = None, group: str | None = None
) -> ConfigSnapshot:
    """Build the snapshot of a group.

    Args:
        repository: whose models and settings.
        env: the environment.
        lock: the archives; by default the committed ones.
        group: a group of the environment; by default the only one, or ``torchserve``.

    Raises:
        InputError: a model.yaml, the lock or serving.yaml is bad, or they do not fit together.
        UsageError: there is no such environment or group.
    """
    catalog = load_catalog(repository.models)
    serving = repository.group(env, group) / "serving.yaml"
    settings = load_settings(serving, catalog)
    name = settings.server.metrics_config
    metrics = document.read_text(serving.with_name(name)) if name else ""
    limits = tuple(slo.bounds(repository.cluster(env) / "loadtest.yaml"))
    return build(env, catalog, load_lock(lock or repository.lock), settings, metrics, limits)


def stale(
    repository: Repository, env: str, lock: Path | None = None, group: str | None = None
) -> dict[Path, str]:
    """The generated files that are missing or old, and what they should hold.

    Args:
        repository: whose models and settings.
        env: the environment.
        lock: the archives; by default the committed ones.
        group: a group of the environment; by default every one.
    """
    generated: dict[Path, str] = {}
    for name in [group] if group else repository.groups(env):
        folder, snapshot = repository.group(env, name), load(repository, env, lock, name)
        generated[folder / "config.properties"] = snapshot.config_properties()
        generated[folder / "model-files.yaml"] = snapshot.model_files_yaml()
        generated |= {
            folder / file: text
            for file, text in snapshot.route_files(name).items()
            if file in _resources(folder)
        }
    return document.stale(generated)


def build(
    env: str,
    catalog: Catalog,
    lock: Lock,
    settings: ServingSettings,
    metrics: str = "",
    limits: Sequence[float] = (),
) -> ConfigSnapshot:
    """Put the sources together; the same input gives the same bytes. ``limits`` are of SLOs, in
    seconds: bounds of the launcher's histograms.

    Raises:
        InputError: a model is not in the lock, or is locked in a version that it does not have.
    """
    names = sorted(settings.models)
    served = [
        each
        for name in names
        for each in _served_versions(lock, catalog.models[name], settings.models[name])
    ]
    entries: dict[str, dict[str, Entry]] = {name: {} for name in names}
    for each in served:
        entries[each.model.name][each.archive.version] = each.entry()
    return ConfigSnapshot(
        env=env,
        server=_server(settings),
        models=ModelSnapshot(modelCount=len(served), models=entries),
        model_files=tuple(each.file() for each in served),
        metrics=metrics,
        routed=settings.routed,
        protocols=settings.protocols,
        latency_bounds=tuple(sorted({*settings.latency_bounds, *limits})),
        canary=settings.canary,
    )


def _server(settings: ServingSettings) -> ServerSettings:
    """The server's settings, with the server calls of a protocol that is let through."""
    server = settings.server
    if Protocol.OIP in settings.protocols and server.ts_open_inference_protocol is None:
        return server.model_copy(update={"ts_open_inference_protocol": True})
    return server


def _resources(folder: Path) -> list[object]:
    """The files that a group's kustomization.yaml lists; none without one."""
    path = folder / "kustomization.yaml"
    documents = document.parse(document.read_text(path), path) if path.is_file() else []
    return [name for each in documents for name in items(each.value, "resources")]


def derive(text: str, changes: Mapping[str, str]) -> str:
    """``text`` with other values for some of ``LOCAL_KEYS``, for a run on this machine.

    Raises:
        UsageError: another key is to be changed.
    """
    if others := sorted(set(changes) - LOCAL_KEYS):
        raise UsageError(
            f"a local run may not change {', '.join(others)}",
            hint="change serving.yaml, then run `harness snapshot write --all`",
        )
    return properties.dump({**properties.parse(text), **changes})


@dataclass(frozen=True, slots=True)
class _Served:
    """A version of a model, its archive, and how it runs."""

    model: Model
    archive: LockedModel
    serving: Serving
    is_default: bool

    def entry(self) -> Entry:
        is_own = self.archive.version not in self.model.versions
        config = self.model.config if is_own else None  # another's is in its archive alone
        return Entry.model_validate(
            {
                "default_version": self.is_default,
                "mar_name": self.archive.mar,
                **{key: getattr(self.serving, key) for key in Serving.model_fields},
                "parallel_level": config.parallel_level if config else None,
            },
            by_name=True,
        )

    def file(self) -> ModelFile:
        probe = self.model.probe
        sample = probe.model_dump(by_alias=True) if probe else None
        return ModelFile(self.archive.mar, self.archive.sha256, self.archive.size, sample)


def _served_versions(lock: Lock, model: Model, serving: ModelServing) -> Iterator[_Served]:
    """The model's own version, and the others that a group serves, by version."""
    first = _own_archive(lock, model)
    default = serving.default_version or model.version
    archives: dict[str, tuple[LockedModel, Serving]] = {first.version: (first, serving)}
    for version, settings in serving.versions.items():
        archive = lock.archive(model.name, version)
        if archive is None:
            raise InputError(
                f"version {version} of model {model.name} is not in the lock",
                hint="`harness models build`, then `harness models lock`; if its archive is only "
                "in a bucket, `harness models pull --env …` fetches it",
            )
        archives[version] = (archive, settings)
    for version in sorted(archives):
        is_default = version == (first.version if default == model.version else default)
        yield _Served(model, *archives[version], is_default)


def _own_archive(lock: Lock, model: Model) -> LockedModel:
    entry = lock.models.get(model.name)
    hint = "`harness models build`, then `harness models lock`"
    if entry is None:
        raise InputError(f"model {model.name} is not in the lock", hint=hint)
    torchvision = model.artifact.torchvision
    fallback = torchvision.fallback if torchvision else None
    versions = [model.version] + ([fallback.version] if fallback else [])
    if entry.version not in versions:
        raise InputError(
            f"model {model.name} is locked in version {entry.version}; "
            f"its model.yaml has {' and '.join(versions)}",
            hint=hint,
        )
    return entry
