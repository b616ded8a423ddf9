"""A simulated day of traffic under several ways to set the number of pods: violations, GPU hours.

Simulated, not measured: a group is a queue before the slots of its ready pods, second by second.
What starts take is measured (docs/benchmarks.md).

The HPA is modeled after https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
(it looks every 15 s, leaves alone what is within a tenth of the target, takes the largest answer of
its metrics, goes down to the highest answer in its stabilization window, and no faster than its
policies), Knative's after https://knative.dev/docs/serving/autoscaling/kpa-specific/ (a mean of
60 s, or of 6 s once that asks for twice the pods that there are).
"""

import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import Figure
from harness.core import files
from harness.core.page import page
from harness.loadtest.plot import Axis, Line, Plot, linear

DAY = 86_400  # seconds
LEAST, MOST = 2, 8  # pods, each with one GPU
SLOTS = 4  # of a pod: workers times batchSize
SERVICE = 0.1  # seconds that a request takes in its slot
SLO = 1.0  # seconds: a response later than that, or none, is a violation
QUEUE = 100  # requests that TorchServe lets wait in a pod; the next one is answered 503
STARTS = {"small models": 11, "15 GB of weights": 510}  # seconds until a pod is ready
SEED = 20261129
_SYNC = 15  # seconds between two looks of the HPA, of Prometheus and of KEDA
_TOLERANCE = 0.1
_RETRIES = 0.7  # share of the requests answered 503 that come again after _RETRY_AFTER seconds
_RETRY_AFTER = 5


def traffic(second: int) -> float:
    """Requests per second, without those that come again: 20 at night, 160 at two in the afternoon,
    bursts of five minutes at 9, 15 and 19 o'clock, and four times as many for three minutes at 21.
    """
    hour = second / 3600
    rate = 90 - 70 * math.cos((hour - 2) / 24 * 2 * math.pi)
    if any(0 <= hour - start < 1 / 12 for start in (9, 15, 19)):
        rate *= 1.8
    return rate * 4 if 0 <= hour - 21 < 1 / 20 else rate


@dataclass
class Group:
    """The pods of a group and the requests before them."""

    start: int  # seconds until a pod is ready
    pods: list[int] = field(default_factory=lambda: [0] * LEAST)  # when each is ready
    waiting: deque[tuple[int, int]] = field(default_factory=deque)  # (since, how many)
    again: deque[tuple[int, int]] = field(default_factory=deque)  # (when, how many)
    queued: int = 0
    requests: int = 0
    violations: int = 0
    pod_seconds: int = 0
    wait_seconds: float = 0.0  # of all that were answered: a counter
    in_flight: deque[float] = field(default_factory=lambda: deque(maxlen=60))  # by second
    waits: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=60))

    def ready(self, now: int) -> int:
        """How many pods serve."""
        return sum(each <= now for each in self.pods)

    def scale(self, now: int, count: int) -> None:
        """As a Deployment: new pods load, and those that are not ready go first."""
        while len(self.pods) < count:
            self.pods.append(now + self.start)
        self.pods.sort()
        del self.pods[count:]

    def serve(self, now: int, arrivals: int) -> None:
        """One second of traffic."""
        while self.again and self.again[0][0] <= now:
            arrivals += self.again.popleft()[1]
        self.requests += arrivals
        ready = self.ready(now)
        room = max(0, int(ready * (QUEUE + SLOTS / SERVICE)) - self.queued)
        if refused := max(0, arrivals - room):
            self.violations += refused
            self.again.append((now + _RETRY_AFTER, round(_RETRIES * refused)))
        self.waiting.append((now, arrivals - refused))
        self.queued += arrivals - refused
        capacity = int(ready * SLOTS / SERVICE)
        answered, waited = 0, 0.0
        while self.waiting and answered < capacity:
            since, count = self.waiting.popleft()
            taken = min(count, capacity - answered)
            if taken < count:
                self.waiting.appendleft((since, count - taken))
            answered += taken
            waited += taken * (now - since)
            if now - since + SERVICE > SLO:
                self.violations += taken
        self.queued -= answered
        self.wait_seconds += waited
        self.pod_seconds += len(self.pods)
        self.in_flight.append(self.queued + answered * SERVICE)
        self.waits.append((waited, answered))


