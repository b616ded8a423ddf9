"""Serves the models on the GPU through the launcher, and breaks what can break there."""

import contextlib
import itertools
import json
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.gpu.client import Client, Reply, load, percentile
from harness import embedded_server
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.embedded_server import Server
from harness.launcher import libraries
from harness.models import answer, samples
from harness.models.build import build
from harness.models.samples import PreparedSample

CLIENTS = 16
RECOVERY = 120.0  # seconds that a broken worker may take to be replaced: a start imports torch
_POLL = 0.25  # seconds between two looks at a broken worker
_IN_FLIGHT = 64  # requests at SIGTERM: the local queue takes 100
JARS = "jars"  # in the bundle: the Java libraries that replace TorchServe's own
_READ = ("apps", "clusters", "models")  # what the harness reads of a checkout

# Says that there is one GPU, and takes as long to say how busy it is as a real one with
# persistence mode on.
_NVIDIA_SMI = """\
#!/bin/sh
case "$*" in
  -L) echo "GPU 0: stand-in (UUID: none)" ;;
  *index*) printf 'index\\n0\\n' ;;
  *) sleep 0.1; printf 'utilization.gpu, utilization.memory, memory.used\\n0 %%, 0 %%, 0 MiB\\n' ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a step has shown.

    Attributes:
        step: its name.
        passed: whether what had to be so was so.
        notes: what was seen, a sentence each.
        figures: what was measured, by name and unit; of a stand-in there are none.
    """

    step: str
    passed: bool
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


def run_all(*, stand_in: bool, seconds: float = 10.0) -> list[Result]:
    """Every step, in order; the server is started once.

    Args:
        stand_in: on a CPU, with a program in place of nvidia-smi.
        seconds: of load, for each figure.
    """
    with _checkout() as checkout, _gpu(stand_in=stand_in):
        lock = build(checkout)
        prepared = samples.load_samples(checkout, lock)
        jars = _jars()
        with embedded_server.running(checkout, jars=jars) as served:
            results = [
                machine(stand_in=stand_in),
                java_libraries(served, jars),
                correct_answers(served, prepared),
                devices(served, stand_in=stand_in),
                throughput(served, prepared, seconds),
                scrapes(served, prepared["squeezenet1_1"][0], seconds),
                broken_context(served, prepared["squeezenet1_1"][0]),
                drain(served, prepared["squeezenet1_1"][0]),
            ]
    if stand_in:
        return [Result(each.step, each.passed, each.notes) for each in results]
    return results


def machine(*, stand_in: bool) -> Result:
    """Which machine it is."""
    cuda = torch.cuda.is_available()
    gpu = torch.cuda.get_device_name(0) if cuda else "none"
    query = ["nvidia-smi", "--query-gpu=driver_version,persistence_mode", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False).stdout
    notes = (
        f"GPU: {gpu}; driver, persistence mode: {'stand-in' if stand_in else driver.strip()}",
        f"PyTorch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores",
    )
    return Result("the machine has a GPU that PyTorch can use", cuda or stand_in, notes)


def java_libraries(served: Server, jars: Path) -> Result:
    """The libraries that the image runs are those that run here."""
    with urllib.request.urlopen(served.launcher_url + "/metrics", timeout=30) as page:  # noqa: S310
        text = page.read().decode()
    number = libraries.count(jars)
    passed = f"launcher_pinned_java_libraries {number}\n" in text
    return Result(
        "the Java libraries are the pinned ones", passed, (libraries.summary(jars, number),)
    )


def correct_answers(served: Server, prepared: Mapping[str, tuple[PreparedSample, ...]]) -> Result:
    """Each answer is the CPU's: the references were asked without a GPU, by the build."""
    faults: list[str] = []
    answers = 0
    with contextlib.closing(Client(served.inference_url)) as client:
        for sample in itertools.chain(*prepared.values()):
            for _ in range(3):
                reply = _ask(client, sample)
                fault = f"status {reply.status}" if reply.status != 200 else None
                if fault := fault or answer.wrong(sample.expected, reply.body):
                    faults.append(f"{sample.model}/{sample.name}: {fault}")
                answers += 1
    notes = (
        f"{answers} answers, {len(faults)} not the CPU's within the model's tolerance",
        *faults,
    )
    return Result("answers on the GPU are the CPU's", not faults, notes)


def devices(served: Server, *, stand_in: bool) -> Result:
    """A worker really is on the GPU: its handler says where its parameters lie."""
    with contextlib.closing(Client(served.inference_url)) as client:
        reply = client.post("/predictions/breakable", b"where", "application/octet-stream")
    device = json.loads(reply.body).get("device", "") if reply.status == 200 else reply.body
    right = device == ("cpu" if stand_in else "cuda:0")
    return Result("workers are on the GPU", right, (f"the handler is on {device}",))


def throughput(
    served: Server, prepared: Mapping[str, tuple[PreparedSample, ...]], seconds: float
) -> Result:
    """Answers a second of each model by itself, in closed loop."""
    figures: dict[str, float] = {}
    failed: list[str] = []
    for model, (sample, *_) in ((name, each) for name, each in prepared.items() if each):
        replies = load(
            served.inference_url,
            lambda client, sample=sample: _ask(client, sample),  # type: ignore[misc]
            clients=CLIENTS,
            seconds=seconds,
        )
        good = [reply for reply in replies if reply.status == 200]
        if len(good) < len(replies) or len(good) < 2:
            failed.append(f"{model}: {len(replies) - len(good)} of {len(replies)} failed")
            continue
        figures[f"{model}, {CLIENTS} clients: answers/s"] = len(good) / seconds
        figures[f"{model}: p50 ms"] = percentile(good, 50)
        figures[f"{model}: p99 ms"] = percentile(good, 99)
    return Result("every model answers under load", not failed, tuple(failed), figures)


