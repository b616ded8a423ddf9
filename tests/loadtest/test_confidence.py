"""Sample sizes, against the ones that MLPerf's LoadGen computes."""

import pytest

from harness.loadtest import confidence

LOADGEN = {
    0.95: {0: 90, 1: 130, 5: 259, 10: 398, 100: 2_504},
    0.99: {0: 459, 1: 662, 5: 1_307, 10: 2_010, 100: 12_571},
    0.999: {0: 4_603, 1: 6_636, 5: 13_105, 10: 20_140, 100: 125_826},
}


@pytest.mark.parametrize(
    ("quantile", "violations", "requests"),
    [(quantile, *pair) for quantile, pairs in LOADGEN.items() for pair in pairs.items()],
)
def test_as_many_as_loadgen_asks_for(quantile: float, violations: int, requests: int) -> None:
    assert confidence.smallest_sample(violations, quantile, 0.99) == requests
    assert confidence.carries(violations, requests, quantile, 0.99)
    assert not confidence.carries(violations, requests - 1, quantile, 0.99)


def test_nothing_carries_nothing() -> None:
    assert not confidence.carries(0, 0, 0.99, 0.99)
    assert not confidence.carries(5, 5, 0.5, 0.99)
