"""What KEDA asks, evaluated by Prometheus' own engine over samples of servers (simulated).

KEDA takes one element for the answer, and none, or several, for a failure.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from tests.support import scaling

AT = "5m"
QUIET = {"queue": "0x20", "latency": "0x20", "wait": "0x20", "answers": "0x20", "ready": "4x20"}
# In 15 s 100 answers of 0.3 s, 0.1 s of it in the queue, while 2 wait: 2 + 20 / 15 for 8 slots.
BUSY = QUIET | {"queue": "2x20", "latency": "0+30x20", "wait": "0+10x20", "answers": "0+100x20"}
SLOW = BUSY | {"queue": "90x20", "latency": "0+900x20", "wait": "0+880x20"}
LOADING = QUIET | {"ready": "0x20"}
LOST = {name: values.replace("x20", "x8") for name, values in BUSY.items()}  # since 2 minutes
METRICS = {
    "queue": "launcher_queue_depth",
    "latency": "launcher_latency_seconds_sum",
    "wait": "launcher_queue_seconds_sum",
    "answers": "launcher_queue_seconds_count",
    "ready": "launcher_workers_ready",
}
Pod = Mapping[str, str]


@pytest.fixture(scope="module")
def triggers(checkout: Repository) -> dict[str, str]:
    return scaling.queries(checkout, "vision")


def samples(pods: list[Pod], group: str = "vision", model: str = "a") -> list[dict[str, str]]:
    """The series of servers with two requests in a batch, as the PodMonitor labels them."""
    rows = []
    for number, pod in enumerate(pods):
        labels = f'group="{group}",pod="{number}",model_name="{model}",model_version="1.0"'
        length = pod["ready"].partition("x")[2].partition(" ")[0]
        for name, values in {**pod, "batch": f"2x{length}"}.items():
            metric = METRICS.get(name, "launcher_batch_size")
            rows.append({"series": f"{metric}{{{labels}}}", "values": values})
    return rows


@pytest.mark.parametrize(
    ("name", "series", "answer"),
    [
        ("in-flight", samples([QUIET]), 0),
        ("in-flight", samples([BUSY]), (2 + 20 / 15) / 8),
        # What the mean is of: another pod as busy, a pod that loads, one that was lost.
        ("in-flight", samples([BUSY, BUSY]), (2 + 20 / 15) / 8),
        ("in-flight", samples([BUSY, LOADING]), (2 + 20 / 15) / 8),
        ("in-flight", samples([BUSY, LOST]), (2 + 20 / 15) / 8),
        # A pod that has just got ready has its slots at once: the same load on two pods.
        ("in-flight", samples([BUSY, QUIET | {"ready": "0x19 4"}]), (2 + 20 / 15) / 16),
        # A worker that is started again is missing for a moment.
        ("in-flight", samples([BUSY | {"ready": "4x18 2 2"}]), (2 + 20 / 15) / 8),
        # The busiest model of the group, and nothing of another group.
        ("in-flight", samples([QUIET], model="b") + samples([BUSY]), (2 + 20 / 15) / 8),
        ("in-flight", samples([BUSY]) + samples([SLOW], group="speech"), (2 + 20 / 15) / 8),
        ("in-flight", samples([LOST]), None),
        ("queue-time", samples([QUIET]), 0),
        ("queue-time", samples([BUSY]), 0.1),
        ("queue-time", samples([SLOW]), 1),  # of 8.8 s: twice the limit, and no more
        ("queue-time", samples([BUSY], model="b") + samples([SLOW]), 1),
        ("queue-time", samples([LOST]), None),
        ("requests", samples([BUSY, BUSY]), 2 * 100 / 15),
        ("requests", samples([QUIET]), 0),
        ("requests", samples([LOST]), None),
    ],
)
def test_the_answer_is_one_number_or_none(
    checkout: Repository,
    tmp_path: Path,
    triggers: dict[str, str],
    name: str,
    series: list[dict[str, str]],
    answer: float | None,
) -> None:
    expected = [] if answer is None else [{"labels": "{}", "value": answer}]
    query = {"expr": triggers[name], "eval_time": AT, "exp_samples": expected}
    test = {"interval": "15s", "input_series": series, "promql_expr_test": [query]}
    content = json.dumps({"rule_files": [], "fuzzy_compare": True, "tests": [test]})
    (tmp_path / "tests.yaml").write_text(content)
    argv = [tools.find(checkout, "promtool"), "test", "rules", "tests.yaml"]
    completed = command.run(argv, cwd=tmp_path, timeout=60, accept=(0, 1))
    assert completed.returncode == 0, completed.stdout
