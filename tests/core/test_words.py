"""A number of things agrees with what follows it."""

import pytest

from harness.core.words import amount


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1200, "1,200 files")],
)
def test_a_noun_agrees_with_its_number(number: int, text: str) -> None:
    assert amount(number, "file") == text


def test_a_verb_may_follow() -> None:
    texts = [amount(number, "object differs", "objects differ") for number in (1, 2)]
    assert texts == ["1 object differs", "2 objects differ"]
