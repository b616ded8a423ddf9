"""What a command of a build installs: packages that the image here does not have."""

import re
from collections.abc import Iterator, Sequence

from harness.core.errors import Location
from harness.importing.source import Remark

_FILES = {"-r", "--requirement"}
_VALUED = {
    *("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "--proxy"),
    *("-c", "--constraint", "-t", "--target", "--prefix", "--root", "--cache-dir", "--python"),
    *("--timeout", "--retries", "--platform", "--torch-backend", "-n", "--name", "-o", "--option"),
}
"""Options of pip, uv, conda and apt whose next word is their value."""
_SYSTEM = {"apt-get", "apt", "apk", "yum", "dnf", "microdnf", "zypper"}
_PYTHON = "yours to add to requirements.in of the model that imports them: "
_THE_IMAGES = re.compile(r"(openjdk|default-jre|default-jdk|temurin|python3?)[\w.+-]*")


def remarks(words: Sequence[str], at: Location) -> Iterator[Remark]:
    """The packages that a simple command installs, and where they go here."""
    verb = next((n for n, word in enumerate(words) if word in ("install", "add")), 0)
    if not verb:
        return
    installers = [word.rpartition("/")[2] for word in words[:verb]]
    named = list(_packages(words[verb + 1 :]))
    program = next((name for name in installers if re.fullmatch(r"pip[0-9.]*", name)), "")
    if program:
        yield Remark("RUN pip install", _PYTHON + ", ".join(named), at)
    elif installers[0] in ("conda", "mamba", "micromamba"):
        yield Remark(f"RUN {installers[0]} install", _PYTHON + ", ".join(named), at)
    elif name := next((each for each in installers if each in _SYSTEM), ""):
        missing = [each for each in named if not _THE_IMAGES.fullmatch(each)]
        why = "the image here installs none: yours to add to apps/torchserve/image/Containerfile, "
        why += f"if a handler needs them: {', '.join(missing)}"
        if not missing:
            why = f"the image has its own: {', '.join(named)}"
        if named:
            yield Remark(f"RUN {name} {words[verb]}", why, at)


def _packages(words: Sequence[str]) -> Iterator[str]:
    options = iter(words)
    for word in options:
        if word in _FILES:
            yield f"{word} {next(options, '')}"
        elif word in _VALUED:
            next(options, None)
        elif not word.startswith("-"):
            yield re.sub(r"//[^/@]*@", "//", word)  # an address may hold a token
