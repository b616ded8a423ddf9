"""Runs in each worker before TorchServe's own code: this folder is first on its PYTHONPATH.

For each batch a line is printed before its handler runs, and another one after it if a request of
the batch is sampled. The launcher's log brings both to ``log_lines``, and the first to
``trace_ids``, which waits for it. A request is sampled by its header ``traceparent``
(https://www.w3.org/TR/trace-context/), over gRPC by an input of that name, since TorchServe gives a
handler no metadata. The handler and its code are the user's: its steps are timed by attributes of
the handler object, and nothing that it gets or returns is changed.
"""

import contextlib
import functools
import json
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

MARK = "[SPANS]"
STEPS = ("decode", "preprocess", "predict", "inference", "postprocess", "explain_handle")
_MOST = 64  # steps of a batch
_SAMPLED = 1  # the bit of a traceparent's flags
_HEX = frozenset("0123456789abcdef")


class Recorder:
    """Times one worker's batches; ``steps`` is None while no batch with a sampled request runs."""

    def __init__(self) -> None:
        self.number = 0  # of the batch, since the worker started
        self.steps: list[tuple[str, int, int, str]] | None = None
        self._watched: object = None

    def predict(self, original: Callable[..., Any], service: Any, batch: Sequence[Any]) -> Any:
        """``ts.service.Service.predict``, with the records around it."""
        self.number += 1
        parents = sampled_parents(batch)
        _print(batch=self.number, size=len(batch), parents=parents)
        if not parents:
            return original(service, batch)
        self._watch(service)
        self.steps, start = [], time.time_ns()
        try:
            response = original(service, batch)
        finally:
            steps, self.steps = self.steps, None
        end, code = time.time_ns(), struct.unpack_from("!i", response)[0] if response else 0
        handled = next((step for step in steps if step[0] == "handle"), None)
        error = handled[3] if handled else ""
        if handled and len(steps) > 1:
            steps.remove(handled)  # it is all of them
        if handled and not error:
            # TorchServe encodes the answers, and has no name for it.
            steps.append(("encode", handled[2], end, ""))
        _print(batch=self.number, start=start, end=end, code=code, error=error, steps=steps)
        return response

    def with_time(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function; each call is a step while a batch is recorded."""

        @functools.wraps(function)
        def call(*args: Any, **more: Any) -> Any:
            steps = self.steps
            if steps is None or (len(steps) >= _MOST and name != "handle"):
                return function(*args, **more)
            start, error = time.time_ns(), ""
            try:
                return function(*args, **more)
            except BaseException as raised:
                error = type(raised).__name__  # not its text, which may hold what was sent
                raise
            finally:
                steps.append((name, start, time.time_ns(), error))

        return call

    def _watch(self, service: Any) -> None:
        """Time the handler's steps from now on; the first sampled batch pays for it."""
        if service is self._watched:
            return
        self._watched, entry = service, service._entry_point  # noqa: SLF001
        service._entry_point = self.with_time("handle", entry)  # noqa: SLF001
        handler = getattr(entry, "__self__", None)
        # A service envelope has the handler's own entry point.
        handler = getattr(getattr(handler, "_handle_fn", None), "__self__", handler)
        for name in STEPS:
            function = getattr(handler, name, None)
            if callable(function):
                with contextlib.suppress(AttributeError):  # a class with slots
                    setattr(handler, name, self.with_time(name, function))


def sampled_parents(batch: Sequence[Any]) -> dict[str, str]:
    """The traceparent of each sampled request, by its place in the batch."""
    parents = {}
    for place, request in enumerate(batch):
        header = next(
            (h["value"] for h in request.get("headers") or () if _is_traceparent(h["name"])), None
        ) or next((p["value"] for p in request["parameters"] if p["name"] == "traceparent"), None)
        if header and (text := _valid(header)):
            parents[str(place)] = text
    return parents


def _is_traceparent(name: bytearray) -> bool:
    return len(name) == 11 and name.lower() == b"traceparent"


def _valid(header: object) -> str:
    """A traceparent of a sampled request, or nothing: the rest of a header is of no interest."""
    text = header.decode("latin-1") if isinstance(header, bytes | bytearray) else str(header)
    version, trace, span, flags, *_ = [*text.strip().split("-"), "", "", "", ""]
    lengths = (len(version), len(trace), len(span), len(flags[:2])) == (2, 32, 16, 2)
    if not lengths or not _HEX.issuperset(version + trace + span + flags[:2]) or version == "ff":
        return ""
    if not int(trace, 16) or not int(span, 16) or not int(flags[:2], 16) & _SAMPLED:
        return ""
    return f"{trace}-{span}"


def _print(**record: object) -> None:
    """One write: what the handler's own threads print stays on lines of its own."""
    sys.stdout.write(f"{MARK}{json.dumps(record, separators=(',', ':'))}\n")
    sys.stdout.flush()


def _install() -> None:
    from ts.service import Service

    recorder, original = Recorder(), Service.predict
    Service.predict = lambda self, batch: recorder.predict(original, self, batch)


def _run_next() -> None:
    """A ``sitecustomize`` of the user's, which this one hides."""
    import importlib
    from pathlib import Path

    folder = str(Path(__file__).parent)
    sys.path[:] = [each for each in sys.path if each != folder]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError:
        if mine is not None:
            sys.modules["sitecustomize"] = mine


if __name__ == "sitecustomize":
    if any(argument.endswith("model_service_worker.py") for argument in sys.orig_argv):
        _install()
    _run_next()
