"""How many requests a second are answered rightly when each answer is followed by a request.

    python -m tests.real.closed_loop '{"address": "10.96.1.2", "port": 8080, "most": 32, …}'

Prints the figure. ``most`` requests are on their way at any time, for ``seconds`` after a first one
in which connections are made.
"""

import asyncio
import json
import sys
import time

from tests.real.load import Load
from tests.real.open_loop import ask, client_of, samples

_FIRST = 1.0  # seconds


async def measure(load: Load) -> float:
    """Right answers a second."""
    client, sent = client_of(load), samples(load)
    began = time.monotonic() + _FIRST
    ended = began + load.seconds

    async def ask_on() -> int:
        right = 0
        while time.monotonic() < ended:
            outcome, _ = await ask(client, next(sent), load.patience)
            right += outcome == "ok" and began <= time.monotonic() < ended
        return right

    return sum(await asyncio.gather(*(ask_on() for _ in range(load.most)))) / load.seconds


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(measure(Load(**json.loads(sys.argv[1]))))}\n")
