"""One event of TorchServe's log: texts by key. log4j2.xml has it written as a line of JSON, so that
a message of several lines, such as a stack trace, is one; what does not apply is empty. What the
JVM itself says is plain text.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

Event = defaultdict[str, str]
"""A key that it lacks is empty."""

_NUMBERS = {"batch", "status", "duration_ms"}


def read(line: str) -> Event:
    """The event of a line."""
    try:
        values = json.loads(line)
        if isinstance(values, dict) and set(map(type, values.values())) == {str}:
            return Event(str, values)
    except (ValueError, RecursionError):
        pass
    return own("jvm", line)


def own(logger: str, message: str, level: str = "INFO") -> Event:
    """One of now."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Event(str, time=time, level=level, logger=logger, message=message)


def as_json(event: Mapping[str, str]) -> str:
    """A line with all that is known."""
    known = {key: text for key, text in event.items() if text or key == "message"}
    numbers = {key: int(known[key]) for key in _NUMBERS & known.keys()}
    return json.dumps({**known, **numbers}, ensure_ascii=False) + "\n"
