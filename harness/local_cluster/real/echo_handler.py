"""A cheap model whose answer depends on the request: the SHA-256 of the body.

TorchServe imports this file in its worker; it has nothing of this repository to import.
"""

import hashlib
import time
from typing import Any

_LOAD_SECONDS = 10.0  # long enough to see a pod that gets requests before its model is there
_SECONDS = 0.005  # of a batch's work


def handle(rows: "list[dict[str, bytes]] | None", context: Any) -> "list[str]":  # noqa: ARG001
    """TorchServe's entry point; without data it is the call to load the model."""
    if rows is None:
        time.sleep(_LOAD_SECONDS)
        return []
    time.sleep(_SECONDS)
    return [hashlib.sha256(row.get("body") or row["data"]).hexdigest() for row in rows]
