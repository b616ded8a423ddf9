"""Fixtures for tests that talk to AWS: boto3's normal client, and the standard variables."""

from collections.abc import Iterator

import pytest

from tests.support import aws_server
from tests.support.aws_server import Shim


@pytest.fixture(scope="session")
def front() -> Iterator[Shim]:
    with aws_server.moto() as url, aws_server.shim(url) as new_shim:
        yield new_shim


@pytest.fixture
def shim(front: Shim, monkeypatch: pytest.MonkeyPatch) -> Shim:
    front.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    return front
