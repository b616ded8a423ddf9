"""Throughput with the pinned Java libraries, beside TorchServe with those in its own JAR.

Both servers run all the while and are asked in turn, so that what else the machine does falls on
both. The model does nothing: what is left is the server's own work, where a slower library shows
most.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from bench import Figure
from harness.launcher import libraries
from tests.launcher.conftest import Site, eventually, pack, starting

PAIRS = 9
SECONDS = 4.0
WARM_UP = 15.0  # seconds for the JVM's compiler to have seen what is asked
CONNECTIONS = 16
LEAST = 0.97
# The second smallest and second largest of nine hold the true median between them with a
# confidence of 96 %: the binomial distribution, whatever that of the ratios is.
RANK = 1


def run() -> list[Figure]:
    """Ask both in turn, and say whether the pinned ones keep ``LEAST`` of the throughput."""
    if not libraries.count(libraries.FOLDER):
        raise SystemExit(libraries.summary(libraries.FOLDER))
    with tempfile.TemporaryDirectory() as folder, starting() as start:
        pack("gated", "gated_handler.py", Path(folder))
        archive = Path(folder, "gated.mar")
        pinned, bundled = (Site(Path(folder, name), archive) for name in ("pinned", "bundled"))
        for site, options in ((pinned, ()), (bundled, ("--jars", str(Path(folder, "none"))))):
            eventually(start(site, *options).is_ready)
        for site in (pinned, bundled):
            _throughput(site, WARM_UP)
        pairs = [
            (_throughput(pinned, SECONDS), _throughput(bundled, SECONDS)) for _ in range(PAIRS)
        ]
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    low, high = ratios[RANK], ratios[-1 - RANK]
    verdict = "kept" if low >= LEAST else "lost" if high < LEAST else "cannot tell"
    ratio = statistics.median(ratios)
    return [
        Figure(
            name=f"throughput with the pinned Java libraries, at least {LEAST} of that without: "
            f"{verdict} ({low:.3f} to {high:.3f}, median of {PAIRS} pairs {ratio:.3f})",
            value=statistics.median(ours for ours, _ in pairs),
            unit="requests/s",
            peer="TorchServe with the libraries in its own JAR",
            peer_value=statistics.median(theirs for _, theirs in pairs),
            ratio=ratio,
            spread=(ratios[-1] - ratios[0]) / ratio,
        )
    ]


def _throughput(site: Site, seconds: float) -> float:
    """Answers a second, in closed loop."""
    return asyncio.run(_ask(site.http, seconds)) / seconds


async def _ask(port: int, seconds: float) -> int:
    end = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_client(port, end) for _ in range(CONNECTIONS))))


async def _client(port: int, end: float) -> int:
    """One connection that asks again as soon as it is answered; how often, until ``end``."""
    request = b"POST /predictions/gated HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nask"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = 0
    while time.monotonic() < end:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200 "):
            raise RuntimeError(head.decode())
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        answers += 1
    writer.close()
    return answers
