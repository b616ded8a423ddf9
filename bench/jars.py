"""TorchServe with the pinned Java libraries, beside TorchServe with those in its own JAR.

Both servers run all the while and are asked in turn, so that what else the machine does falls on
both. The model does nothing: what is left is the server's own work, where a slower library shows
most. Throughput says nothing on a machine that is busy with something else, which is then said;
the CPU time of the JVM says more there.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import Figure
from harness.launcher import libraries
from tests.launcher.conftest import Site, pack, starting
from tests.support.processes import eventually

PAIRS = 9
SECONDS = 4.0
WARM_UP = 30.0  # seconds for the JVM's compiler to have seen what is asked
CONNECTIONS = 16
LEAST = 0.97
# Of the peer's own throughput over the run, the largest by the smallest: above, the machine was
# not ours alone, and the ratios of neighbors follow its moods.
STEADY = 1.2
# The second smallest and second largest of nine hold the true median between them with a
# confidence of 96 %: the binomial distribution, whatever that of the ratios is.
RANK = 1


@dataclass(frozen=True, slots=True)
class _Turn:
    """Answers a second, and the JVM's milliseconds of CPU for each."""

    throughput: float
    cpu: float


def run() -> list[Figure]:
    """Ask both in turn, and say whether the pinned ones keep ``LEAST`` of the throughput."""
    if not libraries.count(libraries.FOLDER):
        raise SystemExit(libraries.summary(libraries.FOLDER, 0))
    with tempfile.TemporaryDirectory() as folder, starting() as start:
        pack("gated", "gated_handler.py", Path(folder))
        archive = Path(folder, "gated.mar")
        pinned, bundled = (Site(Path(folder, name), archive) for name in ("pinned", "bundled"))
        for site, options in ((pinned, ()), (bundled, ("--jars", str(Path(folder, "none"))))):
            eventually(start(site, *options).is_ready)
        turns: dict[Site, list[_Turn]] = {pinned: [], bundled: []}
        for site in turns:
            _turn(site, WARM_UP)
        for number in range(PAIRS):  # each goes first in every other pair
            for site in (pinned, bundled) if number % 2 else (bundled, pinned):
                turns[site].append(_turn(site, SECONDS))
    ours, theirs = turns[pinned], turns[bundled]
    throughput = [turn.throughput for turn in ours], [turn.throughput for turn in theirs]
    name = f"throughput with the pinned Java libraries: {_verdict(*throughput)}"
    return [
        _figure(name, "requests/s", *throughput),
        _figure(
            "CPU time of the JVM for a request with the pinned Java libraries",
            "ms",
            [turn.cpu for turn in ours],
            [turn.cpu for turn in theirs],
        ),
    ]


def _verdict(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = sorted(our / their for our, their in zip(ours, theirs, strict=True))
    low, high = ratios[RANK], ratios[-1 - RANK]
    bounds = f"{low:.3f} to {high:.3f} of that without, where {LEAST} is asked"
    if (swing := max(theirs) / min(theirs)) > STEADY:
        return f"cannot tell, the peer alone varied by a factor of {swing:.1f} ({bounds})"
    return f"{'kept' if low >= LEAST else 'lost' if high < LEAST else 'cannot tell'} ({bounds})"


def _figure(name: str, unit: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    return Figure(
        name=name,
        value=statistics.median(ours),
        unit=unit,
        peer="with those in TorchServe's own JAR",
        peer_value=statistics.median(theirs),
        ratio=ratio,
        spread=(max(ratios) - min(ratios)) / ratio,
    )


def _turn(site: Site, seconds: float) -> _Turn:
    """Ask in closed loop."""
    jvm = site.jvm()
    before = jvm.cpu_times()
    answers = asyncio.run(_ask(site.http, seconds))
    after = jvm.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return _Turn(throughput=answers / seconds, cpu=1000 * cpu / answers)


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
