"""Why a worker could not load its model, from what it printed: one headline, then the frames of the
model's own code and of the libraries that it called. TorchServe's and Python's way there is left
out, and of chained exceptions the first cause is told.
"""

import re
from collections.abc import Iterable
from itertools import dropwhile, takewhile

_EPILOGUE = "Backend worker process died."  # from here on TorchServe speaks of itself
_CHAINED = re.compile(
    "(The above exception was the direct cause of|During handling of the above exception, )"
)
_FRAME = re.compile(r'  File "([^"]+)", line (\d+)')
_NOT_THEIRS = re.compile(r"^<frozen |/ts/(model_\w+|service)\.py$|/importlib/__init__\.py$")
_UNPACKED = re.compile(r".*/models/[0-9a-f]{32}/")  # where TorchServe unpacks an archive
_MISSING = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'")
# TorchServe looks for its own handlers among the archive's files first.
_STOCK = re.compile(r"(?:image|text)_\w+|(?:object_detector|\w+_handler|request_envelope\.\w+)")
_LAST_LINES = 20

Raised = tuple[list[list[str]], list[str]]
"""An exception: its frames, each with its lines, and the lines of its message."""


def explain(label: str, output: Iterable[str], *, timed_out: bool) -> str:
    """The reason, on the first line; below it what led there.

    Args:
        label: the model and its version, joined by ``_``.
        output: the lines that the worker printed.
        timed_out: whether TorchServe ended it since it took too long.
    """
    lines = list(output)
    traceback = list(dropwhile(lambda line: not line.startswith("Traceback"), lines))
    traceback = list(takewhile(lambda line: line != _EPILOGUE, traceback))
    reason, below = "killed: out of memory?", lines[-_LAST_LINES:]
    if traceback:
        reason, below = _first_cause(label, traceback)
    if timed_out:
        reason = "not ready in time: raise startupTimeout, in its model.yaml or in serving.yaml"
    if timed_out and not lines:
        reason = "its process did not run within 2 minutes: the node is too busy"
    return "\n".join([f"{label} cannot be loaded: {reason}", *below])


def _first_cause(label: str, traceback: list[str]) -> tuple[str, list[str]]:
    """The first exception with the line of the model's code that raised it, and its frames."""
    (frames, message), *later = _exceptions(traceback)
    if later and (missing := _MISSING.match(message[0])) and _STOCK.fullmatch(missing[1]):
        frames, message = later[0]
    theirs = [frame for frame in frames if not _NOT_THEIRS.search(_place(frame)[0])]
    reason = message[0]
    if missing := _MISSING.match(reason):
        package = missing[1].partition(".")[0]
        requirements = f"models/{label.rpartition('_')[0]}/requirements.in"
        reason += (
            f": the image has no package with {package}; name it in {requirements} and run "
            "`make requirements`, or put its files into the archive (extraFiles)"
        )
    if in_model := [_place(frame) for frame in theirs if _UNPACKED.match(frame[0])]:
        file, line = in_model[-1]
        reason = f"{_UNPACKED.sub('', file)}:{line}: {reason}"
    shown = [_UNPACKED.sub('  File "', line) for frame in theirs for line in frame]
    return reason, [*shown, *message[1:]]


def _exceptions(traceback: list[str]) -> list[Raised]:
    """The exceptions of a chain, the first cause first."""
    exceptions = []
    rest = traceback
    while rest:
        lines = list(takewhile(lambda line: not _CHAINED.match(line), rest))
        exceptions.append(_exception(lines))
        rest = rest[len(lines) + 1 :]
    return exceptions


def _exception(lines: list[str]) -> Raised:
    frames: list[list[str]] = []
    message: list[str] = []
    for line in lines:
        if not line.strip() or line.startswith("Traceback (most"):
            continue
        if _FRAME.match(line) and not message:
            frames.append([line])
        elif frames and line.startswith("    ") and not message:
            frames[-1].append(line)
        else:
            message.append(line)
    return frames, message or ["an exception without a message"]


def _place(frame: list[str]) -> tuple[str, str]:
    match = _FRAME.match(frame[0])
    return (match[1], match[2]) if match else ("", "")
