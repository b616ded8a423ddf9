"""Quantities and durations mean what Kubernetes and Go mean by them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.policy.facts.quantity import quantity, seconds


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1", 1),
        (2, 2),
        (0.5, Fraction(1, 2)),
        ("500m", Fraction(1, 2)),
        ("1.5Gi", 3 << 29),
        ("2M", 2_000_000),
        ("1e3", 1000),
        (".5", Fraction(1, 2)),
        ("10u", Fraction(1, 100_000)),
    ],
)
def test_quantity(written: object, meant: object) -> None:
    assert quantity(written) == meant


@pytest.mark.parametrize("written", ["", "Gi", "1 Gi", "1GB", "one", True, None, [], "1e", "--1"])
def test_what_is_no_quantity(written: object) -> None:
    assert quantity(written) is None


@given(st.integers(0, 10**6), st.sampled_from(["k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"]))
def test_a_suffix_multiplies(number: int, suffix: str) -> None:
    base, power = (
        (1024 if suffix.endswith("i") else 1000),
        " kMGT".index(suffix[0].replace("K", "k")),
    )
    assert quantity(f"{number}{suffix}") == number * base**power


@given(st.text(max_size=8))
def test_any_text_is_a_quantity_or_none(written: str) -> None:
    assert quantity(written) is None or isinstance(quantity(written), Fraction)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("10m", 600), ("1h30m", 5400), ("1.5s", 1.5), ("500ms", 0.5), ("", 7), ("10", 7), (None, 7)],
)
def test_duration(written: object, meant: float) -> None:
    assert seconds(written, default=7) == meant
