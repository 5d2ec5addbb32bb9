"""Moments that delays and windows mean, worked out on the clocks of a time zone. Pure.

Minutes and hours are exact spans. Days and longer units are the calendar's: the same time of day so many days later,
however long those days are; of a day that a month does not have, the month's last one. A time that clocks skip is the
moment at which they skip it, and of a time that they show twice the first.
"""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.problems import Problem
from engine.workflows.definition.parts import Duration, Span, Weekday
from storage.filters.times import LAST, first_at

TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
WEEKDAYS: Sequence[Weekday] = tuple(Weekday)
_EXACT = {Span.MINUTE: timedelta(minutes=1), Span.HOUR: timedelta(hours=1)}
_MONTHS = {Span.MONTH: 1, Span.YEAR: 12}
# So much of each unit is about a hundred years: nobody waits longer.
MOST = {
    Span.MINUTE: 52_596_000,
    Span.HOUR: 876_600,
    Span.DAY: 36_525,
    Span.WEEK: 5_217,
    Span.MONTH: 1_200,
    Span.YEAR: 100,
}


class MalformedTimeOfDay(Problem):
    """The text "{value}" is no time of day such as 09:30."""


class MalformedDay(Problem):
    """The text "{value}" is no day such as 2026-01-31."""


class UnknownTimeZone(Problem):
    """There is no time zone called "{name}"; they are called as in Europe/Berlin."""


class DurationTooLong(Problem):
    """A duration of {value} {unit} is too long: say at most {limit}."""


class DurationNotAhead(Problem):
    """A delay lasts at least one {unit}, not {value}."""


def time_of_day(text: str) -> time:
    """The time of "HH:MM"; raises `MalformedTimeOfDay`."""
    found = TIME.fullmatch(text)
    if found is None:
        raise MalformedTimeOfDay(value=_shown(text))
    return time(int(found[1]), int(found[2]))


def day_of(text: str) -> date:
    """The day of "YYYY-MM-DD"; raises `MalformedDay`."""
    try:
        if DAY.fullmatch(text) is None:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise MalformedDay(value=_shown(text)) from None


def zone_of(name: str) -> ZoneInfo:
    """The time zone called `name`; raises `UnknownTimeZone`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownTimeZone(name=_shown(name)) from None


def check_duration(duration: Duration, *, signed: bool = False) -> Duration:
    """`duration`, if it is one to wait for; `signed`: any offset. Raises `DurationNotAhead`, `DurationTooLong`."""
    unit = f"{duration.unit.value.lower()}s"
    if not signed and duration.value < 1:
        raise DurationNotAhead(value=duration.value, unit=duration.unit.value.lower(), path=("value",))
    if abs(duration.value) > MOST[duration.unit]:
        raise DurationTooLong(
            value=duration.value, unit=unit, limit=f"{MOST[duration.unit]} {unit}", path=("value",)
        )
    return duration


def later(at: datetime, duration: Duration, zone: tzinfo) -> datetime:
    """The moment `duration` after `at`; before it, where that is negative."""
    try:
        if duration.unit in _EXACT:
            return at + duration.value * _EXACT[duration.unit]
        wall = at.astimezone(zone).replace(tzinfo=None, fold=0)
        return first_at(datetime.combine(later_day(wall.date(), duration), wall.time()), zone)
    except OverflowError:
        return LAST


def later_day(of: date, duration: Duration) -> date:
    """The day `duration` (of days or longer units) after `of`. Raises OverflowError."""
    match duration.unit:
        case Span.DAY:
            return of + timedelta(days=duration.value)
        case Span.WEEK:
            return of + timedelta(weeks=duration.value)
        case _:
            months = of.year * 12 + of.month - 1 + duration.value * _MONTHS[duration.unit]
            year, month = months // 12, months % 12 + 1
            if not 1 <= year < 9_999:
                raise OverflowError
            # The day before the next month's first.
            last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
            return date(year, month, min(of.day, last))


def next_time(at: datetime, wanted: time, weekdays: Collection[Weekday], zone: tzinfo) -> datetime:
    """The first moment after `at` at which the clocks show `wanted`, on one of `weekdays` (none: any)."""
    day = at.astimezone(zone).date()
    for ahead in range(9):
        one = day + timedelta(days=ahead)
        if not weekdays or WEEKDAYS[one.weekday()] in weekdays:
            found = first_at(datetime.combine(one, wanted), zone)
            if found > at:
                return found
    raise AssertionError("nine days hold every weekday, also where a zone has left one out")


def of_value(value: str, wanted: time, offset: Duration | None, zone: tzinfo) -> datetime:
    """The moment that a property's stored value means with `offset`: a moment, or `wanted` on a day."""
    if DAY.fullmatch(value) is None:
        moment = datetime.fromisoformat(value).astimezone(UTC)
        return moment if offset is None else later(moment, offset, zone)
    day = date.fromisoformat(value)
    try:
        if offset is not None and offset.unit not in _EXACT:
            # First the day, then the time: a day's offset does not carry along what clocks skip.
            return first_at(datetime.combine(later_day(day, offset), wanted), zone)
        moment = first_at(datetime.combine(day, wanted), zone)
    except OverflowError:
        return LAST
    return moment if offset is None else later(moment, offset, zone)


def _shown(text: str) -> str:
    return text[:60].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
