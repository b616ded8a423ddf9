"""Weights of any size: what a build takes of memory does not grow with them, its disk by two."""

from pathlib import Path

import pytest

from bench.large_model import Cost, measure

_WEIGHTS = 240 << 20


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory) -> Cost:
    """Of a build with a reference, which unpacks the archive."""
    return measure(Path(tmp_path_factory.mktemp("large")), _WEIGHTS)


def test_a_build_holds_no_file_in_memory(cost: Cost) -> None:
    assert cost.memory < _WEIGHTS / 2


def test_a_build_takes_twice_its_weights_of_disk(cost: Cost) -> None:
    assert _WEIGHTS < cost.disk <= 2.2 * _WEIGHTS