Policy = Callable[[Group, int], int]
"""The pods that a group is to have, from what is known at a second."""


def _answer(group: Group, now: int, ratios: list[float]) -> int:
    """The HPA's answer to metrics of type Value: the largest."""
    return max(
        len(group.pods) if abs(each - 1) <= _TOLERANCE else math.ceil(each * group.ready(now))
        for each in ratios
    )


@dataclass
class Hpa:
    """A HorizontalPodAutoscaler.

    Attributes:
        ratios: each metric over its target.
        up: share of the pods that may be added in ``up_seconds``, or four of them.
        down: pods that may go in ``down_seconds``.
        window: seconds in which fewer pods would have done before one goes.
    """

    ratios: Callable[[Group, int], list[float]]
    up: float = 1.0
    up_pods: int = 4
    up_seconds: int = 15
    down: int = MOST
    down_seconds: int = 15
    window: int = 300
    answers: deque[tuple[int, int]] = field(default_factory=deque)
    counts: deque[tuple[int, int]] = field(default_factory=deque)

    def __call__(self, group: Group, now: int) -> int:
        if now % _SYNC or not group.in_flight:
            return len(group.pods)
        self.answers.append((now, _answer(group, now, self.ratios(group, now))))
        while self.answers[0][0] < now - self.window:
            self.answers.popleft()
        pods, latest = len(group.pods), self.answers[-1][1]
        self.counts.append((now, pods))
        while self.counts[0][0] < now - max(self.up_seconds, self.down_seconds):
            self.counts.popleft()
        if latest > pods:
            base = min(count for when, count in self.counts if when >= now - self.up_seconds)
            return min(latest, MOST, max(math.ceil(base * (1 + self.up)), base + self.up_pods))
        base = max(count for when, count in self.counts if when >= now - self.down_seconds)
        highest = max(answer for _, answer in self.answers)
        return max(min(pods, highest), base - self.down, LEAST)


def by_load(in_flight: float = 0.6, queue: float = 0.5, window: int = 300) -> Policy:
    """This repository's: apps/torchserve/chart/templates/scaledobject.yaml."""

    def ratios(group: Group, now: int) -> list[float]:
        answered = sum(count for _, count in group.waits)
        mean = sum(waited for waited, _ in group.waits) / max(answered, 1)
        load = sum(group.in_flight) / len(group.in_flight)
        return [load / (SLOTS * group.ready(now)) / in_flight, min(mean / queue, 2)]

    return Hpa(ratios, up_pods=0, up_seconds=60, down=1, down_seconds=120, window=window)


def by_counter() -> Policy:
    """TorchServe's kubernetes/hpa.yaml: all microseconds that requests ever waited, over 7,000."""
    return Hpa(lambda group, _: [group.wait_seconds * 1e6 / 7_000])


def by_cpu(busy: float) -> Policy:
    """70 percent of the requested CPU, of which ``busy`` is used when all slots are."""

    def ratios(group: Group, now: int) -> list[float]:
        answered = sum(count for _, count in group.waits) / len(group.waits)
        return [busy * answered * SERVICE / (SLOTS * group.ready(now)) / 0.7]

    return Hpa(ratios)


def by_concurrency() -> Policy:
    """Knative's: requests in flight over 70 percent of the slots, with its panic mode."""
    panic_until = -1

    def policy(group: Group, now: int) -> int:
        nonlocal panic_until
        pods = len(group.pods)
        if now % 2 or not group.in_flight:
            return pods
        stable, panic = (
            math.ceil(sum(recent) / len(recent) / (0.7 * SLOTS))
            for recent in (group.in_flight, list(group.in_flight)[-6:])
        )
        if panic >= 2 * group.ready(now):
            panic_until = now + 60
        count = max(panic, pods) if now < panic_until else max(stable, math.ceil(pods / 2))
        return min(max(count, LEAST), MOST)

    return policy


