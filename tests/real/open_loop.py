"""Sends requests when they are due, whatever became of the earlier ones, and checks each answer.

    python -m tests.real.open_loop '{"address": "10.96.1.2", "port": 8080, …}'

Prints a line of JSON for each request; nothing is ever sent twice. It stops at the end of its
standard input, or after ``seconds``.
"""

import asyncio
import contextlib
import hashlib
import json
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Protocol

from tests.real.http1 import Http1
from tests.real.load import Answer, Load


class Client(Protocol):
    """Sends one request at a time or many."""

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of one answer."""


def client_of(load: Load) -> Client:
    """The client that a load names; the others' libraries are not imported."""
    if load.client == "http2":
        from tests.real.http2 import Http2

        return Http2(load)
    if load.client == "grpc":
        from tests.real.rpc import Rpc

        return Rpc(load)
    return Http1(load)


async def run(load: Load) -> None:
    """Send until the time or the standard input ends; print every answer."""
    client, tasks = client_of(load), set[asyncio.Task[None]]()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    began, wall = time.monotonic(), time.time()
    async with asyncio.TaskGroup() as group:
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
            task = group.create_task(_one(client, load, when, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


async def _one(client: Client, load: Load, when: float, due: float) -> None:
    outcome, detail = await ask(client, load)
    _tell(Answer(when, time.monotonic() - due, outcome, detail))


async def ask(client: Client, load: Load) -> tuple[str, str]:
    """Send a request and check its answer: ok, failed or wrong, and why."""
    body = secrets.token_bytes(load.size)
    try:
        status, answer = await asyncio.wait_for(client.ask(body), load.patience)
        if status != 200:
            return "failed", f"{status} {answer[:80]!r}"
        if answer.decode() != hashlib.sha256(body).hexdigest():
            return "wrong", repr(answer[:80])
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        return "failed", repr(error)
    return "ok", ""


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
