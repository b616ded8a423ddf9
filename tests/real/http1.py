"""HTTP/1.1 with keep-alive: one request at a time on a connection."""

import asyncio
import time
from collections.abc import Mapping

from harness.models.samples import PreparedSample
from tests.real.load import PATH, Load, tls_of

_IDLE = 3.0  # seconds that a connection is kept unused: shorter than any server's own limit
_PIECES = 20  # of a body that is sent slowly

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Http1:
    """Connections that are kept and used again, the last one first."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._idle: list[tuple[float, Connection]] = []
        self._tls = tls_of(load, "http/1.1")

    async def ask(self, sample: PreparedSample) -> tuple[int, bytes]:
        """Status and body of one answer."""
        reader, writer = await self._connect()
        keep = False
        try:
            head = (
                f"POST {PATH.format(sample.model)} HTTP/1.1\r\nHost: {self._load.host}\r\n"
                f"Content-Type: {sample.content_type}\r\n"
                f"Content-Length: {len(sample.body)}\r\n\r\n"
            )
            writer.write(head.encode())
            await self._send(writer, sample.body)
            status, headers = await _head(reader)
            answer = await _body(reader, headers)
            keep = headers.get("connection", "").lower() != "close"
            return status, answer
        finally:
            if keep:
                self._idle.append((time.monotonic(), (reader, writer)))
            else:
                writer.close()

    async def _send(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        pieces = _PIECES if self._load.upload else 1
        size = -(-len(body) // pieces)
        for start in range(0, len(body), size):
            writer.write(body[start : start + size])
            await writer.drain()
            await asyncio.sleep(self._load.upload / pieces)

    async def _connect(self) -> Connection:
        while self._idle:
            since, (reader, writer) = self._idle.pop()
            if time.monotonic() - since < _IDLE and not reader.at_eof():
                return reader, writer
            writer.close()
        host = self._load.host if self._tls else None
        return await asyncio.open_connection(
            self._load.address, self._load.port, ssl=self._tls, server_hostname=host
        )


async def _head(reader: asyncio.StreamReader) -> tuple[int, Mapping[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(lines[0].split()[1]), {key.lower(): value.strip() for key, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(pieces)
