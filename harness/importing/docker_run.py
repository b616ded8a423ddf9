"""``docker run … IMAGE COMMAND`` of a script, or podman's: what the container is started with."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ENGINES = {"docker", "podman", "nerdctl"}
_IMAGE = re.compile(r"(^|/)(torchserve|pytorch-serve)[\w-]*(:|@|$)", re.IGNORECASE)
_FLAG = re.compile(
    r"-[ditPq]+|--(detach|interactive|tty|rm|init|privileged|publish-all|quiet|read-only|replace)"
)
"""Options without a value; any other one has its value behind ``=``, or as the next word."""


@dataclass(frozen=True, slots=True)
class Run:
    """A container: its image, the words behind it, its variables, and GPUs as they are written."""

    image: str
    command: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()
    gpus: str = ""


def read(words: Sequence[str]) -> Run | None:
    """The container that a simple command runs; None if it runs none."""
    if not words or words[0].rpartition("/")[2] not in _ENGINES or "run" not in words:
        return None
    rest = list(words[words.index("run") + 1 :])
    variables, gpus = [], ""
    while rest and rest[0].startswith("-"):
        option, equals, text = rest.pop(0).partition("=")
        if _FLAG.fullmatch(option):
            continue
        if not equals and rest:
            text = rest.pop(0)
        name, _, setting = text.partition("=")
        if option in ("-e", "--env") and setting:
            variables.append((name, setting))
        elif option == "--gpus":
            gpus = text
    return Run(rest[0], tuple(rest[1:]), tuple(variables), gpus) if rest else None


def is_torchserve(image: str) -> bool:
    """Whether an image is upstream's, or named like it."""
    return bool(_IMAGE.search(image))
