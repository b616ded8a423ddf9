"""The server's own figures during the run, on the schedule's time axis.

    TorchServe   ts_queue_latency_microseconds, ts_inference_latency_microseconds and
                 ts_inference_requests_total (counters by model), Requests5XX, GPUUtilization
    launcher     launcher_queue_seconds and launcher_latency_seconds (sums and counts by model, gRPC
                 included: where they are, TorchServe's own times are not used),
                 launcher_queue_depth, launcher_batches_total, launcher_worker_restarts_total,
                 launcher_pinned_java_libraries, launcher_worker_memory_bytes (a gauge by worker)
    DCGM         DCGM_FI_DEV_GPU_UTIL (%), DCGM_FI_DEV_FB_USED (MiB)

Only a counter's growth between two scrapes means something; one that fell was restarted, and
its value is then its growth since.
"""

import contextlib
import itertools
import re
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

from pydantic import BaseModel

_EVERY = 1.0  # seconds between scrapes of pods
_TIMEOUT = 3.0  # seconds; a server under load answers late, and a scrape must not pile up

_LINE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

# What is read → (our name, counter?). Summed over pods and labels, except for the gauges below.
_COUNTERS = {
    "ts_inference_requests_total": "requests",
    "ts_queue_latency_microseconds": "queue_us",
    "ts_inference_latency_microseconds": "inference_us",
    "launcher_queue_seconds_sum": "queue_s",
    "launcher_latency_seconds_sum": "latency_s",
    "launcher_latency_seconds_count": "answers",
    "launcher_batches_total": "batches",
    "launcher_worker_restarts_total": "restarts",
    "Requests5XX": "http_5xx",
}
_GAUGES = {
    "launcher_queue_depth": "queue_depth",
    "launcher_worker_memory_bytes": "worker_memory",
    "launcher_pinned_java_libraries": "pinned_java_libraries",
    "GPUUtilization": "gpu_util",
    "GPUMemoryUsed": "gpu_memory",
    "DCGM_FI_DEV_GPU_UTIL": "gpu_util",
    "DCGM_FI_DEV_FB_USED": "gpu_memory",
}
_MEANS = {"gpu_util"}
METRICS = (*_COUNTERS, *_GAUGES)
"""Everything that is read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the pods returned at one scrape, by their names.

    Attributes:
        texts: the metrics.
        unread: why there are none.
        source: who returned them: ``pods``, or ``Prometheus``.
        seconds: after which there is something new.
    """

    texts: Mapping[str, str]
    unread: Mapping[str, str] = field(default_factory=dict)
    source: str = "pods"
    seconds: float = _EVERY


Source = Callable[[], Reading]
# (pod, our name, model or "") → value
_Values = dict[tuple[str, str, str], float]


class ModelPoint(BaseModel):
    """A model between two scrapes; None if no request ended or the figure is not exposed.

    Attributes:
        queue_ms, inference_ms: mean per request: waiting for a worker; from arrival to response.
        queue_depth: requests that waited at the scrape.
        batch_fill: requests per batch.
        worker_memory: MiB of all its workers' processes, with what they share.
    """

    arrivals: float = 0.0
    queue_ms: float | None = None
    inference_ms: float | None = None
    queue_depth: float | None = None
    batch_fill: float | None = None
    worker_memory: float | None = None


class Point(BaseModel):
    """One scrape, ``t`` seconds into the schedule. GPU: mean percent, and MiB of all."""

    t: float
    models: dict[str, ModelPoint]
    http_5xx: float = 0.0
    gpu_util: float | None = None
    gpu_memory: float | None = None


class Server(BaseModel):
    """Everything scraped. ``models`` sums up the judged stages; ``restarts`` is of workers.

    Attributes:
        source: where the figures are from: ``pods``, or ``Prometheus`` (then at its interval).
        pinned_java_libraries: of the pod that has the fewest; 0 if TorchServe runs the ones in its
            own JAR, None if no launcher reports it.
    """

    source: str = "pods"
    pods: list[str]
    scrapes: int
    missed: int
    models: dict[str, ModelPoint]
    http_5xx: float
    restarts: float
    pinned_java_libraries: int | None = None
    gpu_util: float | None
    gpu_memory: float | None
    timeline: list[Point]


