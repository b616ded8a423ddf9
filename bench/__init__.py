"""Every measured claim of this repository: ``python -m bench`` writes build/bench/report.json.

Each module has ``run() -> list[Figure]``. A figure stands beside its peer, measured in the same
run, since ratios travel between machines and absolute times do not.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured claim.

    Attributes:
        name: what was measured, in words.
        value: the median of the runs, in ``unit``.
        peer: what it stands beside, and ``peer_value`` its median in the same unit.
        ratio: value / peer_value.
        spread: (max - min) / median over the runs.
    """

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    spread: float | None = None
