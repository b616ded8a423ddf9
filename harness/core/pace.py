"""How long to wait for something slow outside, and by which clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait for AWS, in seconds: between two looks, and in all while nothing moves.

    A mount target takes one to two minutes to come, and as long to go.
    """

    look: float = 3.0
    patience: float = 600.0
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
