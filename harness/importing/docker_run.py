"""``docker run … IMAGE COMMAND`` of a script, or podman's: what the container is started with."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_ENGINES = {"docker", "podman", "nerdctl", "nvidia-docker"}
_IMAGE = re.compile(r"(^|[/_-])(torchserve|pytorch-serve)[\w-]*([:@]|$)", re.IGNORECASE)
_BESIDE = re.compile(r"exporter|dashboard|client|frontend|locust|gateway", re.IGNORECASE)
_UPSTREAM = re.compile(r"(^|/)pytorch/torchserve(-nightly)?([:@]|$)")
_FLAG = re.compile(
    r"-[ditPq]+|--(detach|interactive|tty|rm|init|privileged|publish-all|quiet|read-only|replace"
    r"|no-healthcheck|oom-kill-disable|sig-proxy|disable-content-trust)"
)
"""Options without a value; any other one has its value behind ``=``, or as the next word."""
_ATTACHED = re.compile(r"(-[a-zA-Z])([^=].*)")  # `-p8080:8080`
_UNITS = re.compile(r"([0-9.]+)\s*([kmgt]?)b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Run:
    """A container.

    Attributes:
        image: its image.
        command: the words behind it.
        variables: of its process.
        gpus: how many, or as they are written.
        mounts: what of this machine lies where there.
        named: options that a value of the chart takes the place of: that, and what it is.
    """

    image: str
    command: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()
    gpus: str = ""
    mounts: Mapping[PurePosixPath, Path] = field(default_factory=dict)
    named: tuple[tuple[str, str, object], ...] = ()


def read(words: Sequence[str], folder: Path = Path()) -> Run | None:
    """The container that a simple command runs, in a folder; None if it runs none."""
    if not words or words[0].rpartition("/")[2] not in _ENGINES:
        return None
    verb = next((n for n, word in enumerate(words) if word in ("run", "create")), 0)
    if not verb:
        return None
    options, rest = _options(words[verb + 1 :])
    if not rest:
        return None
    by_option = dict(options)
    variables: list[tuple[str, str]] = []
    mounts: dict[PurePosixPath, Path] = {}
    for option, text in options:
        if option in ("-e", "--env") and "=" in text:
            variables.append((text.partition("=")[0], text.partition("=")[2]))
        elif option == "--env-file":
            variables += env_file(folder / text)
        elif option in ("-v", "--volume", "--mount"):
            mounts |= dict([mount(text, folder)])
    command = (*([entry] if (entry := by_option.get("--entrypoint")) else ()), *rest[1:])
    gpus = gpu_count(by_option.get("--gpus", ""))
    return Run(rest[0], command, tuple(variables), gpus, mounts, tuple(_chart_values(options)))


def _chart_values(options: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, object]]:
    """Options that a value of the chart takes the place of."""
    for option, text in options:
        if option == "--cpus":
            yield option, "resources", {"requests": {"cpu": text}, "limits": {}}
        elif option in ("-m", "--memory"):
            size = {"memory": quantity(text)}
            yield option, "resources", {"requests": size, "limits": size}
        elif option == "--shm-size":
            yield option, "sharedMemory", quantity(text)
        elif option == "--runtime":
            yield option, "runtimeClassName", text


def _options(words: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Each option with its value, and what comes behind them."""
    options, rest = [], list(words)
    while rest and rest[0].startswith("-"):
        option, equals, text = rest.pop(0).partition("=")
        if _FLAG.fullmatch(option):
            continue
        if not option.startswith("--") and (attached := _ATTACHED.fullmatch(option)):
            option, text = attached[1], attached[2] + equals + text
        elif not equals and rest:
            text = rest.pop(0)
        options.append((option, text))
    return options, rest


def mount(text: str, folder: Path) -> tuple[PurePosixPath, Path]:
    """Where a volume of ``-v``, ``--mount`` or compose lies there, and what lies there."""
    if "=" in text and ("target=" in text or "dst=" in text or "destination=" in text):
        pairs = dict(each.partition("=")[::2] for each in text.split(","))
        source = pairs.get("source") or pairs.get("src") or ""
        target = pairs.get("target") or pairs.get("dst") or pairs.get("destination") or ""
    else:
        source, _, target = text.partition(":")
        target = target.partition(":")[0]
    return PurePosixPath(target), folder / source


def gpu_count(text: str) -> str:
    """How many GPUs an option asks for; ``all`` and the like as they are."""
    devices = re.search(r"device=([\w,:.-]+)", text)
    return str(len(devices[1].split(","))) if devices else text


def quantity(size: object) -> str:
    """Docker's 2gb as Kubernetes' 2Gi."""
    match = _UNITS.fullmatch(str(size).strip())
    unit = match[2].upper() if match else ""
    return f"{match[1]}{unit + 'i' if unit else ''}" if match else str(size)


def exists(path: Path) -> bool:
    """Whether there is a path, which may be longer than any can be."""
    try:
        return path.exists()
    except OSError:
        return False


def env_file(path: Path) -> Iterator[tuple[str, str]]:
    """The variables of a file of NAME=VALUE lines."""
    is_here = exists(path) and path.is_file()
    lines = path.read_text(errors="replace").splitlines() if is_here else ()
    for line in lines:
        name, equals, text = line.strip().removeprefix("export ").partition("=")
        if equals and re.fullmatch(r"\w+", name):
            quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
            yield name, text[1:-1] if quoted else text


def is_torchserve(image: str) -> bool:
    """Whether an image is upstream's, or named like it."""
    return bool(_IMAGE.search(image)) and not _BESIDE.search(image.rpartition("/")[2])


def is_upstream(image: str) -> bool:
    """Whether an image is upstream's own, whose entry point and file are known."""
    return bool(_UPSTREAM.search(image))
