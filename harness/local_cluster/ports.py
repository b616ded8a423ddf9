"""Where the components of a cluster listen: unused ports of the loopback."""

import contextlib
import random
import socket
from collections.abc import Container
from dataclasses import astuple, dataclass
from typing import Self

from harness.core.errors import HarnessError

_LOOPBACK = "127.0.0.1"
# Below the ephemeral ports, so that no outgoing connection takes a port while its owner
# restarts.
_PORTS = range(12_000, 30_000)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each component listens, all on 127.0.0.1."""

    etcd: int
    etcd_peer: int
    apiserver: int
    kwok: int
    git: int
    source: int
    gateway: int
    health: tuple[int, int, int]
    metrics: tuple[int, int, int]

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{_LOOPBACK}:{self.apiserver}"

    @property
    def git_server(self) -> str:
        """The Git server's address."""
        return f"http://{_LOOPBACK}:{self.git}"

    @property
    def numbers(self) -> tuple[int, ...]:
        """All of them."""
        *single, health, metrics = astuple(self)
        return (*single, *health, *metrics)

    @classmethod
    def free(cls, excluded: Container[int] = ()) -> Self:
        """Return unused ports, all open at once so that no two are the same.

        ``excluded`` are those that are reserved.
        """
        with contextlib.ExitStack() as open_sockets:

            def port() -> int:
                for number in random.sample(_PORTS, len(_PORTS)):
                    if number in excluded:
                        continue
                    candidate = open_sockets.enter_context(socket.socket())
                    with contextlib.suppress(OSError):
                        candidate.bind((_LOOPBACK, number))
                        return number
                raise HarnessError("no port is free on loopback")

            return cls(
                etcd=port(),
                etcd_peer=port(),
                apiserver=port(),
                kwok=port(),
                git=port(),
                source=port(),
                gateway=port(),
                health=(port(), port(), port()),
                metrics=(port(), port(), port()),
            )
