"""A running server is asked over its management API, and only read."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from harness.core.errors import HarnessError, InputError
from harness.importing.keys import Outcome
from tests.importing.conftest import import_

PAGES = {
    "/models": {"models": [{"modelName": "a", "modelUrl": "a.mar"}], "nextPageToken": "1"},
    "/models?next": {"models": [{"modelName": "b c", "modelUrl": "http://x/b.mar"}]},
    "/models/a": [{"modelVersion": "2.0"}],
    "/models/b%20c": [{"modelVersion": "1.0"}],
}


def describe(version: str, url: str, workers: int) -> dict[str, object]:
    numbers = {"minWorkers": workers, "maxWorkers": 4, "batchSize": 8, "maxBatchDelay": 50}
    rest = {"responseTimeout": 33, "startupTimeout": 44, "loadedAtStartup": False, "workers": []}
    return {"modelVersion": version, "modelUrl": url, **numbers, **rest}


PAGES["/models/a/all"] = [describe("1.0", "a1.mar", 1), describe("2.0", "a.mar", 2)]
PAGES["/models/b%20c/all"] = [describe("1.0", "http://x/b.mar", 1)]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = urlsplit(self.path)
        page = f"{path.path}?next" if "next_page_token=1" in path.query else path.path
        allowed = self.headers["Authorization"] == "Bearer management-key"
        body = json.dumps(PAGES[page]).encode() if allowed else b'{"code": 400}'
        self.send_response(200 if allowed else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_its_models_are_imported_and_what_it_does_not_tell_is_named(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHSERVE_TOKEN", "management-key")

    imported = import_(url)

    assert imported.models["a"].version == "2.0"
    entry = imported.models["a"].entry
    assert (entry.mar_name, entry.min_workers, entry.startup_timeout) == ("a.mar", 2, 44)
    assert [each.version for each in imported.others["a"]] == ["1.0"]
    assert imported.models["b c"].entry.mar_name == "b.mar"
    [lost] = imported.of(Outcome.LOST)
    assert "tells nothing of its config.properties" in lost.text
    assert "management-key" not in str(imported)


def test_without_its_token_the_variable_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHSERVE_TOKEN", raising=False)

    with pytest.raises(InputError, match="set TORCHSERVE_TOKEN"):
        import_(url)


def test_an_address_where_nobody_answers() -> None:
    with pytest.raises(HarnessError, match="is this the management address"):
        import_("http://127.0.0.1:9")
