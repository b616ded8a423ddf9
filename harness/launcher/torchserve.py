"""The client of TorchServe's own ports; nobody else reaches those of management and metrics."""

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlsplit

from . import BadInput
from .config import Config
from .store import Sample

_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # loopback, no proxy
_FRESH = 0.25  # seconds for which a queue's length is not asked again


class Unanswered(Exception):  # noqa: N818 - a state, not an error
    """TorchServe did not answer, or with an error."""


@dataclass(frozen=True)
class Model:
    """A model version as TorchServe describes it, with the ids of its workers."""

    key: tuple[str, str]
    workers: tuple[str, ...]
    expected_workers: int
    queued: int
    batch_size: int

    @property
    def name(self) -> str:
        """Its name and version, for people."""
        return " ".join(self.key)


class TorchServe:
    """Calls with a timeout of ``timeout`` seconds each; they raise Unanswered."""

    def __init__(self, config: Config, timeout: float) -> None:
        self._config = config
        self._timeout = timeout
        self.mark = 0  # of the last call that was answered

    def ping(self) -> None:
        """Return if the event loops turn that serve inference, too: management shares them. The
        call leaves its mark in TorchServe's log, behind all that was logged before.
        """
        self._get(f"{self._config.management}/models?limit=1&mark={self.mark + 1}")
        self.mark += 1

    def metrics(self) -> str:
        """TorchServe's own metrics, in Prometheus' text format."""
        return self._get(f"{self._config.metrics}/metrics")

    def describe(self) -> list[Model]:
        """Every model of the snapshot.

        Raises:
            BadInput: TorchServe left a model out, as it does when an archive cannot be read.
        """
        return [
            self._model(key, each.workers, each.batch_size)
            for key, each in self._config.models.items()
        ]

    def take_turn(self, model: Model) -> None:
        """Have one worker of the model say what it is: whichever is next."""
        self._get(f"{self._url(model.key)}?customized=true")

    def predict(self, model: Model, sample: Sample, count: int) -> list[bool | None]:
        """Ask ``count`` times at once. For each: whether a worker answered it well, or None if it
        came to none (a full queue, no worker).
        """
        address = urlsplit(self._config.inference).netloc
        path = f"/predictions/{'/'.join(map(quote, model.key))}"
        headers = {"Content-Type": sample.content_type}
        with contextlib.ExitStack() as opened:
            calls = []
            for _ in range(count):
                call = HTTPConnection(address, timeout=self._timeout)
                calls.append(opened.enter_context(contextlib.closing(call)))
            try:
                for call in calls:
                    call.request("POST", path, sample.body, headers)
            except (OSError, HTTPException) as error:
                raise Unanswered(f"POST {path}: {error}") from error
            return [_answer(call) for call in calls]

    def _model(self, key: tuple[str, str], expected_workers: int, batch_size: int) -> Model:
        (description,) = json.loads(self._get(self._url(key)))
        workers: Sequence[dict[str, str]] = description["workers"]
        queued = description["jobQueueStatus"]["pendingRequests"]
        ids = tuple(each["id"] for each in workers)
        return Model(key, ids, max(expected_workers, len(workers)), queued, batch_size)

    def _url(self, key: tuple[str, str]) -> str:
        return f"{self._config.management}/models/{'/'.join(map(quote, key))}"

    def _get(self, url: str) -> str:
        try:
            with _OPEN(url, timeout=self._timeout) as response:
                return str(response.read(), "utf-8")
        except (OSError, HTTPException) as error:
            if getattr(error, "code", None) == 404:
                model = url.rpartition("/models/")[2]
                raise BadInput(f"TorchServe has left out {model}") from error
            raise Unanswered(f"GET {url}: {error}") from error


class Queues:
    """How many requests wait for a worker, by model; asked of TorchServe a few times a second at
    most, however many scrape.
    """

    def __init__(self, torchserve: TorchServe) -> None:
        self._torchserve = torchserve
        self._lock = threading.Lock()
        self._queried_at = 0.0
        self._lengths: dict[str, int] = {}

    def by_model(self) -> dict[str, int]:
        """Empty while TorchServe does not answer: no news is not a zero."""
        with self._lock:
            if time.monotonic() - self._queried_at > _FRESH:
                self._lengths = {}
                with contextlib.suppress(Unanswered):
                    self._lengths = {m.name: m.queued for m in self._torchserve.describe()}
                self._queried_at = time.monotonic()
            return self._lengths


def _answer(call: HTTPConnection) -> bool | None:
    try:
        response = call.getresponse()
        text = response.read()
    except (OSError, HTTPException):
        return None
    if response.status >= 500 and b"ServiceUnavailableException" in text:
        return None
    return response.status < 400