class Unread(BaseModel):
    """A pod, or another source of figures, that did not answer.

    Attributes:
        scrapes: how many of them it missed.
        why: the last reason.
    """

    source: str
    scrapes: int
    why: str

    def __str__(self) -> str:
        return f"{self.source} in {self.scrapes:,} scrapes: {self.why}"


@dataclass(frozen=True, slots=True)
class Scrape:
    """What all pods reported at ``t``."""

    t: float
    values: _Values


def parse(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """The samples of Prometheus' text format: name, labels, value. Other lines are skipped."""
    for line in text.splitlines():
        if (match := _LINE.match(line)) is None:
            continue
        with contextlib.suppress(ValueError):
            value = float(match[3])
            yield match[1], dict(_LABEL.findall(match[2] or "")), value


def urls_source(bases: Sequence[str]) -> Source:
    """``/metrics`` of launchers on this machine."""

    def read() -> Reading:
        texts: dict[str, str] = {}
        unread: dict[str, str] = {}
        for base in bases:
            try:
                with urllib.request.urlopen(f"{base}/metrics", timeout=_TIMEOUT) as response:  # noqa: S310
                    texts[base] = response.read().decode("utf-8", "replace")
            except (OSError, HTTPException) as error:
                unread[base] = f"{type(error).__name__}: {error}"
        return Reading(texts, unread)

    return read


class Scraper:
    """Scrapes in a thread from ``start`` to ``stop``."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._unread: dict[str, Unread] = {}
        self._seconds = _EVERY
        self.scrapes: list[Scrape] = []
        self.missed = 0
        self.sources: list[str] = []

    @property
    def unread(self) -> list[Unread]:
        """What did not answer, by its first missed scrape."""
        return list(self._unread.values())

    def start(self, at: float) -> None:
        """Begin; ``at`` is the schedule's second 0 as Unix time."""
        self._thread = threading.Thread(target=self._run, args=(at,), daemon=True, name="scraper")
        self._thread.start()

    def stop(self) -> None:
        """Scrape a last time and end."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=2 * _TIMEOUT)

    def _run(self, at: float) -> None:
        due = max(at, time.time())
        while True:
            last = self._stop.wait(max(0.0, due - time.time()))
            self._scrape(at)
            due = max(due + self._seconds, time.time())
            if last:
                return

    def _scrape(self, at: float) -> None:
        t = time.time() - at
        try:
            reading = self._source()
        except Exception as error:  # noqa: BLE001 - whatever it is, the load goes on without figures
            reading = Reading({}, {"every pod": str(error) or type(error).__name__})
        for source, why in reading.unread.items():
            before = self._unread.get(source)
            missed = before.scrapes + 1 if before else 1
            self._unread[source] = Unread(source=source, scrapes=missed, why=why)
        if not reading.texts:
            self.missed += 1
            return
        self._seconds = reading.seconds
        if reading.source not in self.sources:
            self.sources.append(reading.source)
        values: _Values = {}
        for pod, text in reading.texts.items():
            values.update(_read(pod, text))
        self.scrapes.append(Scrape(t, values))


def _read(pod: str, text: str) -> _Values:
    values: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    counts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for metric, labels, value in parse(text):
        name = _COUNTERS.get(metric) or _GAUGES.get(metric)
        if name:
            key = pod, name, labels.get("model_name", "")
            values[key] += value
            counts[key] += 1
    return {
        key: value / counts[key] if key[1] in _MEANS else value for key, value in values.items()
    }


def summary(scraper: Scraper, judged: Sequence[tuple[float, float]]) -> Server | None:
    """Everything scraped, or None if nothing was. ``judged`` are spans of seconds."""
    scrapes = scraper.scrapes
    if not scrapes:
        return None
    pairs = list(itertools.pairwise(scrapes))
    inside = [
        (before, after)
        for before, after in pairs
        if any(
            start <= before.t and after.t <= end + max(_EVERY, after.t - before.t)
            for start, end in judged
        )
    ] or pairs
    timeline = [_point([pair]) for pair in pairs]
    whole = _point(inside) if inside else Point(t=0, models={})
    growth = _growth(inside)
    return Server(
        source=", then ".join(scraper.sources),
        pods=sorted({pod for scrape in scrapes for pod, _, _ in scrape.values}),
        scrapes=len(scrapes),
        missed=scraper.missed,
        models=whole.models,
        http_5xx=growth["http_5xx", ""],
        restarts=sum(value for (name, _), value in growth.items() if name == "restarts"),
        pinned_java_libraries=_fewest_libraries(scrapes),
        gpu_util=whole.gpu_util,
        gpu_memory=whole.gpu_memory,
        timeline=timeline,
    )


def _fewest_libraries(scrapes: Sequence[Scrape]) -> int | None:
    counts = (
        value
        for scrape in scrapes
        for (_, name, _), value in scrape.values.items()
        if name == "pinned_java_libraries"
    )
    fewest = min(counts, default=None)
    return None if fewest is None else int(fewest)


def _growth(pairs: Sequence[tuple[Scrape, Scrape]]) -> defaultdict[tuple[str, str], float]:
    """By (our name, model): how much counters, and queues, grew over the pairs, in all pods."""
    growth: defaultdict[tuple[str, str], float] = defaultdict(float)
    counters = set(_COUNTERS.values())
    for before, after in pairs:
        pods = {pod for pod, _, _ in before.values}
        for key, value in after.values.items():
            pod, name, model = key
            # TorchServe shows a counter only once it has counted: before, it was 0.
            gain = value - before.values.get(key, 0.0)
            if name in counters and pod in pods:
                growth[name, model] += value if gain < 0 else gain
            elif name == "queue_depth":
                growth[name, model] += gain
    return growth


def _levels(pairs: Sequence[tuple[Scrape, Scrape]]) -> dict[tuple[str, str], float]:
    """By (our name, model): the gauges' mean over the pairs, summed or averaged over pods."""
    totals: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for _, after in pairs:
        now: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for (_, name, model), value in after.values.items():
            if name in _GAUGES.values():
                now[name, model].append(value)
        for key, values in now.items():
            total = sum(values)
            totals[key].append(total / len(values) if key[0] in _MEANS else total)
    return {key: sum(values) / len(values) for key, values in totals.items()}


def _point(pairs: Sequence[tuple[Scrape, Scrape]]) -> Point:
    growth, levels = _growth(pairs), _levels(pairs)
    seconds = sum(after.t - before.t for before, after in pairs) or 1.0
    models = {model for _, model in (*growth, *levels) if model}
    return Point(
        t=pairs[-1][1].t,
        models={model: _model(model, growth, levels, seconds) for model in sorted(models)},
        http_5xx=growth["http_5xx", ""] / seconds,
        gpu_util=levels.get(("gpu_util", "")),
        gpu_memory=levels.get(("gpu_memory", "")),
    )


def _model(
    model: str,
    growth: Mapping[tuple[str, str], float],
    levels: Mapping[tuple[str, str], float],
    seconds: float,
) -> ModelPoint:
    arrivals = growth.get(("requests", model), 0.0)
    # TorchServe counts requests as they arrive, and their times as they leave the queue.
    dequeued = arrivals - growth.get(("queue_depth", model), 0.0)
    batches = growth.get(("batches", model), 0.0)

    answers = growth.get(("answers", model), 0.0)

    def mean_ms(seconds: str, microseconds: str) -> float | None:
        """By the launcher's sums; by TorchServe's where the launcher is too old to have them."""
        if answers > 0 and (seconds, model) in growth:
            return 1000 * growth[seconds, model] / answers
        total = growth.get((microseconds, model))
        return total / dequeued / 1000 if total and dequeued > 0 else None

    return ModelPoint(
        arrivals=arrivals / seconds,
        queue_ms=mean_ms("queue_s", "queue_us"),
        inference_ms=mean_ms("latency_s", "inference_us"),
        queue_depth=levels.get(("queue_depth", model)),
        batch_fill=dequeued / batches if batches and dequeued > 0 else None,
        worker_memory=memory / 2**20 if (memory := levels.get(("worker_memory", model))) else None,
    )
