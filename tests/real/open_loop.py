"""Sends requests when they are due, whatever became of the earlier ones, and checks each answer.

    python -m tests.real.open_loop '{"address": "10.96.1.2", "port": 8080, …}' …

Each argument is a load, and all of them are sent at once. Prints a line of JSON for each request;
nothing is ever sent twice. It stops at the end of its standard input, or after ``seconds``.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from harness.canary import known
from harness.core.repository import FIRST_GROUP
from harness.models.answer import Expected, wrong
from harness.models.samples import PreparedSample
from tests.real.http1 import Http1
from tests.real.load import ENV, Answer, Load


class Client(Protocol):
    """Sends one request at a time or many."""

    async def ask(self, sample: PreparedSample) -> tuple[int, bytes]:
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


def samples(load: Load) -> Iterator[PreparedSample]:
    """What is sent, one after the other, and what is right."""
    if load.known:
        models = known.read(Path(load.known), ENV)[FIRST_GROUP]
        yield from itertools.cycle(models[load.model])
    while True:
        body = secrets.token_bytes(load.size)
        right = Expected(text=hashlib.sha256(body).hexdigest())
        yield PreparedSample(load.model, "", "", "application/octet-stream", body, right)


async def run_all(loads: list[Load]) -> None:
    """Send until the time or the standard input ends; print every answer."""
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    async with asyncio.TaskGroup() as group:
        for load in loads:
            group.create_task(_run(load, ended))


async def _run(load: Load, ended: asyncio.Future[str]) -> None:
    client, sent, tasks = client_of(load), samples(load), set[asyncio.Task[None]]()
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
                _tell(Answer(when, 0, "dropped", model=load.model))
                continue
            task = group.create_task(_one(client, next(sent), load.patience, when, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


async def _one(
    client: Client, sample: PreparedSample, patience: float, when: float, due: float
) -> None:
    outcome, detail = await ask(client, sample, patience)
    _tell(Answer(when, time.monotonic() - due, outcome, detail, sample.model))


async def ask(client: Client, sample: PreparedSample, patience: float) -> tuple[str, str]:
    """Send a request and check its answer: ok, failed or wrong, and why."""
    try:
        status, answer = await asyncio.wait_for(client.ask(sample), patience)
        if status != 200:
            return "failed", f"{status} {answer[:80]!r}"
        if reason := wrong(sample.expected, answer):
            return "wrong", reason
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
    asyncio.run(run_all([Load(**json.loads(argument)) for argument in sys.argv[1:]]))
