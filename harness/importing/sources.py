"""What a word after ``harness import`` is: a file of some kind, a folder, an address, a line."""

import re
from dataclasses import replace
from pathlib import Path

from harness.core import document
from harness.core.errors import InputError, Location, UsageError
from harness.importing import (
    archives,
    command_line,
    dockerfile,
    files_there,
    manifest,
    objects,
    properties_file,
    running,
    starters,
)
from harness.importing.files_there import Files
from harness.importing.keys import KNOWN
from harness.importing.source import Setting, Source

_VARIABLE = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_MODEL_CONFIG = {
    *("minWorkers", "maxWorkers", "batchSize", "maxBatchDelay", "responseTimeout", "deviceType"),
    *("startupTimeout", "parallelType", "torchrun", "handler", "pt2", "deviceIds"),
}
_START = re.compile(r"dockerfile|containerfile|makefile|\.(properties|cfg|ya?ml|sh|service|bat)$")
_METRICS = {"ts_metrics", "model_metrics"}
_LEFT_OUT = "leave it out; or add the command line as a source: 'torchserve --start …'"
_RENDERED = "docker compose config > rendered.yaml puts several files together: import that"
_FORMS = (
    "a config.properties or *-startup.cfg, a Dockerfile, a compose, Kubernetes, KServe or Helm "
    "values file, a script, a folder of archives, `torchserve --start …`, NAME=VALUE, or the "
    "address of a management API"
)


def read(word: str) -> Source:
    """Read one source.

    Raises:
        InputError: it cannot be read.
        UsageError: it is nothing that is known.
    """
    if re.match(r"https?://", word):
        return running.read(word)
    path = Path(word)
    name, _, rest = word.partition("=")
    if path.is_dir():
        return _store(path)
    if path.is_file():
        return _file(path)
    if command_line.is_start([word]):
        source = command_line.parse(word, Location(Path("the command line")))
        return files_there.with_files(source, Files(Path()))
    if re.fullmatch(r"[\w.-]+", name) and rest.endswith((".yaml", ".yml")) and Path(rest).is_file():
        return Source(model_configs={name: Path(rest)})
    if match := _VARIABLE.fullmatch(word):
        at = Location(Path("the command line"))
        return Source(variables=(Setting(match[1], match[2], at),))
    raise UsageError(
        f"{word!r} is not a file, folder, command or address", hint=f"one of: {_FORMS}"
    )


def _store(path: Path) -> Source:
    """A folder of archives.

    Raises:
        UsageError: it holds none, as the folder of a project does.
    """
    if not archives.is_store(path):
        files = [each for each in sorted(path.iterdir()) if _START.search(each.name.lower())]
        hint = f"name the files that start it: {' '.join(map(str, files))}" if files else ""
        raise UsageError(f"{path} holds no archive", hint=hint or f"one of: {_FORMS}")
    return Source(folder=path)


def _file(path: Path) -> Source:
    name = path.name.lower()
    if name.endswith((".mar", ".tar.gz", ".tgz", ".model", ".war")):
        raise UsageError(f"{path} is one archive", hint=f"give its folder: --store {path.parent}")
    text = path.read_text(errors="replace")
    script = starters.as_shell(name, text)
    if script is None and (name.endswith(".sh") or text.startswith("#!")):
        script = text
    if script is not None:
        return _script(script, path)
    if name.endswith((".properties", ".cfg", ".conf", ".ini")):
        return files_there.with_files(properties_file.read(path), Files(path.parent))
    if "dockerfile" in name or "containerfile" in name or re.match(r"\s*(#.*\n\s*)*FROM\s", text):
        return dockerfile.read(text, path)
    if name.endswith((".yaml", ".yml", ".json")):
        return _yaml(text, path)
    if name.endswith(".env") or name == ".env":
        return _variables(text, path)
    source = properties_file.read(path)
    if source.properties and not any(each.key in KNOWN for each in source.properties):
        raise UsageError(f"{path} is of no kind that is known", hint=f"one of: {_FORMS}")
    return source


def _script(text: str, path: Path) -> Source:
    """A script of the shell.

    Raises:
        InputError: it starts no TorchServe.
    """
    source = command_line.parse(text, Location(path, 1))
    if replace(source, writes=()) == Source():
        raise InputError(
            "nothing in it starts TorchServe",
            at=path,
            hint="leave it out; a manifest that it applies, or a file that it calls, is a source",
        )
    return files_there.with_files(source, Files(path.parent))


def _yaml(text: str, path: Path) -> Source:
    if "{{" in text and not manifest.is_yaml(text, path):
        raise InputError(
            "a Helm template is not YAML yet",
            at=path,
            hint=f"helm template RELEASE CHART > rendered.yaml, and import that for {path.name}",
        )
    documents = document.parse(text, path)
    kinds = [
        str(each.value.get("apiVersion")) for each in documents if isinstance(each.value, dict)
    ]
    if path.name.startswith("kustomization.") or "kustomize.config.k8s.io" in " ".join(kinds):
        raise InputError(
            "a Kustomization names files and changes to them",
            at=path,
            hint=f"kubectl kustomize {path.parent} > rendered.yaml, and import that in its place",
        )
    node = documents[0].value if len(documents) == 1 else None
    if isinstance(node, dict) and node.keys() & _METRICS:
        return Source(metrics=path)
    if isinstance(node, dict) and node.keys() & _MODEL_CONFIG and "kind" not in node:
        return Source(model_configs={path.parent.name: path})
    source = manifest.read(text, path)
    if replace(source, remarks=()) == Source() and all(
        remark.why == objects.NOT_SERVING for remark in source.remarks
    ):
        raise InputError(
            "nothing in it starts TorchServe: no container runs it, no text is a config.properties",
            at=path,
            hint=_RENDERED if isinstance(node, dict) and "services" in node else _LEFT_OUT,
        )
    return source


def _variables(text: str, path: Path) -> Source:
    """A file of NAME=VALUE lines, as compose's ``env_file`` has."""
    settings = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _VARIABLE.fullmatch(line.strip().removeprefix("export "))
        if match and not line.lstrip().startswith("#"):
            text = match[2].strip()
            if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
                text = text[1:-1]
            settings.append(Setting(match[1], text, Location(path, number)))
    return Source(variables=tuple(settings))
