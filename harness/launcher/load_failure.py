"""Why a worker could not load its model, from what it printed: one headline, then the frames of the
model's own code and of the libraries that it called. TorchServe's and Python's way there is left
out, and of chained exceptions the first cause is told.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import dropwhile, takewhile

_EPILOGUE = "Backend worker process died."  # from here on TorchServe speaks of itself
_CHAINED = re.compile(
    "(The above exception was the direct cause of|During handling of the above exception, )"
)
_FRAME = re.compile(r'  File "([^"]+)", line (\d+)')
_NOT_THEIRS = re.compile(r"^<frozen |/ts/(model_\w+|service)\.py$|/importlib/__init__\.py$")
_UNPACKED = re.compile(r".*/models/[0-9a-f]{32}/")  # where TorchServe unpacks an archive
_MISSING = re.compile(r"ModuleNotFoundError: (No module named '([\w.]+)')")
_LAST_LINES = 20


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
    if traceback:
        reason, below = _first_cause(label, traceback)
    else:
        below = lines[-_LAST_LINES:]
        reason = "killed, for want of memory?"
    if timed_out:
        reason = "not ready in time: raise startupTimeout, in its model.yaml or in serving.yaml"
    return "\n".join([f"{label} cannot be loaded: {reason}", *below])


def _first_cause(label: str, traceback: list[str]) -> tuple[str, list[str]]:
    """The first exception with the line of the model's code that raised it, and its frames."""
    lines = list(takewhile(lambda line: not _CHAINED.match(line), traceback))
    frames, message = _parts(lines)
    theirs = [frame for frame in frames if not _NOT_THEIRS.search(_place(frame)[0])]
    reason = message[0] if message else "an exception without a message"
    own_lines = [_place(frame) for frame in theirs if _UNPACKED.match(frame[0])]
    if own_lines:
        file, line = own_lines[-1]
        if missing := _MISSING.match(reason):
            requirements = f"models/{label.rpartition('_')[0]}/requirements.in"
            reason = (
                f"{missing[1]}: add its package to {requirements}, then run `make requirements`"
            )
        reason = f"{_UNPACKED.sub('', file)}:{line}: {reason}"
    shown = [_UNPACKED.sub('  File "', line) for frame in theirs for line in frame]
    return reason, [*shown, *message[1:]]


def _parts(lines: list[str]) -> tuple[list[list[str]], list[str]]:
    """The frames of a traceback, each with its lines, and the lines of the exception."""
    frames: list[list[str]] = []
    message: list[str] = []
    for line in _without_ends(lines):
        if _FRAME.match(line) and not message:
            frames.append([line])
        elif frames and line.startswith("    ") and not message:
            frames[-1].append(line)
        else:
            message.append(line)
    return frames, message


def _without_ends(lines: list[str]) -> Iterator[str]:
    """The lines without the title and the empty ones around the next exception."""
    return (line for line in lines if line.strip() and not line.startswith("Traceback (most"))


def _place(frame: list[str]) -> tuple[str, str]:
    match = _FRAME.match(frame[0])
    return (match[1], match[2]) if match else ("", "")
