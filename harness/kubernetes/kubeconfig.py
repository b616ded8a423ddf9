"""The files that name clusters: those of KUBECONFIG, or ~/.kube/config."""

import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.core import yamlfile
from harness.core.errors import HarnessError, UsageError
from harness.core.values import Value, items, mapping, text

_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def files() -> str:
    """Their paths, as KUBECONFIG has them."""
    # The client itself reads the variable only once, when it is imported.
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def contexts() -> list[str]:
    """The names of the clusters that they know.

    Raises:
        InputError: a file is not YAML.
        HarnessError: there is no file.
    """
    if not any(True for _ in _documents()):
        raise HarnessError(f"no cluster configured: no file {files()}", hint="set KUBECONFIG")
    return [text(each, "name") for each in _entries("contexts")]


def context_of(server: str) -> str | None:
    """The context whose cluster is at an address.

    Raises:
        InputError: a file is not YAML.
    """
    clusters = [each for each in _entries("clusters") if text(each, "cluster", "server") == server]
    names = {text(each, "name") for each in clusters}
    for each in _entries("contexts"):
        if text(each, "context", "cluster") in names:
            return text(each, "name")
    return None


def extract_context(context: str) -> str:
    """A context without the others, as a file that can lie anywhere.

    Raises:
        UsageError: there is none of that name, or it refers to an entry that does not exist.
    """
    entry = _entry("contexts", context)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [_entry("clusters", text(entry, "context", "cluster"))],
        "users": [_entry("users", text(entry, "context", "user"))],
        "contexts": [entry],
        "current-context": context,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _entry(part: str, name: str) -> Value:
    entries = list(_entries(part))
    for each in entries:
        if text(each, "name") == name:
            return each
    names = ", ".join(text(each, "name") for each in entries) or "none"
    raise UsageError(f"KUBECONFIG has no {name!r} under {part}", hint=f"it has: {names}")


def _entries(part: str) -> Iterator[Value]:
    """One list of all files; of two of the same name the first counts, as for kubectl."""
    for path, document in _documents():
        for each in items(document, part):
            yield _absolute(mapping(each), path.parent)


def _documents() -> Iterator[tuple[Path, object]]:
    for name in files().split(os.pathsep):
        path = Path(name).expanduser()
        if name and path.is_file():
            for each in yamlfile.parse(yamlfile.read_text(path), path):
                yield path, each.value


def _absolute(entry: Value, folder: Path) -> Value:
    """The entry with what it refers to by paths from the root."""
    absolute = dict(entry)
    for key, value in absolute.items():
        if isinstance(value, dict):
            absolute[key] = _absolute(value, folder)
        elif key in _PATHS:
            absolute[key] = str((folder / str(value)).resolve())
    return absolute
