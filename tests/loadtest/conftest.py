"""One stub server for all tests that need no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loadtest import stub_server

_SEND_NOTHING = (
    *("test_arrivals", "test_compare", "test_confidence", "test_import", "test_judgement"),
    *("test_profile", "test_raw_request", "test_version"),
)


@pytest.fixture(scope="session")
def stub() -> Iterator[str]:
    """The URL of a server that does what the path says."""
    with stub_server.running() as url:
        yield url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What judges latencies needs the machine for itself; what sends nothing does not."""
    for item in items:
        is_ours = item.path.is_relative_to(Path(__file__).parent)
        if is_ours and not item.path.stem.startswith(_SEND_NOTHING):
            item.add_marker(pytest.mark.alone)
