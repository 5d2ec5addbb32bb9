"""When schedules and dates come: moments on the clocks of a time zone. Pure.

A time that clocks skip is the moment at which they skip it; of a time that they show twice, the first.
"""

from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from engine.workflows import moments
from engine.workflows.bound import Dated, Scheduled
from engine.workflows.definition.parts import Duration, Span
from storage.filters.times import LAST, first_at, text

# A schedule that was missed is caught up with from no longer ago: what came before is the same.
LONGEST_REST = timedelta(days=800)
MOMENT = timedelta(microseconds=1)


def following(scheduled: Scheduled, after: datetime, zone: tzinfo) -> datetime:
    """The first time of a schedule behind `after`."""
    schedule = scheduled.schedule
    if schedule.every in (Span.DAY, Span.WEEK):
        return moments.next_time(after, scheduled.at, schedule.weekdays, zone)
    assert schedule.day is not None  # it was checked
    step = 1 if schedule.every is Span.MONTH else 12
    today = after.astimezone(zone).date()
    start = date(today.year, today.month if schedule.month is None else schedule.month, 1)
    for ahead in range(-step, 3 * step, step):
        try:
            month = moments.later_day(start, Duration(ahead, Span.MONTH))
            found = first_at(datetime.combine(_day(month, schedule.day), scheduled.at), zone)
        except OverflowError:
            return LAST
        if found > after:
            return found
    raise AssertionError("three times ahead, one is later")


def latest(scheduled: Scheduled, due: datetime, now: datetime, zone: tzinfo) -> datetime:
    """The last time of a schedule until `now`, given one that has come: what was missed in between is not made up."""
    at = due if now - due < LONGEST_REST else following(scheduled, now - LONGEST_REST, zone)
    while (later := following(scheduled, at, zone)) <= now:
        at = later
    return at


def comes(scheduled: Scheduled, at: datetime, zone: tzinfo) -> bool:
    """Whether `at` is one of a schedule's times."""
    return following(scheduled, at - MOMENT, zone) == at


def reached(dated: Dated, value: Any, zone: tzinfo) -> datetime | None:
    """The moment that a date or moment in a property means to a trigger; None where there is none."""
    if not isinstance(value, str):
        return None
    try:
        return moments.of_value(value, dated.at, dated.offset, zone)
    except ValueError:
        # Stored otherwise than its type says: it is no value.
        return None


def scheduled_key(at: datetime) -> str:
    """A schedule's time as an occasion: all schedules of a workflow that come at once are one."""
    return f"SCHEDULE {text(at)}"


def dated_key(property_id: int, at: datetime) -> str:
    """A date's coming as an occasion."""
    return f"DATE {property_id} {text(at)}"


def import_key(import_id: int) -> str:
    """An import's end as an occasion."""
    return f"IMPORT {import_id}"


def _day(month: date, day: int) -> date:
    """The day of a month that begins with `month`; past its end, its last one."""
    last = (moments.later_day(month, Duration(1, Span.MONTH)) - timedelta(days=1)).day
    return month.replace(day=min(day, last))
