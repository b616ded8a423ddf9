"""What TorchServe gets wrong, found before it starts: every fault, each with its place.

    preflight.check(Path("build/serve/local/config.properties"))

Left alone, TorchServe ends with a stack trace, or worse: it logs one line, skips the models that
follow and calls itself Healthy.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from harness.core import files as disk
from harness.core.errors import InputError, Location
from harness.models.adopted import DEFAULT_VERSION
from harness.models.archive import read_manifest
from harness.snapshot import model_snapshot, properties
from harness.snapshot.config import ModelFile
from harness.snapshot.model_snapshot import Entry, ModelSnapshot

_PRIVATE = ("management_address", "metrics_address", "grpc_management_address")
# Places that nobody means to allow: what matches one of them is open.
_ELSEWHERE = tuple(
    f"{scheme}example.org/elsewhere/model.mar" for scheme in ("http://", "https://", "file:///")
)
_OPEN_BY_DEFAULT = "file://.*|http(s)?://.*"  # ConfigManager.DEFAULT_TS_ALLOWED_URLS


def check(path: Path, *, files: Sequence[ModelFile] = (), gpus: int | None = None) -> None:
    """Check a config.properties together with the model store that it names.

    Args:
        path: the file that TorchServe would be started with.
        files: what the archives must be, where that is known.
        gpus: how many GPUs this machine has, where that is known.

    Raises:
        InputError: every fault, each a line ``file:line: what is wrong``.
    """
    config = _Config(path)
    faults = [*_server_faults(config, gpus)]
    if "model_snapshot" in config.values:
        try:
            snapshot = model_snapshot.parse(
                config.values["model_snapshot"], config.at("model_snapshot")
            )
        except InputError as error:
            faults.append(str(error))
        else:
            faults += _model_faults(config, snapshot)
            faults += _archive_faults(config, snapshot, {file.name: file for file in files})
    if faults:
        raise InputError("\n".join(faults))


class _Config:
    """The properties of a file, and where each stands."""

    def __init__(self, path: Path) -> None:
        entries = properties.read(path)
        self.values = {entry.key: entry.value for entry in entries}
        self._first = {entry.key: entry.line for entry in entries}
        self._path = path
        self._lines = path.read_bytes().decode("latin-1").split("\n")

    @property
    def gpus(self) -> int | None:
        """``number_of_gpu``, 0 by default, or None if it is not a number."""
        value = self.values.get("number_of_gpu", "0")
        return int(value) if value.isdecimal() else None

    def at(self, key: str, model: str = "") -> Location:
        """The line of a key, or inside its folded value the line that names ``model``."""
        if key not in self.values:
            return Location(self._path)
        first = self._first[key]
        for line, text in enumerate(self._lines[first - 1 :], first):
            if model and f'"{model}"' in text:
                return Location(self._path, line)
        return Location(self._path, first)


def _server_faults(config: _Config, gpus: int | None) -> Iterator[str]:
    for key in ("model_store", "model_snapshot"):
        if key not in config.values:
            yield f"{config.at(key)}: {key} is missing: there is nothing to serve"
    if allowed := _open_pattern(config.values.get("allowed_urls", _OPEN_BY_DEFAULT)):
        yield (
            f"{config.at('allowed_urls')}: allowed_urls is open: {allowed} lets anybody who can "
            "register a model run any code; set allowed_urls=none"
        )
    for key in _PRIVATE:
        if not _is_loopback(config.values.get(key, "127.0.0.1")):
            yield (
                f"{config.at(key)}: {key} {config.values[key]} is off loopback: whoever reaches it "
                "controls the server; set it to 127.0.0.1"
            )
    if config.gpus is None:
        yield f"{config.at('number_of_gpu')}: number_of_gpu is not a number"
    elif gpus is not None and config.gpus > gpus:
        yield (
            f"{config.at('number_of_gpu')}: number_of_gpu {config.gpus}, but this machine has "
            f"{gpus}: TorchServe would use those and say nothing"
        )


def _open_pattern(allowed: str) -> str | None:
    """The first pattern that lets a model come from anywhere; Java's syntax for these is ours."""
    for pattern in allowed.split(","):
        try:
            matches = re.compile(pattern, re.IGNORECASE).fullmatch
        except re.error:
            return pattern  # what cannot be evaluated is not trusted
        if any(matches(url) for url in _ELSEWHERE):
            return pattern
    return None


def _is_loopback(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    host = urlsplit(address).hostname if "://" in address else address
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _model_faults(config: _Config, snapshot: ModelSnapshot) -> Iterator[str]:
    at = config.at("model_snapshot", "modelCount")
    count = sum(1 for _ in snapshot.entries())
    if snapshot.model_count <= 0:
        yield f"{at}: modelCount {snapshot.model_count}: TorchServe would start without a model"
    elif snapshot.model_count != count:
        yield f"{at}: modelCount {snapshot.model_count}, but {count} are listed"
    for name in snapshot.models:
        if len(defaults := snapshot.defaults(name)) != 1:
            at = config.at("model_snapshot", name)
            has = " and ".join(defaults) or "none"
            yield f"{at}: {name} needs one default version and has {has}"
    for name, version, entry in snapshot.entries():
        for fault in _entry_faults(entry, config.gpus or 0):
            yield f"{config.at('model_snapshot', name)}: {name} {version}: {fault}"


def _entry_faults(entry: Entry, gpus: int) -> Iterator[str]:
    if entry.min_workers > entry.max_workers:
        yield f"minWorkers {entry.min_workers} > maxWorkers {entry.max_workers}"
    if entry.parallel_level and entry.min_workers * entry.parallel_level > gpus:
        yield (
            f"{entry.min_workers} workers of {entry.parallel_level} GPUs each do not fit "
            f"in number_of_gpu {gpus}: TorchServe would start fewer, or skip the model"
        )


def _archive_faults(
    config: _Config, snapshot: ModelSnapshot, files: dict[str, ModelFile]
) -> Iterator[str]:
    store = Path(config.values.get("model_store", ""))
    first_entries: dict[tuple[str, str], str] = {}
    for name, version, entry in snapshot.entries():
        where = f"{config.at('model_snapshot', name)}: {name} {version}"
        mar = store / entry.mar_name
        if not mar.exists():
            yield f"{where}: {entry.mar_name} is not in the model store {store}"
            continue
        if file := files.get(entry.mar_name):
            yield from _content_faults(where, mar, file)
        try:
            manifest = read_manifest(mar)
        except InputError as error:
            yield f"{where}: {error}"
            continue
        actual = manifest.model_version or DEFAULT_VERSION
        # Of another name it may be: TorchServe serves it under the one that stands here.
        if actual != version:
            yield (
                f"{where}: its archive says version {actual}, "
                "and that is what TorchServe would serve it as"
            )
        twin = first_entries.setdefault((name, actual), version)
        if twin != version:
            yield f"{where}: the same version {actual} as the entry {twin}"


def _content_faults(where: str, mar: Path, file: ModelFile) -> Iterator[str]:
    size = mar.stat().st_size
    if size != file.size:
        yield f"{where}: {mar} has {size} bytes where {file.size} are expected"
    elif (digest := disk.sha256(mar)) != file.sha256:
        yield f"{where}: {mar} has sha256 {digest} where {file.sha256} is expected"
