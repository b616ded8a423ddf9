"""Names of metrics: what this repository's programs export, and what is recorded of others.

exported_metrics.json has, for a program that is installed here, the names that its own
documentation lists. A name that begins as theirs do, and is not among them, may be newer.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

TABLE = Path(__file__).with_name("exported_metrics.json")
LAUNCHER = (
    *("torchserve_up", "ready", "draining", "pinned_java_libraries", "log_lines_dropped_total"),
    *("requests_in_flight", "queue_depth", "workers", "workers_ready", "batch_size"),
    *("batches_in_flight", "batches_total", "worker_restarts_total", "worker_timeouts_total"),
    *("worker_memory_bytes", "worker_ends_total", "latency_seconds", "queue_seconds"),
    *("responses_total", "load_seconds", "answers_total", "failures_total", "failures_in_a_row"),
    "useless",
)
"""What harness/launcher/metrics.py exports, without the prefix `launcher_` (docs/launcher.md)."""

OURS = "launcher_"
SERVERS = [f"{OURS}{name}" for name in LAUNCHER]
_SUFFIX = re.compile(r"_(bucket|sum|count)$")
# A name, and not the beginning of several in a regular expression.
_NAME = re.compile(r"(?<![\w$:.])[a-zA-Z_]\w*(?::\w+)*(?![\w.(*+\[:]|\s*[=!(])")
_DURATION = re.compile(r"\[[^\]]*\]")
_TEXT = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")


@lru_cache(maxsize=4096)  # environments have the same alerts and dashboards
def names(query: str) -> tuple[str, ...]:
    """What may be names of metrics in PromQL: every word that is not text, label or function."""
    return tuple(dict.fromkeys(_NAME.findall(_DURATION.sub(" ", _TEXT.sub(" ", query)))))


def unknown_to_us(query: str) -> Iterator[str]:
    """The metrics of a query that look like the launcher's, and are none of them."""
    for name in names(query):
        if name.startswith(OURS):
            whole = name.removeprefix(OURS)
            if not {whole, _SUFFIX.sub("", whole)} & {*LAUNCHER}:
                yield name


def without_record(query: str) -> Iterator[tuple[str, list[str]]]:
    """The metrics of a query that no program is recorded to export, and those that one is."""
    for name in names(query):
        known = _recorded().get(name.partition("_")[0], [])
        if known and not {name, _SUFFIX.sub("", name)} & {*known}:
            yield name, known


def rules_without_record(query: str, recorded: Iterable[str]) -> Iterator[str]:
    """The names of recording rules in a query that are like those of these, and are none."""
    ours = {*recorded}
    families = {each.partition(":")[0] for each in ours if ":" in each}
    for name in names(query):
        if ":" in name and name.partition(":")[0] in families and name not in ours:
            yield name


@cache
def _recorded() -> dict[str, list[str]]:
    """The recorded names, by what they begin with."""
    by_beginning: dict[str, list[str]] = {}
    for listed in json.loads(TABLE.read_bytes()).values():
        for name in listed:
            by_beginning.setdefault(name.partition("_")[0], []).append(name)
    return by_beginning
