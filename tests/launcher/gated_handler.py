"""A model whose every move a test decides, by files in $GATE and by what it is asked.

TorchServe imports this file in its worker; it has nothing of this repository to import.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_GATE = Path(os.environ["GATE"])
_ASSERT = "CUDA error: device-side assert triggered"
_BREAKS = {b"assert": _ASSERT, b"lose": "lost what it needs"}
_LARGE = 6_000_000  # bytes
_broken: "list[str]" = []  # this process is, for good


def handle(data: "list[dict[str, bytes]] | None", context: Any) -> "list[dict[str, object]]":
    """TorchServe's entry point; without data it is the call to load the model."""
    if data is None:
        if (_GATE / "break-load").exists():
            raise ValueError("the weights have the wrong shape")
        _wait_for("hold-load")
        return []
    bodies = [bytes(row.get("body") or row["data"]) for row in data]  # REST, or gRPC
    if bodies[0].startswith(b"print "):
        sys.stdout.buffer.write(bodies[0][6:] + b"\n")
        sys.stdout.flush()
        return [context.get_request_id(number) for number in range(len(bodies))]
    if b"metric" in bodies:
        context.metrics.add_counter("AsksOfTheHandler", 1)
    if b"crash" in bodies:
        os._exit(1)
    _broken.extend(_BREAKS[body] for body in bodies if body in _BREAKS)
    if _broken:
        raise RuntimeError(_broken[0])
    if b"chain" in bodies:
        _fail_twice()
    if b"bad" in bodies:
        raise ValueError(f"bad input: {_ASSERT}")
    if b"nvidia-smi" in bodies:
        query = ["nvidia-smi", "-i", "0", "--query-gpu=memory.used", "--format=csv"]
        subprocess.run(query, check=True)
    _wait_for("hold-answers")
    return [{"ok": True, **_padding(body)} for body in bodies]


def _fail_twice() -> None:
    try:
        {}["first"]
    except KeyError as error:
        raise ValueError("then") from error


def _padding(body: bytes) -> dict[str, str]:
    return {"padding": "x" * _LARGE} if body.startswith(b"large") else {}


def _wait_for(name: str) -> None:
    while (_GATE / name).exists():
        time.sleep(0.02)
