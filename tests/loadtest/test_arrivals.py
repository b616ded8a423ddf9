"""The schedule: as many requests as the rate says, spread over generators without a gap."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.loadtest import arrivals

LEVELS = st.lists(
    st.tuples(st.floats(0.5, 20), st.floats(0, 200), st.floats(0, 200)), min_size=1, max_size=5
)


@given(LEVELS)
def test_a_constant_stream_sends_what_the_rate_adds_up_to(
    levels: list[tuple[float, float, float]],
) -> None:
    pieces = arrivals.chain(levels)
    due = list(arrivals.due_times(pieces, "constant"))
    expected = sum(seconds * (first + last) / 2 for seconds, first, last in levels)
    assert abs(len(due) - expected) <= 1
    assert due == sorted(due)
    assert all(0 <= time <= sum(level[0] for level in levels) + 1e-6 for time in due)


@given(LEVELS, st.integers(1, 5))
def test_several_generators_send_together_what_one_would(
    levels: list[tuple[float, float, float]], workers: int
) -> None:
    pieces = arrivals.chain(levels)
    alone = list(arrivals.due_times(pieces, "constant"))
    streams = (
        arrivals.due_times(pieces, "constant", worker=worker, workers=workers)
        for worker in range(workers)
    )
    assert sorted(itertools.chain(*streams)) == pytest.approx(alone)


@given(st.floats(0.1, 30), st.floats(0, 500), st.floats(0, 500), st.floats(0, 1))
def test_the_inverse_of_the_count_is_exact(
    seconds: float, first: float, last: float, fraction: float
) -> None:
    piece = arrivals.Piece(3.0, seconds, first, last)
    count = fraction * piece.expected
    if count < 1e-6:
        return
    time = piece.when(count) - piece.start
    reached = first * time + (last - first) / seconds * time * time / 2
    assert reached == pytest.approx(count, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("workers", [1, 4])
def test_poisson_gaps_are_exponential(workers: int) -> None:
    pieces = arrivals.chain([(400.0, 50.0, 50.0)])
    streams = (
        arrivals.due_times(pieces, "poisson", seed=3, worker=worker, workers=workers)
        for worker in range(workers)
    )
    due = sorted(itertools.chain(*streams))
    gaps = [after - before for before, after in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    assert len(due) == pytest.approx(20_000, abs=4 * math.sqrt(20_000))
    for times in (0.5, 1, 2):
        longer = sum(gap > times * mean for gap in gaps) / len(gaps)
        assert longer == pytest.approx(math.exp(-times), abs=0.015)


def test_the_same_seed_sends_at_the_same_times() -> None:
    pieces = arrivals.chain([(5.0, 10.0, 90.0)])
    first, again, other = (list(arrivals.due_times(pieces, "poisson", seed=s)) for s in (1, 1, 2))
    assert first == again != other


def test_no_rate_sends_nothing() -> None:
    pieces = arrivals.chain([(2.0, 0.0, 0.0), (1.0, 4.0, 4.0)])
    assert list(arrivals.due_times(pieces, "constant")) == [2.125, 2.375, 2.625, 2.875]


@given(st.integers(1, 10_000), st.integers(1, 50), st.integers(1, 8))
def test_the_parts_of_a_number_add_up_to_it(count: int, users: int, workers: int) -> None:
    parts = [arrivals.share(count, users, worker, workers) for worker in range(workers)]
    assert sum(parts) == count
    assert all(part == 0 for worker, part in enumerate(parts) if worker >= users)
