"""The real TorchServe on this machine, behind the same launcher as in the container.

    with server.running(repository.find(), env="local") as served:
        requests.post(f"{served.inference_url}/predictions/squeezenet1_1", data=photograph)
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.repository import Repository


@dataclass(frozen=True, slots=True)
class Server:
    """A TorchServe that is ready: every worker of every model has loaded.

    Attributes:
        inference_url: base of ``/predictions/<model>``, without a trailing slash.
        grpc_address: ``host:port`` of the inference service.
        launcher_url: base of ``/startup``, ``/ready``, ``/live`` and ``/metrics``.
        pid: the launcher's process.
    """

    inference_url: str
    grpc_address: str
    launcher_url: str
    pid: int


@contextlib.contextmanager
def running(repository: Repository, env: str = "local") -> Iterator[Server]:
    """Serve what ``harness models build`` built, with the settings of ``env``, while the block runs.

    Raises:
        InputError: a model cannot be loaded; the text has the worker's own traceback.
        HarnessError: the server could not be started.
    """
    raise NotImplementedError(repository, env)
    yield
