"""A model that waits instead of computing: an answer takes it as long on any machine.

TorchServe imports this file in its worker; it has nothing of this repository to import.
"""

import os
import time
from pathlib import Path
from typing import Any

_SECONDS = float(os.environ.get("SECONDS", "0.2"))  # for a batch, however many are in it
_GATE = Path(os.environ["GATE"])
_VARIANT = os.environ.get("VARIANT", "")


def handle(data: "list[dict[str, bytes]] | None", context: Any) -> "list[str]":
    """TorchServe's entry point; without data it is the call to load the model.

    The correct answer is the request backwards. $VARIANT: slow, wrong, failing but for samples.
    """
    if data is None:
        while (_GATE / "hold-load").exists():
            time.sleep(0.02)
        return []
    time.sleep(_SECONDS * (10 if _VARIANT == "slow" else 1))
    bodies = [bytes(row.get("body") or row["data"]).decode() for row in data]
    if _VARIANT == "failing" and "sample" not in bodies:
        raise RuntimeError("the model fails")
    return [body if _VARIANT == "wrong" else body[::-1] for body in bodies]
