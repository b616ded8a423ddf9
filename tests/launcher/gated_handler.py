"""A model whose every move a test decides, by files in $GATE and by what it is asked.

TorchServe imports this file in its worker; it has nothing of this repository to import.
"""

import os
import time
from pathlib import Path

_GATE = Path(os.environ["GATE"])
_ERRORS = {
    b"bad": ValueError("bad input: CUDA error: device-side assert triggered"),
    b"assert": RuntimeError("CUDA error: device-side assert triggered"),
    b"lose": RuntimeError("lost what it needs"),
}
_broken: "list[Exception]" = []  # this process is, for good


def handle(data: "list[dict[str, object]] | None", _: object) -> "list[dict[str, object]]":
    """TorchServe's entry point; without data it is the call to load the model."""
    if data is None:
        if (_GATE / "break-load").exists():
            raise ValueError("the weights have the wrong shape")
        _wait_for("hold-load")
        return []
    bodies = [bytes(row.get("body") or b"") for row in data]
    if b"crash" in bodies:
        os._exit(1)
    _broken.extend(_ERRORS[body] for body in bodies if body in (b"assert", b"lose"))
    if _broken or (_GATE / "fail").exists():
        raise (_broken or [_ERRORS[b"assert"]])[0]
    if b"bad" in bodies:
        raise _ERRORS[b"bad"]
    _wait_for("hold-answers")
    return [{"ok": True, "padding": "x" * (6_000_000 * (b"large" in body))} for body in bodies]


def _wait_for(name: str) -> None:
    while (_GATE / name).exists():
        time.sleep(0.02)
