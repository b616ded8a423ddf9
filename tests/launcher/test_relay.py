"""A pipe that nobody reads blocks no one, and what is lost is counted."""

import os
import re
from collections.abc import Iterator

import pytest

from harness.launcher.relay import Relay
from tests.support.processes import eventually

LINE = "x" * 99 + "\n"


def gap(count: int) -> str:
    return f"{count} lines dropped\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)  # a writer that is stuck gets EPIPE, and ends its wait
    os.close(write)


def test_all_is_written_in_order(pipe: tuple[int, int]) -> None:
    relay = Relay(pipe[1], gap)
    for number in range(100):
        relay.put(f"{number}\n")
    relay.flush(10)
    assert os.read(pipe[0], 4096).decode().split() == [str(number) for number in range(100)]
    assert relay.dropped == 0


def test_a_full_pipe_drops_lines_and_says_how_many(pipe: tuple[int, int]) -> None:
    relay, count = Relay(pipe[1], gap, capacity=100_000), 5000
    for _ in range(count):  # five times as much as pipe and relay hold
        relay.put(LINE)
    assert 0 < relay.dropped < count
    lost = relay.dropped

    os.set_blocking(pipe[0], False)
    text = ""

    def is_written() -> bool:
        nonlocal text
        relay.put("again\n")
        try:
            text += os.read(pipe[0], 1 << 20).decode()
        except BlockingIOError:
            return False
        return "again" in text

    eventually(is_written, patience=10)
    # The pipe fills while lines are put, so that a gap may be reported before the last one opens.
    reported = [int(each) for each in re.findall(r"(\d+) lines dropped", text)]
    assert sum(reported) == relay.dropped
    assert text.count(LINE) == count - lost


def test_a_flush_is_bounded(pipe: tuple[int, int]) -> None:
    relay = Relay(pipe[1], gap, capacity=1_000_000)
    for _ in range(5000):
        relay.put(LINE)
    relay.flush(0.05)  # returns, though most is not written
    assert relay.dropped == 0


def test_a_reader_that_is_gone_is_no_reason_to_stop() -> None:
    read, write = os.pipe()
    os.close(read)
    relay = Relay(write, gap)
    relay.put(LINE)
    relay.flush(10)
    relay.put(LINE)
    relay.flush(10)
    assert relay.dropped == 0, "the writer goes on, and has room again"
    os.close(write)
