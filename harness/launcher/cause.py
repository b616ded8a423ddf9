"""Why a worker could not load its model, out of the traceback that it printed: the first cause."""

import re
from collections.abc import Sequence
from itertools import takewhile

_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_MISSING = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'")
# TorchServe looks for its own handlers among the archive's files first.
_STOCK = re.compile(r"(?:image|text)_\w+|(?:object_detector|\w+_handler|request_envelope\.\w+)")


def headline(lines: Sequence[str], model: str) -> str:
    """One line: what was raised first, and what to do about it if that is plain.

    Args:
        lines: a traceback, with all its chained exceptions.
        model: whose folder a missing package is to be named in.
    """
    causes = list(_causes(lines))
    if len(causes) > 1 and (missing := _MISSING.match(causes[0])) and _STOCK.fullmatch(missing[1]):
        del causes[0]
    first = causes[0]
    if missing := _MISSING.match(first):
        package = missing[1].partition(".")[0]
        return (
            f"{first}: the image has no package with {package}; name it in "
            f"models/{model}/requirements.in, or put its files into the archive (extraFiles)"
        )
    return first


def _causes(lines: Sequence[str]) -> list[str]:
    """The last line of each exception's traceback, the first cause first."""
    causes, rest = [], [line.strip() for line in lines]
    while rest:
        part = list(takewhile(lambda line: line not in _CHAINED, rest))
        if text := [line for line in part if line]:
            causes.append(text[-1])
        rest = rest[len(part) + 1 :]
    return causes
