"""``python -m trace_export URL``: TorchServe's log in, spans to the collector at URL out.

It ends with its input. ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` mean what
OpenTelemetry says: who the spans are from.
"""

import os
import socket
import sys
from collections.abc import Mapping
from urllib.parse import unquote

from .exporter import Exporter
from .log_lines import LogLines
from .spans import spans

_LAST_SPANS = 2.0  # seconds for them to be sent


def main() -> int:
    """Read until the end of the log."""
    exporter = Exporter(sys.argv[1], resource(os.environ), _log)
    lines = LogLines()
    for line in sys.stdin:
        try:
            for batch in lines.read(line.rstrip("\n")):
                exporter.put(spans(batch))
        except (KeyError, TypeError, ValueError) as error:
            # A handler may print what looks like a record: its line is not worth the others.
            _log(f"{type(error).__name__} in a line of the log: {error}")
    exporter.close(_LAST_SPANS)
    return 0


def resource(env: Mapping[str, str]) -> dict[str, object]:
    """Attributes of the pod, by OpenTelemetry's semantic conventions."""
    pairs = [pair.partition("=") for pair in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")]
    variables = {key.strip(): unquote(text.strip()) for key, sep, text in pairs if sep}
    name = env.get("OTEL_SERVICE_NAME") or variables.get("service.name") or "torchserve"
    return {"host.name": socket.gethostname(), **variables, "service.name": name}


def _log(text: str) -> None:
    sys.stderr.write(f"trace_export: {text}\n")


if __name__ == "__main__":
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    raise SystemExit(main())
