"""A model with figures of its own: a counter, a gauge and a histogram, by TorchServe's API.

TorchServe imports this file in its worker; it has nothing of this repository to import.
"""

import time
from typing import Any

from ts.metrics.metric_type_enum import MetricTypes

_SECONDS = 0.02  # of a batch's work


def handle(data: "list[dict[str, bytes]] | None", context: Any) -> "list[str]":
    """TorchServe's entry point; without data it is the call to load the model."""
    if data is None:
        return []
    bodies = [bytes(row.get("body") or row["data"]) for row in data]
    if b"bad" in bodies:
        raise ValueError("bad input")
    started = time.monotonic()
    time.sleep(_SECONDS * (4 if b"slow" in bodies else 1))
    for name, amount, kind in (
        ("HandlerBytes", sum(map(len, bodies)), MetricTypes.COUNTER),
        ("HandlerBatch", len(bodies), MetricTypes.GAUGE),
        ("HandlerSeconds", time.monotonic() - started, MetricTypes.HISTOGRAM),
    ):
        # Its own default for `dimensions` is one list that all calls share, and grows.
        context.metrics.add_metric(name, amount, "count", dimensions=[], metric_type=kind)
    return ["ok"] * len(bodies)
