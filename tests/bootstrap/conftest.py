"""The fixtures of these tests; tests/e2e has a test that takes them too."""

from tests.bootstrap import fixtures

front, shim, empty = fixtures.front, fixtures.shim, fixtures.empty
clients, fork, on_path, install = (
    fixtures.clients, fixtures.fork, fixtures.on_path, fixtures.install,
)  # fmt: skip
