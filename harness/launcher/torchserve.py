"""The client of TorchServe's management and metrics ports; the launcher is their only one."""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from .config import Config
from .failure import BadInput


class Unanswered(Exception):
    """TorchServe did not answer, or with an error."""


@dataclass(frozen=True)
class WorkerState:
    """A worker as TorchServe describes it; ready once its model has loaded."""

    id: str
    ready: bool


@dataclass(frozen=True)
class ModelState:
    """A model version: its workers and its queue, in requests.

    ``patience`` is how many seconds TorchServe tries to get a crashed worker back; after that
    it never does.
    """

    name: str
    version: str
    workers: tuple[WorkerState, ...]
    min_workers: int
    queued: int
    queue_capacity: int
    patience: int

    @property
    def ready_workers(self) -> int:
        return sum(worker.ready for worker in self.workers)

    @property
    def ready(self) -> bool:
        return self.ready_workers >= max(self.min_workers, len(self.workers))


class TorchServe:
    """Calls with a time-out of ``timeout`` seconds each."""

    def __init__(self, config: Config, timeout: float) -> None:
        self._config = config
        self._timeout = timeout

    def ping(self) -> None:
        """Return if the event loops that serve inference turn, too: management shares them.

        Raises:
            Unanswered: they do not.
        """
        self._get(self._config.management, "/models?limit=1")

    def describe(self) -> tuple[ModelState, ...]:
        """Every model of the snapshot.

        Each call runs one nvidia-smi a GPU worker on a thread that also serves inference, so it
        is asked when something may have changed, and not to see whether TorchServe is alive.

        Raises:
            Unanswered: TorchServe does not answer.
            BadInput: it has left a model out, as it does when an archive cannot be read.
        """
        return tuple(
            self._model(wanted.name, wanted.version, wanted.min_workers)
            for wanted in self._config.models
        )

    def metrics(self) -> str:
        """TorchServe's own metrics, in Prometheus' text format.

        Raises:
            Unanswered: TorchServe does not answer.
        """
        return self._get(self._config.metrics, "/metrics")

    def _model(self, name: str, version: str, min_workers: int) -> ModelState:
        path = f"/models/{quote(name, safe='')}/{quote(version, safe='')}"
        try:
            (found,) = json.loads(self._get(self._config.management, path))
            queue = found["jobQueueStatus"]
            return ModelState(
                name,
                version,
                tuple(WorkerState(w["id"], w["status"] == "READY") for w in found["workers"]),
                min_workers,
                queue["pendingRequests"],
                queue["pendingRequests"] + queue["remainingCapacity"],
                found["maxRetryTimeoutInSec"] + found["startupTimeout"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Unanswered(f"GET {path}: {type(error).__name__}: {error}") from error

    def _get(self, base: str, path: str) -> str:
        address = urlsplit(base)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=self._timeout
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"GET {base}{path}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if response.status == http.HTTPStatus.NOT_FOUND and path.startswith("/models/"):
            raise BadInput(f"TorchServe has not registered {path.removeprefix('/models/')}")
        if response.status != http.HTTPStatus.OK:
            raise Unanswered(f"GET {base}{path}: {response.status} {body.strip()[:200]}")
        return body
