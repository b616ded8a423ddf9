"""A model that takes its time: twenty seconds for a batch; it answers with the SHA-256 of the body.

TorchServe imports this file in its worker; it has nothing of this repository to import.
"""

import hashlib
import time
from typing import Any

_SECONDS = 20.0


def handle(rows: "list[dict[str, bytes]] | None", context: Any) -> "list[str]":
    """TorchServe's entry point; without data it is the call to load the model."""
    if rows is None:
        return []
    time.sleep(_SECONDS)
    return [hashlib.sha256(row.get("body") or row["data"]).hexdigest() for row in rows]
