"""Calls back while the program works or waits, by SIGALRM: it has no thread."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` every so many seconds while the block runs; the block raises what it raises."""

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        call()

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