def scrapes(served: Server, sample: PreparedSample, seconds: float) -> Result:
    """What nvidia-smi costs, and whether a scrape makes a prediction wait for it."""
    query = ["nvidia-smi", "-i", "0", "--query-gpu=utilization.gpu,memory.used", "--format=csv"]
    taken = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run(query, capture_output=True, timeout=30, check=False)
        taken.append(time.monotonic() - began)
    quiet = _under_load(served, sample, seconds)
    ended = threading.Event()
    scraper = threading.Thread(target=_scrape, args=(served, ended), daemon=True)
    scraper.start()
    scraped = _under_load(served, sample, seconds)
    ended.set()
    scraper.join(30)
    figures = {
        "nvidia-smi: ms a query": 1000 * sorted(taken)[len(taken) // 2],
        "p99 ms without scrapes": percentile(quiet, 99),
        "p99 ms with 4 scrapes a second": percentile(scraped, 99),
        "slowest ms with 4 scrapes a second": 1000 * max(reply.seconds for reply in scraped),
    }
    failed = [reply.status for reply in (*quiet, *scraped) if reply.status != 200]
    notes = (f"failed: {failed}",) if failed else ()
    return Result("a scrape does not fail a prediction", not failed, notes, figures)


def broken_context(served: Server, sample: PreparedSample) -> Result:
    """A worker whose CUDA context is lost is replaced; the pod stays in service meanwhile."""
    began = time.monotonic()
    probes: set[str] = set()
    others: list[int] = []
    recovered = None
    client = Client(served.inference_url)
    first = client.post("/predictions/breakable", b"break", "application/octet-stream")
    failed = int(first.status != 200)
    while recovered is None and time.monotonic() - began < RECOVERY:
        reply = client.post("/predictions/breakable", b"where", "application/octet-stream")
        if reply.status == 200:
            recovered = time.monotonic() - began
        failed += reply.status != 200
        others.append(_ask(client, sample).status)
        probes |= {
            f"{path}: {reason}"
            for path in ("/ready", "/live")
            for good, reason in [embedded_server.probe(served.launcher_url + path)]
            if not good
        }
        time.sleep(_POLL)
    client.close()
    lost = sum(status != 200 for status in others)
    notes = (
        f"the request that broke it was answered {first.status}",
        f"{failed} requests of its model failed",
        f"squeezenet1_1 meanwhile: {lost} of {len(others)} failed",
        *(f"a probe failed: {each}" for each in sorted(probes)),
    )
    figures = {} if recovered is None else {"seconds until its model answered again": recovered}
    passed = first.status != 200 and recovered is not None and not lost and not probes
    return Result("a worker with a broken CUDA context is replaced", passed, notes, figures)


def drain(served: Server, sample: PreparedSample) -> Result:
    """Requests in flight at SIGTERM are answered. The server has ended after this step."""
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        started = threading.Barrier(_IN_FLIGHT + 1)

        def ask() -> Reply:
            with contextlib.closing(Client(served.inference_url)) as client:
                started.wait(30)
                return _ask(client, sample)

        replies = [pool.submit(ask) for _ in range(_IN_FLIGHT)]
        started.wait(30)
        time.sleep(0.05)  # on their way
        began = time.monotonic()
        os.kill(served.pid, signal.SIGTERM)
        statuses = [reply.result().status for reply in replies]
        served.process.wait(120)
    lost = sum(status != 200 for status in statuses)
    figures = {"seconds from SIGTERM to the end": time.monotonic() - began}
    notes = (f"{lost} of {_IN_FLIGHT} requests in flight were lost",)
    return Result("a drain on the GPU loses nothing", not lost, notes, figures)


def _ask(client: Client, sample: PreparedSample) -> Reply:
    return client.post(f"/predictions/{sample.model}", sample.body, sample.content_type)


def _under_load(served: Server, sample: PreparedSample, seconds: float) -> list[Reply]:
    return load(
        served.inference_url,
        lambda client: _ask(client, sample),
        clients=CLIENTS,
        seconds=seconds,
    )


def _scrape(served: Server, ended: threading.Event) -> None:
    while not ended.wait(0.25):
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(served.launcher_url + "/metrics", timeout=30) as page,  # noqa: S310
        ):
            page.read()


def _jars() -> Path:
    """Those of the bundle; in a checkout, those of its environment."""
    carried = find_repository().root / JARS
    return carried if carried.is_dir() else libraries.FOLDER


@contextlib.contextmanager
def _checkout() -> Iterator[Repository]:
    """A copy of this repository's models and local settings, with the model that can be broken."""
    repository = find_repository()
    # A short path: TorchServe's sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="gpu-", dir="/tmp") as folder:
        copy = Repository(Path(folder))
        for name in _READ:
            shutil.copytree(repository.root / name, copy.root / name)
        if repository.built_models.is_dir():
            shutil.copytree(repository.built_models, copy.built_models)
        breakable = copy.models / "breakable"
        shutil.copytree(Path(__file__).with_name("breakable"), breakable)
        torch.save({"one": torch.ones(1)}, breakable / "weights.pt")
        serving = copy.group("local", "torchserve") / "serving.yaml"
        serving.write_text(serving.read_text() + "  breakable: {}\n")
        yield copy


@contextlib.contextmanager
def _gpu(*, stand_in: bool) -> Iterator[None]:
    """The machine's GPU, or for a while a program first on PATH that says there is one."""
    if not stand_in:
        yield
        return
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "nvidia-smi")
        program.write_text(_NVIDIA_SMI)
        program.chmod(0o755)
        os.environ["PATH"] = f"{folder}:{path}"
        try:
            yield
        finally:
            os.environ["PATH"] = path
