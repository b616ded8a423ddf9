"""A histogram says what its observations say."""

from hypothesis import given
from hypothesis import strategies as st

from harness.launcher.histogram import BOUNDS, Histogram

TIMES = st.lists(st.floats(min_value=0, max_value=1000))


@given(TIMES, TIMES)
def test_buckets_are_cumulative_and_add_up(one: list[float], other: list[float]) -> None:
    bounds = sorted({*BOUNDS, 0.4, 2.0})
    first, second = Histogram(bounds), Histogram(bounds)
    for histogram, times in ((first, one), (second, other)):
        for each in times:
            histogram.observe(each)
    samples = dict(Histogram.total([first, second]).samples("x", "l"))
    times = one + other
    for bound in bounds:
        assert samples[f'x_bucket{{l,le="{bound}"}}'] == sum(each <= bound for each in times)
    assert samples['x_bucket{l,le="+Inf"}'] == samples["x_count{l}"] == len(times)
    assert abs(samples["x_sum{l}"] - sum(times)) < 1e-6
