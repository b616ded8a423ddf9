"""What is seen of real pods while they are under load: answers, what was done, the pods' lives."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from harness.core.errors import HarnessError
from harness.core.values import Value, items, text
from tests.e2e.timeline import LOAD
from tests.real.load import Answer

_LOOK = 0.5  # seconds between two looks at the pods


def is_ready(pod: Value) -> bool:
    """Whether a pod takes requests, and is not on its way out."""
    if text(pod, "metadata", "deletionTimestamp"):
        return False
    return any(
        text(each, "type") == "Ready" and text(each, "status") == "True"
        for each in items(pod, "status", "conditions")
    )


@dataclass
class Life:
    """A pod from when it was first seen until it was last seen.

    Attributes:
        name: of the pod.
        node: where it runs, once it does.
        phases: what it was from which moment on, in Unix time: waiting, ready or leaving.
        last: when it was last seen.
    """

    name: str
    node: str = ""
    phases: list[tuple[float, str]] = field(default_factory=list)
    last: float = 0.0

    def see(self, pod: Value, now: float) -> None:
        """Note what it is now."""
        self.node, self.last = text(pod, "spec", "nodeName"), now
        leaving = bool(text(pod, "metadata", "deletionTimestamp"))
        phase = "ready" if is_ready(pod) else "leaving" if leaving else "waiting"
        if not self.phases or self.phases[-1][1] != phase:
            self.phases.append((now, phase))


class Lives(threading.Thread):
    """Looks at pods, twice a second, until it is stopped."""

    def __init__(self, look: Callable[[], list[Value]]) -> None:
        super().__init__(daemon=True)
        self.by_uid: dict[str, Life] = {}
        self._look = look
        self._stop_event = threading.Event()

    def run(self) -> None:
        """Look; an API server that is away is asked again."""
        while not self._stop_event.wait(_LOOK):
            with contextlib.suppress(HarnessError, OSError):
                for pod in self._look():
                    name = text(pod, "metadata", "name")
                    life = self.by_uid.setdefault(text(pod, "metadata", "uid"), Life(name))
                    life.see(pod, time.time())

    def stop(self) -> list[Life]:
        """All lives, by when they were first seen."""
        self._stop_event.set()
        self.join(10)
        return sorted(self.by_uid.values(), key=lambda each: each.phases[0][0])


@dataclass
class Watch:
    """What was seen of a load.

    Attributes:
        began: when, in Unix time.
        client: what sent it.
        marks: what was done, and from when to when.
        answers: every request's end, once the load has ended.
        lives: the pods', likewise.
    """

    began: float
    client: str = "http1"
    marks: dict[str, tuple[float, float]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Mark the time in which something is done."""
        began = time.time()
        try:
            yield
        finally:
            self.marks[what] = (began, time.time())

    def quiet(self, seconds: float) -> None:
        """Let the load run undisturbed: what the disturbed answers are compared with."""
        wait_until(time.time() + seconds)

    def of(self, model: str) -> "Watch":
        """The same of one model's answers."""
        return replace(self, answers=[each for each in self.answers if each.model == model])

    def counts(self) -> dict[str, int]:
        """Requests, failed, wrong, dropped."""
        outcomes = Counter(each.outcome for each in self.answers)
        return dict(
            zip(LOAD, (len(self.answers), *(outcomes[key] for key in LOAD[1:])), strict=True)
        )

    def losses(self) -> dict[str, int]:
        """What failed, was wrong or was never sent, if any."""
        return {key: count for key, count in self.counts().items() if key != LOAD[0] and count}

    def why(self) -> dict[str, int]:
        """How often which failure."""
        lost = (each for each in self.answers if each.outcome != "ok")
        return dict(Counter(each.detail or each.outcome for each in lost))

    def p99(self, *, disturbed: bool) -> float:
        """Milliseconds since requests were due, of those due while something was done or not."""
        return p99(
            [
                each
                for each in self.answers
                if any(a <= each.due < b for a, b in self.marks.values()) == disturbed
            ]
        )


def join(watches: Sequence[Watch]) -> Watch:
    """Runs of the same, one after the other, as one: what was done is named by the run's number."""
    first = watches[0]
    marks = {
        f"run {number}": mark
        for number, each in enumerate(watches, 1)
        for mark in each.marks.values()
    }
    answers = [answer for each in watches for answer in each.answers]
    return Watch(first.began, first.client, marks, answers, [y for x in watches for y in x.lives])


def p99(answers: Sequence[Answer]) -> float:
    """Milliseconds since requests were due, of those that were answered; 0 without any."""
    seconds = sorted(each.seconds for each in answers if each.outcome == "ok")
    return round(1000 * seconds[int(0.99 * len(seconds))], 1) if seconds else 0.0


def wait_until(moment: float) -> None:
    """Sleep until a moment of Unix time."""
    if (wait := moment - time.time()) > 0:
        time.sleep(wait)
