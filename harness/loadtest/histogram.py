"""HDR histograms of latencies: whole microseconds from 1 to an hour, three significant digits."""

from collections.abc import Iterator

from hdrh.histogram import HdrHistogram

HIGHEST = 3_600_000_000  # µs: the longest timeout that a profile may have
DIGITS = 3


def empty() -> HdrHistogram:
    """A histogram without values."""
    return HdrHistogram(1, HIGHEST, DIGITS)


def record(values: HdrHistogram, microseconds: int) -> None:
    """Count one; what lies beyond the ends counts as the end."""
    values.record_value(min(max(microseconds, 1), HIGHEST))


def quantile(values: HdrHistogram, fraction: float) -> float:
    """Milliseconds within which a ``fraction`` of the values lie; 0 if there are none."""
    return float(values.get_value_at_percentile(fraction * 100)) / 1000


def recorded_values(values: HdrHistogram) -> Iterator[tuple[float, int]]:
    """(milliseconds, count), ascending; the library's own iterator is fifty times slower."""
    for index, count in enumerate(values.counts):
        if count:
            value = values.get_value_from_index(index)
            yield values.get_highest_equivalent_value(value) / 1000, count


def encode(values: HdrHistogram) -> str:
    """The encoding that every HDR library reads: V2, compressed, base64."""
    return str(values.encode().decode())


def decode(text: str) -> HdrHistogram:
    """The inverse of ``encode``."""
    return HdrHistogram.decode(text)
