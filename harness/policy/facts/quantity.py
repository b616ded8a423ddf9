"""Kubernetes quantities, Go's and Prometheus' durations, as numbers that can be compared."""

import re
from fractions import Fraction

_SUFFIX = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
}
_QUANTITY = re.compile(
    r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LONGER = {"y": 365 * 86400.0, "w": 7 * 86400.0, "d": 86400.0, **_SECONDS}
_PROMETHEUS = re.compile(r"(\d+)(ms|[ywdhms])")


def quantity(value: object) -> Fraction | None:
    """What ``resources`` and ``sizeLimit`` mean (``500m``, ``2Gi``, 1); or None if it is none.

    The grammar is that of k8s.io/apimachinery's resource.Quantity.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    return Fraction(f"{number}{exponent}") if exponent else Fraction(number) * _SUFFIX[suffix or ""]


def meant(written: str) -> str:
    """The quantity that a slip of the pen means (``50 Gi``, ``2 MB``); empty if nobody can tell."""
    number, unit = re.fullmatch(r"([\d.]*)\s*(.*?)\s*", written, re.DOTALL).groups()  # type: ignore[union-attr]
    short = unit.removesuffix("B").removesuffix("b") if len(unit) > 1 else unit
    letters = short[:1].upper() + short[1:].lower() if len(short) > 1 or short != "m" else short
    corrected = f"{number}{'k' if letters == 'K' else letters}"
    return corrected if quantity(corrected) is not None else ""


def number(value: object, default: float) -> float:
    """The number that a value is, in digits or as text; ``default`` where it is none."""
    parsed = quantity(value)
    return default if parsed is None else float(parsed)


def seconds(value: object, default: float) -> float:
    """What a Go duration means (``10m``, ``1h30m``), in seconds; ``default`` where it is none."""
    if not isinstance(value, str) or not value or _DURATION.sub("", value):
        return default
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(value))


def prometheus_seconds(duration: str) -> float | None:
    """What a duration of Prometheus' means (``30d``, ``1h30m``), in seconds; None if it is none."""
    if not duration or _PROMETHEUS.sub("", duration):
        return None
    return sum(int(number) * _LONGER[unit] for number, unit in _PROMETHEUS.findall(duration))
