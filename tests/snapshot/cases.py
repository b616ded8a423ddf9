"""Generated cases: model sets with numbers at their limits, and values that are all syntax.

A case is cut out of one text and one string of bytes: hypothesis draws and shrinks these whole,
which is what makes 10,000 of them a matter of seconds.
"""

import itertools
import string
from collections.abc import Iterator

from hypothesis import strategies as st

from harness.snapshot.model_snapshot import Entry, ModelSnapshot

_SYNTAX = " =:#!\\\t\f\r\nutnrf\0$'\"{},é€😀\ud83d\ude00"
_NAME = string.ascii_letters + string.digits + "_.-"
_LIMITS = [1, 2, 99, 2**15 - 1, 2**15, 2**16, 2**31 - 2, 2**31 - 1]


def utf16(text: str) -> str:
    """The text as Java holds it: two halves of a character side by side are the character."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


def _pairs(syntax: str, anything: str) -> dict[str, str]:
    words = [utf16(word) for word in (*syntax.split("|"), anything[:3], anything[3:])]
    return dict(zip(words[::2], words[1::2], strict=False))


def _entry(limits: Iterator[int]) -> Entry:
    low, high = sorted((next(limits), next(limits)))
    return Entry.model_validate(
        {
            "defaultVersion": True,
            "marName": f"{low}-{high}.mar",
            "minWorkers": low,
            "maxWorkers": high,
            "batchSize": next(limits),
            "maxBatchDelay": next(limits),
            "responseTimeout": next(limits),
            "startupTimeout": next(limits),
            "parallelLevel": low if high % 2 else None,
        }
    )


def _models(names: str, numbers: bytes) -> ModelSnapshot:
    limits = itertools.cycle([_LIMITS[byte % len(_LIMITS)] for byte in numbers])
    words = names.split("/")
    models = {
        f"m{name}": {f"0{version}": _entry(limits)}
        for name, version in zip(words[::2], words[1::2], strict=False)
    }
    return ModelSnapshot(modelCount=len(models), models=models)


PAIRS = st.builds(
    _pairs, st.text(f"{_SYNTAX}|", max_size=40), st.text(st.characters(codec=None), max_size=6)
)
MODEL_SETS = st.builds(
    _models, st.text(f"{_NAME}/", max_size=24), st.binary(min_size=1, max_size=12)
)
AT_LEAST_ONE_MODEL = st.builds(
    _models,
    st.text(f"{_NAME}/", max_size=20).map("a/1/{}".format),
    st.binary(min_size=1, max_size=12),
)
