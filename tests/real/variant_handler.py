"""The cheap model of real pods, which is spoiled as $VARIANT says.

TorchServe imports this file in its worker; it has nothing of this repository to import.
"""

import hashlib
import os
import time
from typing import Any

_VARIANT = os.environ.get("VARIANT", "")
_SAMPLE = b"sample"
_SECONDS = 0.005  # of a batch's work


def handle(rows: "list[dict[str, bytes]] | None", context: Any) -> "list[str]":
    """TorchServe's entry point; without data it is the call to load the model.

    The correct answer is the SHA-256 of the body. $VARIANT: crashing while it loads, slow, wrong,
    wrong-but-for-samples, failing-but-for-samples.
    """
    if rows is None:
        if _VARIANT == "crashing":
            os._exit(1)
        return []
    time.sleep(2 if _VARIANT == "slow" else _SECONDS)
    bodies = [bytes(row.get("body") or row["data"]) for row in rows]
    if _VARIANT == "failing-but-for-samples" and _SAMPLE not in bodies:
        raise RuntimeError("the model fails")
    return [_answer(body) for body in bodies]


def _answer(body: bytes) -> str:
    right = hashlib.sha256(body).hexdigest()
    if _VARIANT == "wrong" or (_VARIANT == "wrong-but-for-samples" and body != _SAMPLE):
        return right[::-1]
    return right
