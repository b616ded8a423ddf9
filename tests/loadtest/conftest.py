"""One stub server for all tests that need no other."""

from collections.abc import Iterator

import pytest

from tests.loadtest import stub_server


@pytest.fixture(scope="session")
def stub() -> Iterator[str]:
    """The URL of a server that does what the path says."""
    with stub_server.running() as url:
        yield url
