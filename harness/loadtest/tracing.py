"""The trace of a request, by W3C Trace Context: its id is a random half that the run's requests
share, and the request's number. So nothing has to be drawn while requests are sent, and what is
recorded of a request is a number.
"""

import secrets

_WORKER = 48  # bits of a number below the worker's


def new_run() -> str:
    """The half of the trace ids that is the run's own: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def number(worker: int, count: int) -> int:
    """The number of a generator's ``count``-th request, from 1."""
    return (worker + 1) << _WORKER | count


def is_sampled(count: int, fraction: float) -> bool:
    """Whether the ``count``-th request is one of the fraction, which is spread evenly."""
    return int(count * fraction) > int((count - 1) * fraction)


def trace_id(run: str, number: int) -> str:
    """32 hexadecimal digits."""
    return f"{run}{number:016x}"


def traceparent(run: str, number: int, *, sampled: bool) -> str:
    """The header. The generator keeps no span: the parent's id is the request's number."""
    return f"00-{run}{number:016x}-{number:016x}-0{sampled:d}"
