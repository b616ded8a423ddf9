"""The client of TorchServe's management and metrics ports; the launcher is their only one."""

import json
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import quote

from . import BadInput
from .config import Config

_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # loopback, no proxy


class Unanswered(Exception):  # noqa: N818 - a state, not an error
    """TorchServe did not answer, or with an error."""


@dataclass(frozen=True)
class Model:
    """A model version as TorchServe describes it. ``patience`` is how many seconds it tries to
    get a crashed worker back; after that it never does.
    """

    name: str  # and version, with a space between them: neither may hold one
    workers: tuple[str, ...]
    wanted: int
    ready: int
    queued: int
    patience: int


class TorchServe:
    """Calls with a time-out of ``timeout`` seconds each; they raise Unanswered."""

    def __init__(self, config: Config, timeout: float) -> None:
        self._config = config
        self._timeout = timeout

    def ping(self) -> None:
        """Return if the event loops turn that serve inference, too: management shares them."""
        self._get(f"{self._config.management}/models?limit=1")

    def metrics(self) -> str:
        """TorchServe's own metrics, in Prometheus' text format."""
        return self._get(f"{self._config.metrics}/metrics")

    def describe(self) -> list[Model]:
        """Every model of the snapshot. Each call runs one nvidia-smi a GPU worker, on a thread
        that also serves inference: so it is asked when something changed, not to see a pulse.

        Raises:
            BadInput: TorchServe left a model out, as it does when an archive cannot be read.
        """
        return [self._model(*key, wanted) for key, wanted in self._config.workers.items()]

    def _model(self, name: str, version: str, wanted: int) -> Model:
        path = f"/models/{quote(name)}/{quote(version)}"
        found = json.loads(self._get(self._config.management + path))[0]
        workers = found["workers"]
        return Model(
            f"{name} {version}",
            tuple(worker["id"] for worker in workers),
            max(wanted, len(workers)),
            sum(worker["status"] == "READY" for worker in workers),
            found["jobQueueStatus"]["pendingRequests"],
            found["maxRetryTimeoutInSec"] + found["startupTimeout"],
        )

    def _get(self, url: str) -> str:
        try:
            with _OPEN(url, timeout=self._timeout) as response:
                return str(response.read(), "utf-8")
        except (OSError, HTTPException) as error:
            if getattr(error, "code", None) == 404:
                raise BadInput(
                    f"TorchServe has left out {url.rpartition('/models/')[2]}"
                ) from error
            raise Unanswered(f"GET {url}: {error}") from error
