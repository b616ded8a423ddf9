"""The simulated HPA does what the real one's documentation says."""

import itertools

import pytest

from bench import autoscaling
from bench.autoscaling import LEAST, MOST, Group, Hpa


def pods_under(policy: autoscaling.Policy, rate: int, seconds: int = 3_600) -> list[int]:
    """The pods at each second under a steady load."""
    group, counts = Group(start=30), []
    for now in range(seconds):
        group.serve(now, rate)
        group.scale(now, policy(group, now))
        counts.append(len(group.pods))
    return counts


@pytest.mark.parametrize(("rate", "pods"), [(10, LEAST), (100, 5), (1_000, MOST)])
def test_pods_follow_a_steady_load_and_stay(rate: int, pods: int) -> None:
    counts = pods_under(autoscaling.by_load(), rate)
    assert counts[-1] == pods
    assert len(set(counts[1_800:])) == 1, "no flapping"
    assert max(counts) <= MOST


def test_within_a_tenth_of_the_target_nothing_changes() -> None:
    assert set(pods_under(Hpa(lambda *_: [1.09]), 10, 300)) == {LEAST}
    assert pods_under(Hpa(lambda *_: [1.2]), 10, 300)[-1] > LEAST


def test_pods_go_one_at_a_time_after_the_window() -> None:
    load = iter([2.0] * 8 + [0.0] * 1_000)
    counts = pods_under(Hpa(lambda *_: [next(load)], down=1, down_seconds=120), 10, 1_500)
    steps = [after - before for before, after in itertools.pairwise(counts)]
    assert min(steps) == -1
    assert 300 <= steps.index(-1) - 7 * 15 <= 330
    assert counts[-1] == LEAST


def test_a_counter_never_goes_down() -> None:
    policy = autoscaling.by_counter()
    group, counts = Group(start=30), []
    for now in range(7_200):
        group.serve(now, 200 if now < 600 else 1)
        group.scale(now, policy(group, now))
        counts.append(len(group.pods))
    assert counts[-1] == MOST
