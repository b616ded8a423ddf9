"""Code that people bring (reference.py, a function that checks answers): called, and if it fails,
reported with its own file, line and frames. No frame of ours is shown.
"""

import contextlib
import importlib.util
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, InputError, Location

_OURS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Check:
    """The function ``check`` of a file."""

    path: Path
    function: Callable[[bytes], object]


@contextlib.contextmanager
def calling(path: Path, subject: str) -> Iterator[None]:
    """Around a call of what the file ``path`` defines; ``subject`` begins the headline.

    Raises:
        InputError: it failed, whatever it raised; chained exceptions by their first cause.
    """
    try:
        yield
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is theirs, whatever it is
        raise _fault(error, path, subject) from None


def load_module(path: Path, name: str, source: str | None = None) -> types.ModuleType:
    """The module in a file; ``source`` is its text, if it is not to be read.

    Raises:
        InputError: it cannot be run.
    """
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    module.__file__ = str(path)
    with calling(path, f"{path.name} cannot be run"):
        text = path.read_text(encoding="utf-8") if source is None else source
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - what it is for
    return module


def function_of(module: types.ModuleType, name: str) -> Callable[..., Any]:
    """A function that the module must have.

    Raises:
        InputError: it has none of this name.
    """
    function = getattr(module, name, None)
    if not callable(function):
        path = Path(str(module.__file__))
        raise InputError(f"defines no function {name}", at=path, hint="see docs/models.md")
    return function  # type: ignore[no-any-return]


def load_check(path: str, source: str) -> Check:
    """The function ``check`` of the file ``path`` with the text ``source``.

    Raises:
        InputError: it cannot be run, or has no such function.
    """
    module = load_module(Path(path), "answer_check", source)
    return Check(Path(path), function_of(module, "check"))


def wrong_by(check: Check, body: bytes) -> str | None:
    """What a person's function finds wrong with an answer: the text that it returns, or the
    message of its AssertionError.

    Raises:
        InputError: the function failed, or returned something else.
    """
    with calling(check.path, "the check failed"):
        try:
            reason = check.function(body)
        except AssertionError as error:
            return str(error) or "the check's assertion does not hold"
    if reason is None or isinstance(reason, str):
        return reason or None
    raise InputError(
        f"check returned {type(reason).__name__}, not a text (what is wrong) or None (it is right)",
        at=check.path,
    )


def _fault(error: BaseException, path: Path, subject: str) -> InputError:
    first = _first_cause(error)
    frames = [each for each in traceback.extract_tb(first.__traceback__) if _is_theirs(each)]
    lines = [each.lineno for each in frames if Path(each.filename) == path]
    line = first.lineno if isinstance(first, SyntaxError) else (lines[-1] if lines else None)
    headline = f"{subject}: {type(first).__name__}: {first}"
    below = "".join(traceback.format_list(frames)).rstrip()
    return InputError(f"{headline}\n{below}" if below else headline, at=Location(path, line))


def _first_cause(error: BaseException) -> BaseException:
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = cause
    return error


def _is_theirs(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith("<") and _OURS not in Path(frame.filename).parents
