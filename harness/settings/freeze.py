"""Windows in which nothing is promoted, by the clocks of the people who would be woken.

    freeze:
      - name: weekend
        timeZone: Europe/Berlin
        from: Fri 16:00
        to: Mon 08:00
      - name: end of the year
        timeZone: Europe/Berlin
        from: 2026-12-18 18:00
        to: 2027-01-04 08:00

A window runs from the first moment at which its clock shows ``from`` to the last at which it
shows ``to``: where a clock is set back and shows a time twice, or is set forward and never shows
it, the window is the longer of the two that could be meant.
"""

import datetime
import re
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import Field, field_validator, model_validator

from harness.core.document import Camel

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEKLY = re.compile(r"(?P<day>[A-Z][a-z]{2}) (?P<hour>\d\d):(?P<minute>\d\d)")
_WEEK = datetime.timedelta(days=7)

Moment = datetime.datetime


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of time, in UTC; ``end`` is the first moment after it."""

    name: str
    start: Moment
    end: Moment

    def __str__(self) -> str:
        return f"{self.name}, until {self.end:%Y-%m-%d %H:%M} UTC"


class Freeze(Camel):
    """One entry of the calendar: once, or every week, by the clocks of ``time_zone``."""

    name: str
    time_zone: str
    from_: str = Field(alias="from")
    to: str

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"no time zone {value!r}: write one such as Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        weekly = [_WEEKLY.fullmatch(each) is not None for each in (self.from_, self.to)]
        if weekly[0] != weekly[1]:
            raise ValueError("from and to are either both days of the week or both dates")
        if weekly[0]:
            _parse_weekly(self.from_), _parse_weekly(self.to)
            if self.from_ == self.to:
                raise ValueError("from and to are the same: the window is empty")
        elif _parse_date(self.from_) >= _parse_date(self.to):
            raise ValueError("to is not after from")
        return self

    def windows(self, around: Moment) -> Iterator[Window]:
        """Its windows near a moment: the only one, or those of the weeks about it, in order."""
        zone = zoneinfo.ZoneInfo(self.time_zone)
        if not _WEEKLY.fullmatch(self.from_):
            yield self._window(_parse_date(self.from_), _parse_date(self.to), zone)
            return
        today = around.astimezone(zone).replace(tzinfo=None)
        midnight = datetime.datetime.combine(today, datetime.time())
        monday = midnight - datetime.timedelta(days=today.weekday())
        start, end = _parse_weekly(self.from_), _parse_weekly(self.to)
        length = (end - start) % _WEEK
        for week in (-1, 0, 1):
            began = monday + week * _WEEK + start
            yield self._window(began, began + length, zone)

    def _window(self, start: Moment, end: Moment, zone: zoneinfo.ZoneInfo) -> Window:
        return Window(self.name, min(_moments(start, zone)), max(_moments(end, zone)))


Calendar = Sequence[Freeze]


def window_at(calendar: Calendar, at: Moment) -> Window | None:
    """The window that contains a moment, or None; of several, the one that ends last."""
    inside = [each for each in _near(calendar, at) if each.start <= at < each.end]
    return max(inside, key=lambda each: each.end, default=None)


def next_window(calendar: Calendar, at: Moment) -> Window | None:
    """The next window that begins after a moment, or None."""
    later = [each for each in _near(calendar, at) if each.start > at]
    return min(later, key=lambda each: each.start, default=None)


def _near(calendar: Calendar, at: Moment) -> Iterator[Window]:
    for each in calendar:
        yield from each.windows(at)


def _moments(local: Moment, zone: zoneinfo.ZoneInfo) -> list[Moment]:
    """The moments at which a clock shows a time; of one that it never shows, both sides."""
    return [local.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1)]


def _parse_weekly(text: str) -> datetime.timedelta:
    """``Fri 16:00`` as the time since Monday began."""
    match = _WEEKLY.fullmatch(text)
    if not match or match["day"] not in _DAYS:
        raise ValueError(f"{text!r} is not a day and time such as Fri 16:00")
    clock = datetime.time(int(match["hour"]), int(match["minute"]))
    return datetime.timedelta(
        days=_DAYS.index(match["day"]), hours=clock.hour, minutes=clock.minute
    )


def _parse_date(text: str) -> Moment:
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M")  # noqa: DTZ007  the zone is apart
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date and time such as 2026-12-18 18:00") from error
