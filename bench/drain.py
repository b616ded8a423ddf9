"""Requests lost at SIGTERM: the launcher's drain beside TorchServe's own end."""

import contextlib
import os
import signal
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil

from bench import Figure
from harness import embedded_server
from harness.core.repository import find as find_repository
from harness.embedded_server import Server
from harness.models import build, samples

RUNS = 3
REQUESTS = 80  # at once: the local queue takes 100


def run() -> list[Figure]:
    """Stop a server with requests in flight and queued, in both ways in turn."""
    drained, alone = [], []
    for _ in range(RUNS):
        drained.append(_lost_requests(lambda served: os.kill(served.pid, signal.SIGTERM)))
        alone.append(_lost_requests(lambda served: _jvm(served).terminate()))
    value, peer = statistics.median(drained), statistics.median(alone)
    return [
        Figure(
            name=f"requests lost at SIGTERM, of {REQUESTS} in flight or queued",
            value=value,
            unit="requests",
            peer="SIGTERM to TorchServe itself",
            peer_value=peer,
            ratio=value / peer if peer else None,
            spread=max(drained) - min(drained),
        )
    ]


def _lost_requests(stop: Callable[[Server], None]) -> int:
    repository = find_repository()
    prepared = samples.load_samples(repository, build.build(repository))
    sample = prepared["squeezenet1_1"][0]
    with embedded_server.running(repository) as served, ThreadPoolExecutor(REQUESTS) as pool:
        url = f"{served.inference_url}/predictions/{sample.model}"
        request = Request(url, sample.body, {"Content-Type": sample.content_type})  # noqa: S310
        answers = [pool.submit(_is_answered, request) for _ in range(REQUESTS)]
        wait(answers, return_when="FIRST_COMPLETED")
        stop(served)
        return sum(not answer.result() for answer in answers)


def _is_answered(request: Request) -> bool:
    with contextlib.suppress(URLError, OSError), urlopen(request, timeout=120) as reply:  # noqa: S310
        return bool(reply.read())
    return False


def _jvm(served: Server) -> psutil.Process:
    children = psutil.Process(served.pid).children()
    return next(child for child in children if "org.pytorch.serve.ModelServer" in child.cmdline())
