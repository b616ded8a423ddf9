"""Freeze windows on other people's clocks, also while those are set forward and back."""

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.settings import freeze
from harness.settings.freeze import Freeze

UTC = datetime.UTC


def entry(start: str, end: str, zone: str = "Europe/Berlin") -> Freeze:
    keys = {"name": "window", "timeZone": zone, "from": start, "to": end}
    return Freeze.model_validate(keys)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(UTC)


def frozen(which: Freeze, when: str) -> bool:
    return freeze.window_at([which], at(when)) is not None


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        pytest.param("2026-11-27T15:59:59+01:00", False, id="a second before"),
        pytest.param("2026-11-27T16:00:00+01:00", True, id="the first moment"),
        pytest.param("2026-11-29T12:00:00+01:00", True, id="across midnights"),
        pytest.param("2026-11-30T07:59:59+01:00", True, id="the last second"),
        pytest.param("2026-11-30T08:00:00+01:00", False, id="open again"),
        pytest.param("2026-07-03T14:00:00+00:00", True, id="summer: 16:00 is 14:00 UTC"),
        pytest.param("2026-11-27T14:30:00+00:00", False, id="winter: 16:00 is 15:00 UTC"),
    ],
)
def test_every_week(when: str, expected: bool) -> None:
    assert frozen(entry("Fri 16:00", "Mon 08:00"), when) is expected


@pytest.mark.parametrize(
    ("start", "end", "when", "expected"),
    [
        # On 2026-10-25 Berlin shows 02:00 to 03:00 twice: first at +02:00, then at +01:00.
        ("Sun 00:00", "Sun 02:30", "2026-10-25T02:15:00+02:00", True),
        ("Sun 00:00", "Sun 02:30", "2026-10-25T02:45:00+02:00", True),
        ("Sun 00:00", "Sun 02:30", "2026-10-25T02:15:00+01:00", True),
        ("Sun 00:00", "Sun 02:30", "2026-10-25T02:30:00+01:00", False),
        ("Sun 02:30", "Sun 06:00", "2026-10-25T02:29:00+02:00", False),
        ("Sun 02:30", "Sun 06:00", "2026-10-25T02:30:00+02:00", True),
        # On 2027-03-28 Berlin never shows 02:00 to 03:00: 02:30 is 01:30 or 03:30.
        ("Sun 02:30", "Sun 06:00", "2027-03-28T00:29:00+00:00", False),
        ("Sun 02:30", "Sun 06:00", "2027-03-28T00:30:00+00:00", True),
        ("Sat 22:00", "Sun 02:30", "2027-03-28T01:29:00+00:00", True),
        ("Sat 22:00", "Sun 02:30", "2027-03-28T01:30:00+00:00", False),
    ],
)
def test_clock_is_set_back_or_forward(start: str, end: str, when: str, expected: bool) -> None:
    assert frozen(entry(start, end), when) is expected


def test_once() -> None:
    holidays = entry("2026-12-18 18:00", "2027-01-04 08:00", "America/New_York")
    assert not frozen(holidays, "2026-12-18T22:59:00+00:00")
    assert frozen(holidays, "2026-12-18T23:00:00+00:00")
    assert frozen(holidays, "2027-01-04T12:59:00+00:00")
    assert not frozen(holidays, "2027-01-04T13:00:00+00:00")
    assert not frozen(holidays, "2027-12-25T12:00:00+00:00")


@given(
    minutes=st.tuples(st.integers(0, 7 * 1440 - 1), st.integers(0, 7 * 1440 - 1)).filter(
        lambda each: each[0] != each[1]
    ),
    when=st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2040, 1, 1)),  # noqa: DTZ001
    zone=st.sampled_from(["UTC", "Asia/Kolkata", "Asia/Tokyo"]),
)
def test_where_no_clock_is_ever_set_the_wall_clock_decides(
    minutes: tuple[int, int], when: datetime.datetime, zone: str
) -> None:
    start, end = (
        f"{freeze._DAYS[each // 1440]} {each // 60 % 24:02}:{each % 60:02}" for each in minutes
    )
    local = when.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    now = local.weekday() * 1440 + local.hour * 60 + local.minute
    inside = (now - minutes[0]) % (7 * 1440) < (minutes[1] - minutes[0]) % (7 * 1440)
    assert (freeze.window_at([entry(start, end, zone)], local) is not None) == inside


@given(when=st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2028, 1, 1)))  # noqa: DTZ001
def test_next_window_begins_later_and_within_a_week(when: datetime.datetime) -> None:
    moment = when.replace(tzinfo=UTC)
    coming = freeze.next_window([entry("Fri 16:00", "Mon 08:00")], moment)
    assert coming is not None
    assert moment < coming.start <= moment + datetime.timedelta(days=7, hours=1)
    assert freeze.window_at([entry("Fri 16:00", "Mon 08:00")], coming.start)


@pytest.mark.parametrize(
    ("start", "end", "zone", "why"),
    [
        ("Fri 16:00", "2026-12-18 18:00", "UTC", "both days of the week or both dates"),
        ("Fri 16:00", "Fri 16:00", "UTC", "empty"),
        ("Fry 16:00", "Mon 08:00", "UTC", "not a day and time"),
        ("Fri 25:00", "Mon 08:00", "UTC", "hour must be"),
        ("2026-12-18 18:00", "2026-12-18 17:00", "UTC", "not after"),
        ("2026-13-18 18:00", "2026-12-18 17:00", "UTC", "not a date and time"),
        ("Fri 16:00", "Mon 08:00", "Berlin", "no time zone"),
        ("Fri 16:00", "Mon 08:00", "../../etc/passwd", "no time zone"),
    ],
)
def test_what_makes_no_sense_is_refused(start: str, end: str, zone: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        entry(start, end, zone)
