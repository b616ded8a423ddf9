import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.answer import Expected, Json, Tolerance, difference, wrong

EXACT = Tolerance()
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e9, 1e9)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def json_answer(answer: Json, tolerance: Tolerance = EXACT) -> Expected:
    return Expected(answer=answer, tolerance=tolerance)


@given(value=values)
def test_the_expected_answer_is_right(value):
    assert wrong(json_answer(value), json.dumps(value).encode()) is None


# Smaller tolerances than these get lost in the rounding of what the test adds.
@given(expected=st.floats(-1e6, 1e6), absolute=st.floats(1e-6, 10), relative=st.floats(0, 1))
def test_a_number_may_be_off_by_its_tolerance_and_no_more(expected, absolute, relative):
    tolerance = Tolerance(absolute=absolute, relative=relative)
    allowed = absolute + relative * abs(expected)
    assert difference(expected, expected + 0.99 * allowed, tolerance) is None
    assert difference(expected, expected + 1.01 * allowed + 1e-3, tolerance)


@pytest.mark.parametrize(
    ("expected", "got", "says"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "a[1].b: 3, not 2 ± 0"),
        ({"a": 1}, {}, "a: missing"),
        ([1, 2], [1], "answer: 1 items, not 2"),
        ({"faces": []}, {"faces": [1]}, "faces: 1 items, not 0"),
        ("cat", "dog", 'answer: "dog", not "cat"'),
        (1, "1", 'answer: "1", not 1'),
        (1, True, "answer: true, not 1"),
        (None, 0, "answer: 0, not null"),
        ({"a": 1}, [1], 'answer: [1], not {"a": 1}'),
        ("x" * 100, "y", "…"),
    ],
)
def test_the_first_difference_is_named(expected, got, says):
    assert says in wrong(json_answer(expected), json.dumps(got).encode())


@pytest.mark.parametrize("body", [b"NaN", b"Infinity", b"-Infinity"])
def test_no_tolerance_lets_nan_or_infinity_pass(body):
    assert wrong(json_answer(1.0, Tolerance(absolute=1e300)), body)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_not_json_is_wrong(body):
    assert "not JSON" in wrong(json_answer({}), body)


def test_keys_that_were_not_expected_are_ignored():
    assert wrong(json_answer({"a": 1}), b'{"a": 1, "b": 2}') is None
