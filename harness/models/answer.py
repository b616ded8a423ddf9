"""Whether an answer is right: the same shape, the same words, numbers within a tolerance.

The load generator asks this for every answer it gets, so this module is pure Python.
"""

import json
import math
from typing import Protocol

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Tolerance(Protocol):
    """How far a number may be off: ``absolute + relative × |expected|``."""

    @property
    def absolute(self) -> float: ...
    @property
    def relative(self) -> float: ...


class Expected(Protocol):
    """A request whose right answer is known."""

    @property
    def answer(self) -> Json: ...
    @property
    def tolerance(self) -> Tolerance: ...


def wrong(sample: Expected, body: bytes) -> str | None:
    """Check the body of an answer to ``sample``.

    Returns:
        None if it is right, else the first difference: ``faces[0].box[2]: 31.0, not 267.7 ± 1``.
    """
    try:
        got: Json = json.loads(body)
    except (ValueError, RecursionError):
        return f"not JSON: {body[:80]!r}"
    return difference(sample.answer, got, sample.tolerance)


def difference(expected: Json, got: Json, tolerance: Tolerance, at: str = "") -> str | None:
    """The first place where ``got`` is not what was expected; keys not expected are ignored."""
    match expected, got:
        case dict(), dict():
            for key, value in expected.items():
                path = f"{at}.{key}" if at else key
                if key not in got:
                    return f"{path}: missing"
                if mismatch := difference(value, got[key], tolerance, path):
                    return mismatch
            return None
        case list(), list():
            if len(expected) != len(got):
                return f"{at or 'answer'}: {len(got)} items, not {len(expected)}"
            pairs = enumerate(zip(expected, got, strict=True))
            mismatches = (difference(e, g, tolerance, f"{at}[{i}]") for i, (e, g) in pairs)
            return next((mismatch for mismatch in mismatches if mismatch), None)
        case (bool(), _) | (_, bool()):
            same = expected is got
        case ((int() | float()), (int() | float())):
            return _number(expected, got, tolerance, at)
        case _:
            same = expected == got
    return None if same else f"{at or 'answer'}: {_short(got)}, not {_short(expected)}"


def _number(expected: float, got: float, tolerance: Tolerance, at: str) -> str | None:
    allowed = tolerance.absolute + tolerance.relative * abs(expected)
    # Not `>`: an answer of NaN compares false with everything, and must be wrong.
    if math.isfinite(got) and abs(got - expected) <= allowed:
        return None
    return f"{at or 'answer'}: {got:g}, not {expected:g} ± {allowed:g}"


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
