"""What TorchServe still has to answer: the kernel's word for it, and the log's.

    uploads, queued, running, downloads    the kernel, by connection (connections.py), over REST
    gRPC, streams between two pieces       the log: a worker has a batch, or was handed one

TorchServe itself waits for gRPC calls when it stops, and cuts REST. Neither witness is believed
when it is silent: the log counts only if the launcher's own call before this one is in it.
"""

from .config import Config
from .connections import Unsupported, requests_in_flight
from .torchserve import TorchServe
from .worker_log import WorkerLog


class InFlight:
    """Asked again and again while TorchServe is pinged; ``blind`` says why the kernel does not
    tell, if it does not. Then the queues are asked for, and uploads and downloads are not seen.
    """

    def __init__(self, config: Config, log: WorkerLog, torchserve: TorchServe) -> None:
        self._config, self._log, self._torchserve = config, log, torchserve
        self._batches = -1
        self._mark = torchserve.mark
        self.blind = ""
        try:
            self.requests(0)
        except Unsupported as error:
            self.blind = str(error)

    def requests(self, quiet: float) -> int:
        """Connections that carry requests; over gRPC, where something moved for ``quiet`` seconds.

        Raises:
            Unsupported: the kernel does not tell.
        """
        if self._config.http_port is None:
            raise Unsupported("inference_address is a Unix socket")
        return requests_in_flight(self._config.http_port, self._config.grpc_port, quiet)

    def reason(self, quiet: float) -> str:
        """Why there is something to wait for; empty if there is nothing.

        Raises:
            Unanswered: TorchServe had to be asked, and does not answer.
        """
        mark, self._mark = self._mark, self._torchserve.mark
        batches, self._batches = self._batches, self._log.batches()
        if self._log.mark < mark:
            return "the log is behind"
        if self._log.busy():
            return "workers have batches"
        if self._batches != batches:
            return "workers were handed batches"
        if self.blind:
            queued = sum(model.queued for model in self._torchserve.describe())
            return f"{queued} requests are queued" if queued else ""
        count = self.requests(quiet)
        return f"{count} connections carry requests" if count else ""