def always(count: int) -> Policy:
    """A number in Git."""
    return lambda *_: count


POLICIES: dict[str, Callable[[], Policy]] = {
    "this repository's": by_load,
    "TorchServe's counter": by_counter,
    "CPU, models on CPUs": lambda: by_cpu(1.0),
    "CPU, models on GPUs (30 % of it busy)": lambda: by_cpu(0.3),
    "Knative's": by_concurrency,
    f"{LEAST} pods": lambda: always(LEAST),
    f"{MOST} pods": lambda: always(MOST),
}


def simulate(policy: Policy, start: int) -> tuple[Group, list[int]]:
    """A day, and the pods at each minute."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    group, by_minute = Group(start), []
    for now in range(DAY):
        rate = traffic(now)
        group.serve(now, max(0, round(chance.gauss(rate, math.sqrt(rate)))))
        if (count := policy(group, now)) != len(group.pods):
            group.scale(now, count)
        if now % 60 == 0:
            by_minute.append(len(group.pods))
    return group, by_minute


def run() -> list[Figure]:
    """Every policy with every start, and ours with other settings; build/bench/autoscaling.html
    shows the day.
    """
    files.write(Path("build/bench/autoscaling.html"), page("Autoscaling, simulated", _page()))
    figures = []
    for start, seconds in STARTS.items():
        for name, policy in POLICIES.items():
            figures += _figures(f"{name}, {start}", policy(), seconds)
        for settings in _SETTINGS:
            name = "in-flight {:g}, queue {:g} s, window {:g} s".format(*settings)
            figures += _figures(f"{name}, {start}", by_load(*settings), seconds)
    return figures


def _page() -> Iterator[str]:
    yield (
        "<header><h1>A simulated day of autoscaling</h1>"
        '<p class="about">Only the time that a pod takes to start was measured.</p></header>'
    )
    yield f'<div class="plots">{"".join(_plots())}</div>'


def _plots() -> Iterator[str]:
    """The day's traffic, and the pods of each policy that moves."""
    hours = Axis(0, 24, [(each, f"{each}:00") for each in range(0, 25, 4)])
    rates = [(now / 3600, traffic(now)) for now in range(0, DAY, 60)]
    rate = linear(max(rate for _, rate in rates), "{:g}".format)
    yield Plot(
        "Traffic", "requests per second", [Line("offered", rates, "s0")], hours, rate
    ).figure()
    for start, seconds in STARTS.items():
        lines = []
        for tone, name in enumerate(["this repository's", "TorchServe's counter", "Knative's"]):
            _, by_minute = simulate(POLICIES[name](), seconds)
            points = [(minute / 60, float(count)) for minute, count in enumerate(by_minute)]
            lines.append(Line(name, points, f"s{tone}"))
        pods = linear(MOST, "{:g}".format)
        yield Plot(f"Pods, {start}", f"start {seconds} s", lines, hours, pods).figure()


_SETTINGS = [
    (load, queue, window)
    for load in (0.5, 0.6, 0.7, 0.8)
    for queue in (0.25, 0.5)
    for window in (300, 600)
]


def _figures(name: str, policy: Policy, start: int) -> Iterator[Figure]:
    group, by_minute = simulate(policy, start)
    changes = sum(one != other for one, other in itertools.pairwise(by_minute))
    yield Figure(f"{name}: SLO violations", 100 * group.violations / group.requests, "%")
    yield Figure(f"{name}: GPU hours", group.pod_seconds / 3600, "h")
    yield Figure(f"{name}: changes of the number of pods", changes, "per day")
