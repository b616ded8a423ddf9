"""Ports of the machine's loopback that lead to addresses of the sandbox.

python -m harness.local_cluster.real.relay 18080=127.0.0.1:18080 10443=10.96.3.4:443
"""

import asyncio
import contextlib
import ctypes
import os
import socket
import sys
from pathlib import Path

from harness.local_cluster.real.sandbox import MACHINE

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def listen_on_machine(port: int) -> socket.socket:
    """Return a socket that listens in the network that this sandbox was started from.

    Raises:
        OSError: the port is taken, or this process may not change its network.
    """
    with MACHINE.open() as machine, Path("/proc/self/ns/net").open() as sandbox:
        _enter(machine.fileno())
        try:
            return socket.create_server(("127.0.0.1", port))
        finally:
            _enter(sandbox.fileno())


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


async def serve(routes: dict[int, tuple[str, int]]) -> None:
    """Carry connections until the process ends.

    Args:
        routes: by port of the machine, the address and port in the sandbox.
    """
    for port, (host, where) in routes.items():

        async def carry(
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            target: tuple[str, int] = (host, where),
        ) -> None:
            try:
                inner_reader, inner_writer = await asyncio.open_connection(*target)
            except OSError:
                writer.close()
                return
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

        await asyncio.start_server(carry, sock=listen_on_machine(port))
    await asyncio.Event().wait()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


def main() -> int:
    """Carry what the arguments say."""
    routes = {}
    for word in sys.argv[1:]:
        port, _, target = word.partition("=")
        host, _, number = target.rpartition(":")
        routes[int(port)] = (host, int(number))
    asyncio.run(serve(routes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
