"""The name that was probably meant."""

import difflib
from collections.abc import Iterable


def closest(word: str, candidates: Iterable[str]) -> list[str]:
    """The candidate most like ``word``, or none."""
    return difflib.get_close_matches(word, list(candidates), n=1)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``; did you mean NAME?`` for the candidate most like ``word``, or nothing if none is."""
    matches = closest(word, candidates)
    return f"; did you mean {matches[0]}?" if matches else ""
