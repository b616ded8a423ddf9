"""How far one picture is from another."""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

_WHITE = 255.0


def wrong(expected: bytes, got: bytes, limit: float) -> str | None:
    """Compare an answer with the right picture, both encoded in any format that Pillow reads.

    Returns:
        None if it has the same size and is no farther than ``limit``, else the difference.
    """
    try:
        answer = _pixels(got)
    except (UnidentifiedImageError, OSError) as error:
        return f"not a picture: {error}"
    right = _pixels(expected)
    if answer.shape != right.shape:
        return (
            f"{answer.shape[1]} × {answer.shape[0]} pixels, not {right.shape[1]} × {right.shape[0]}"
        )
    measured = distance(right, answer)
    return None if measured <= limit else f"distance {measured:.4f}, not ≤ {limit:g}"


def distance(one: "np.ndarray", other: "np.ndarray") -> float:
    """The root mean square of the differences, as a fraction of white.

    Args:
        one: pixels, rows × columns × 4 (RGBA), 0 to 255.
        other: the same.
    """
    return float(np.sqrt(np.mean(np.square(one - other))) / _WHITE)


def between(one: bytes, other: bytes) -> float:
    """The distance of two encoded pictures; 1 if their sizes differ."""
    first, second = _pixels(one), _pixels(other)
    return distance(first, second) if first.shape == second.shape else 1.0


def is_image(content: bytes) -> bool:
    """Whether Pillow reads these bytes."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.verify()
    except (UnidentifiedImageError, OSError, SyntaxError):
        return False
    return True


def _pixels(content: bytes) -> "np.ndarray":
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGBA"), dtype=np.float32)
