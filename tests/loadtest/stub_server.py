"""A small real HTTP server in a process of its own, controlled by its arguments.

    python stub_server.py --stall-every 10 --stall 1

It prints its port, then answers:

    GET  /ok             200 {"ok": true}
    POST /predictions/X  200 with the body that was sent
    GET  /status/503     that status, with TorchServe's error body
    GET  /slow/0.2       after so many seconds
    GET  /hang           never
    GET  /close          closes the connection without a word
    GET  /echo           the request's headers as text
    GET  /count          how many requests came so far
    GET  /stream/0.2     a first byte at once, the rest after so many seconds
    GET  /turns/503      200 and that status, in turn
    GET  /full           503 in the words that TorchServe has for a full queue
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator


@contextlib.contextmanager
def running(*args: str) -> Iterator[str]:
    """The server's URL; it runs in its own process, so that it never waits for a generator."""
    process = subprocess.Popen([sys.executable, __file__, *args], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Stub:
    def __init__(self, stall_every: float, stall: float) -> None:
        self._every, self._stall = stall_every, stall
        self._count = 0
        self._began = time.monotonic()

    async def serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.split("\r\n")
                lengths = [line for line in lines if line.lower().startswith("content-length:")]
                body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b""
                path = lines[0].split()[1]
                if path.startswith("/stream/"):
                    await self._stream(writer, float(path.removeprefix("/stream/")))
                    continue
                answer = await self._answer(path, head, body)
                if answer is None:
                    return
                status, payload = answer
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
                )
                writer.write(b"" if head.startswith("HEAD ") else payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _stream(self, writer: asyncio.StreamWriter, seconds: float) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\na")
        await writer.drain()
        await asyncio.sleep(seconds)
        writer.write(b"b")

    async def _answer(self, path: str, head: str, body: bytes) -> tuple[int, bytes] | None:
        self._count += 1
        await self._pause()
        _, verb, *rest = path.split("/")
        match verb:
            case "predictions":
                return 200, body
            case "status":
                return int(rest[0]), json.dumps({"code": int(rest[0]), "type": "Busy"}).encode()
            case "slow":
                await asyncio.sleep(float(rest[0]))
            case "hang":
                await asyncio.Event().wait()
            case "close":
                return None
            case "echo":
                return 200, head.encode()
            case "turns":
                return (200, b'{"ok": true}') if self._count % 2 else (int(rest[0]), b"busy")
            case "full":
                message = f'Model "{rest[0]}" has no worker to serve inference request.'
                error = {"code": 503, "type": "ServiceUnavailableException", "message": message}
                return 503, json.dumps(error).encode()
            case "count":
                return 200, str(self._count).encode()
        return 200, b'{"ok": true}'

    async def _pause(self) -> None:
        """Answer nothing in the last ``stall`` seconds of each cycle."""
        if self._every:
            phase = (time.monotonic() - self._began) % self._every
            if phase > self._every - self._stall:
                await asyncio.sleep(self._every - phase)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--stall-every", type=float, default=0.0)
    parser.add_argument("--stall", type=float, default=0.0)
    args = parser.parse_args()
    asyncio.run(Stub(args.stall_every, args.stall).serve())
