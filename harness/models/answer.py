"""Whether an answer is right: JSON with a tolerance, a text, bytes, an image, a schema, a function.

The load generator asks this for every answer it gets: what a check needs (an image library, a
schema's validator, a person's function) is imported by the first answer that needs it.
"""

import base64
import hashlib
import json
import math
import re
from functools import lru_cache
from typing import Annotated

from pydantic import Field, JsonValue

from harness.core.document import Camel, Strict
from harness.models import user_code

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Tolerance(Camel):
    """How far an answer may be off.

    A number by ``absolute + relative × |expected|``; an image by ``image``: the root mean square
    of the pixels' differences, as a fraction of white (0 to 1).
    """

    absolute: Annotated[float, Field(ge=0)] = 0.0
    relative: Annotated[float, Field(ge=0)] = 0.0
    image: Annotated[float, Field(ge=0, le=1)] = 0.0


class Function(Strict):
    """A person's ``check(body: bytes) -> str | None``: what is wrong, or None."""

    path: str
    source: str


class Expected(Strict):
    """What a correct answer is. Each part that is set has to hold.

    Attributes:
        status: the statuses of a correct answer.
        answer: the JSON, compared with the ``tolerance``; without a tolerance there is none.
        text: the whole body, but for line breaks at its end.
        contains: texts that the body has.
        pattern: a regular expression that is found in the body.
        sha256: of the body.
        image: the picture in base64, as far off as the ``tolerance`` allows.
        json_schema: the JSON Schema that the body fits.
        function: a person's own check.
    """

    status: tuple[int, ...] = (200,)
    answer: JsonValue = None
    tolerance: Tolerance | None = None
    text: str | None = None
    contains: tuple[str, ...] = ()
    pattern: str | None = None
    sha256: str | None = None
    image: str | None = None
    json_schema: dict[str, JsonValue] | None = None
    function: Function | None = None

    @property
    def costly(self) -> bool:
        """Whether a check is known to take more than a millisecond."""
        return bool(self.image or self.function or self.json_schema is not None)


def wrong_response(expected: Expected, status: int, body: bytes) -> str | None:
    """What is wrong with a response, or None. Raises what ``wrong`` raises."""
    if status not in expected.status:
        allowed = " or ".join(map(str, expected.status))
        return f"HTTP {status}, not {allowed}: {body[:200].decode(errors='replace')}"
    return wrong(expected, body)


def wrong(expected: Expected, body: bytes) -> str | None:
    """Check the body of an answer.

    Returns:
        None if it is right, else the first difference: ``faces[0].box[2]: 31.0, not 267.7 ± 1``.

    Raises:
        InputError: the function of one's own failed itself.
    """
    return (
        _wrong_json(expected, body)
        or _wrong_text(expected, body)
        or _wrong_bytes(expected, body)
        or _wrong_schema(expected, body)
        or _wrong_by_function(expected, body)
    )


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


def _wrong_json(expected: Expected, body: bytes) -> str | None:
    if expected.tolerance is None or expected.image:
        return None
    try:
        got: Json = json.loads(body)
    except (ValueError, RecursionError):
        # TorchServe sends a handler's str as it is: "Paris" comes without quotes.
        if isinstance(expected.answer, str) and expected.answer.encode() == body:
            return None
        return f"not JSON: {body[:80]!r}"
    return difference(expected.answer, got, expected.tolerance)


def _wrong_text(expected: Expected, body: bytes) -> str | None:
    if expected.text is None and expected.pattern is None and not expected.contains:
        return None
    text = body.decode(errors="replace")
    if expected.text is not None and text.rstrip("\r\n") != expected.text.rstrip("\r\n"):
        return f"{_short(text)}, not {_short(expected.text)}"
    for part in expected.contains:
        if part not in text:
            return f"does not contain {part!r}"
    if expected.pattern is not None and not re.search(expected.pattern, text):
        return f"does not match {expected.pattern!r}"
    return None


def _wrong_bytes(expected: Expected, body: bytes) -> str | None:
    if expected.sha256 and (sha256 := hashlib.sha256(body).hexdigest()) != expected.sha256:
        return f"{len(body):,} bytes with sha256 {sha256[:12]}…, not {expected.sha256[:12]}…"
    if expected.image:
        from harness.models import image

        limit = expected.tolerance.image if expected.tolerance else 0.0
        return image.wrong(base64.b64decode(expected.image), body, limit)
    return None


def _wrong_schema(expected: Expected, body: bytes) -> str | None:
    if expected.json_schema is None:
        return None
    try:
        response = json.loads(body)
    except (ValueError, RecursionError):
        return f"not JSON: {body[:80]!r}"
    import jsonschema

    validator = jsonschema.validators.validator_for(expected.json_schema)
    first = jsonschema.exceptions.best_match(validator(expected.json_schema).iter_errors(response))
    return f"{first.json_path}: {first.message[:200]}" if first else None


def _wrong_by_function(expected: Expected, body: bytes) -> str | None:
    if expected.function is None:
        return None
    return user_code.wrong_by(
        _compile_check(expected.function.path, expected.function.source), body
    )


@lru_cache
def _compile_check(path: str, source: str) -> user_code.Check:
    return user_code.load_check(path, source)


def _number(expected: float, got: float, tolerance: Tolerance, at: str) -> str | None:
    allowed = tolerance.absolute + tolerance.relative * abs(expected)
    # Not `>`: an answer of NaN compares false with everything, and must be wrong.
    if math.isfinite(got) and abs(got - expected) <= allowed:
        return None
    return f"{at or 'answer'}: {got:g}, not {expected:g} ± {allowed:g}"


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
