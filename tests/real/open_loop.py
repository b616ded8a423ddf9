"""Sends requests when they are due, whatever became of the earlier ones, and checks each answer.

    python -m tests.real.open_loop '{"address": "10.96.1.2", "port": 8080, …}'

Prints a line of JSON for each request. HTTP/1.1 with keep-alive; nothing is ever sent twice. It
stops at the end of its standard input, or after ``seconds``.
"""

import asyncio
import contextlib
import hashlib
import json
import secrets
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

_IDLE = 3.0  # seconds that a connection is kept unused: shorter than any server's own limit
_PATIENCE = 30.0  # seconds for an answer


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent.

    Attributes:
        address: where to.
        port: where to.
        path: of the request.
        rate: requests a second, evenly spread.
        seconds: at most so long.
        host: of the Host header, and of TLS where ``tls``.
        most: requests in flight; one more is dropped, and counted.
        size: bytes of a body.
    """

    address: str
    port: int
    path: str
    rate: float
    seconds: float
    host: str = "localhost"
    tls: bool = False
    most: int = 200
    size: int = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        due: when it was due, in Unix time.
        seconds: from then to the answer's last byte, or to the failure.
        outcome: ok, failed, wrong or dropped.
        detail: a status or an error.
    """

    due: float
    seconds: float
    outcome: str
    detail: str = ""


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Connections that are kept and used again, the last one first."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._idle: list[tuple[float, Connection]] = []
        self._tls: ssl.SSLContext | None = None
        if load.tls:
            self._tls = ssl.create_default_context()
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of one answer."""
        reader, writer = await self._connect()
        keep = False
        try:
            head = (
                f"POST {self._load.path} HTTP/1.1\r\nHost: {self._load.host}\r\n"
                "Content-Type: application/octet-stream\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
            status, headers = await _head(reader)
            answer = await _body(reader, headers)
            keep = headers.get("connection", "").lower() != "close"
            return status, answer
        finally:
            if keep:
                self._idle.append((time.monotonic(), (reader, writer)))
            else:
                writer.close()

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


async def run(load: Load) -> None:
    """Send until the time or the standard input ends; print every answer."""
    client, tasks = Client(load), set[asyncio.Task[None]]()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    began, wall = time.monotonic(), time.time()
    for number in range(int(load.rate * load.seconds)):
        due = began + number / load.rate
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if ended.done():
            break
        when = wall + due - began
        if len(tasks) >= load.most:
            _tell(Answer(when, 0, "dropped"))
            continue
        task = asyncio.create_task(_one(client, when, due, load.size))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def _one(client: Client, when: float, due: float, size: int) -> None:
    body = secrets.token_bytes(size)
    outcome, detail = "ok", ""
    try:
        status, answer = await asyncio.wait_for(client.ask(body), _PATIENCE)
        if status != 200:
            outcome, detail = "failed", f"{status} {answer[:80]!r}"
        elif answer.decode() != hashlib.sha256(body).hexdigest():
            outcome, detail = "wrong", repr(answer[:80])
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        outcome, detail = "failed", repr(error)
    _tell(Answer(when, time.monotonic() - due, outcome, detail))


def _tell(answer: Answer) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(asdict(answer)) + "\n")
        sys.stdout.flush()


def read(text: str) -> Iterator[Answer]:
    """The answers that a run printed."""
    for line in text.splitlines():
        yield Answer(**json.loads(line))


if __name__ == "__main__":
    asyncio.run(run(Load(**json.loads(sys.argv[1]))))
