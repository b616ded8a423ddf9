"""One stub server for all tests that need no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loadtest import stub_server


@pytest.fixture(scope="session")
def stub() -> Iterator[str]:
    """The URL of a server that does what the path says."""
    with stub_server.running() as url:
        yield url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What judges latencies needs the machine for itself."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.alone)
