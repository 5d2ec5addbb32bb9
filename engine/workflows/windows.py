"""When actions may be carried out: execution windows and blocked dates. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from engine.problems import Problem
from engine.workflows.definition.values import BlockedDates, ExecutionWindow, Timing
from engine.workflows.moments import WEEKDAYS, day_of, time_of_day, zone_of
from storage.filters.times import LAST, first_at

# A window may end with the day.
MIDNIGHT = "24:00"
WINDOWS_LIMIT, BLOCKED_LIMIT = 100, 400
LONGEST_BLOCK = timedelta(days=3_660)
# 29 February comes on a given weekday at least so often, 2100 being no leap year.
LONGEST_SEARCH = timedelta(days=41 * 366)
# A leap year: it has every day that there is.
_YEAR = [date(2024, 1, 1) + timedelta(days=n) for n in range(366)]


class EmptyWindow(Problem):
    """The window begins and ends at {at}: it is never open. For whole days leave the window out, or end at 24:00."""


class BlockedDatesReversed(Problem):
    """The blocked dates end on {to}, before they begin on {from_}."""


class BlockedForTooLong(Problem):
    """From {from_} to {to} is more than ten years; turn the workflow off instead."""


class TooManyWindows(Problem):
    """There are {count} {what}; at most {limit} are possible."""


class NeverOpen(Problem):
    """Every day of the year is blocked: no action would ever be carried out."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """A window: its days by number (Monday 0), its times; `end` None: midnight."""

    days: frozenset[int]
    start: time
    end: time | None
    overnight: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """Blocked days from one to another; yearly ones as (month, day), perhaps over New Year."""

    first: date
    last: date
    yearly: bool

    def holds(self, day: date) -> bool:
        """Whether the day is blocked."""
        if not self.yearly:
            return self.first <= day <= self.last
        if self.last - self.first >= timedelta(days=365):
            return True
        at, first, last = ((one.month, one.day) for one in (day, self.first, self.last))
        return first <= at <= last if first <= last else at >= first or at <= last


def next_open(timing: Timing | None, at: datetime, account_time_zone: str) -> datetime:
    """The first moment from `at` on at which actions may be carried out: `at` itself, where that is now.

    `timing` has been checked. A far future, where it does not open again while there are dates.
    """
    if timing is None or not (timing.windows or timing.blocked):
        return at
    zone = zone_of(timing.time_zone or account_time_zone)
    openings, blocks = _read(timing)
    # Beyond what is blocked once, years are alike.
    day = at.astimezone(zone).date()
    lasts = [one.last for one in blocks if not one.yearly]
    try:
        end = max([day, *lasts]) + LONGEST_SEARCH
        while day <= end:
            once = [one.last for one in blocks if not one.yearly and one.holds(day)]
            if once:
                day = max(once)
            elif not any(one.holds(day) for one in blocks):
                for start, stop in _spans(openings, day, zone):
                    if stop > at:
                        return max(at, start)
            day += timedelta(days=1)
    except OverflowError:
        pass
    return LAST


def _spans(openings: tuple[_Opening, ...], day: date, zone: tzinfo) -> list[tuple[datetime, datetime]]:
    """When it is open on a day, by when it opens."""

    def moment(wanted: time | None) -> datetime:
        """A time of the day; None: its end."""
        wall = datetime.combine(day + timedelta(days=wanted is None), wanted or time())
        return first_at(wall, zone)

    found = []
    if not openings:
        return [(moment(time()), moment(None))]
    for one in openings:
        if day.weekday() in one.days:
            found.append((moment(one.start), moment(None if one.overnight else one.end)))
        if one.overnight and (day.weekday() - 1) % 7 in one.days:
            found.append((moment(time()), moment(one.end)))
    # What clocks skip as a whole is not open at all.
    return sorted((start.astimezone(UTC), stop.astimezone(UTC)) for start, stop in found if start < stop)


@lru_cache(maxsize=1_000)
def _read(timing: Timing) -> tuple[tuple[_Opening, ...], tuple[_Block, ...]]:
    return tuple(_opening(one) for one in timing.windows), tuple(_block(one) for one in timing.blocked)


def _opening(window: ExecutionWindow) -> _Opening:
    start = time_of_day(window.from_)
    end = None if window.to == MIDNIGHT else time_of_day(window.to)
    days = [WEEKDAYS.index(one) for one in window.weekdays] or range(7)
    return _Opening(frozenset(days), start, end, end is not None and end < start)


def _block(blocked: BlockedDates) -> _Block:
    first = day_of(blocked.from_)
    return _Block(first, first if blocked.to is None else day_of(blocked.to), blocked.yearly)


def problems(timing: Timing | None) -> Iterator[Problem]:
    """What is wrong with a timing, with paths from it."""
    if timing is None:
        return
    for what, count, limit in (
        ("windows", len(timing.windows), WINDOWS_LIMIT),
        ("blocked", len(timing.blocked), BLOCKED_LIMIT),
    ):
        if count > limit:
            told = "execution windows" if what == "windows" else "blocked dates"
            yield TooManyWindows(what=told, count=count, limit=limit, path=(what,))
            return
    if timing.time_zone is not None:
        try:
            zone_of(timing.time_zone)
        except Problem as problem:
            yield problem.at("timeZone")
    for n, window in enumerate(timing.windows):
        yield from (problem.at("windows", n) for problem in _window_problems(window))
    blocks = []
    for n, blocked in enumerate(timing.blocked):
        wrong = list(_block_problems(blocked))
        yield from (problem.at("blocked", n) for problem in wrong)
        if not wrong:
            blocks.append(_block(blocked))
    yearly = [one for one in blocks if one.yearly]
    if yearly and all(any(one.holds(day) for one in yearly) for day in _YEAR):
        yield NeverOpen(path=("blocked",))


def _window_problems(window: ExecutionWindow) -> Iterator[Problem]:
    wrong = False
    for key, text in (("from", window.from_), ("to", window.to)):
        if (key, text) == ("to", MIDNIGHT):
            continue
        try:
            time_of_day(text)
        except Problem as problem:
            wrong = True
            yield problem.at(key)
    if not wrong and window.from_ == window.to:
        yield EmptyWindow(at=window.from_, path=("to",))


def _block_problems(blocked: BlockedDates) -> Iterator[Problem]:
    wrong = False
    for key, text in (("from", blocked.from_), ("to", blocked.to)):
        try:
            if text is not None:
                day_of(text)
        except Problem as problem:
            wrong = True
            yield problem.at(key)
    if wrong or blocked.yearly or blocked.to is None:
        return
    first, last = day_of(blocked.from_), day_of(blocked.to)
    if last < first:
        yield BlockedDatesReversed(from_=blocked.from_, to=blocked.to, path=("to",))
    elif last - first > LONGEST_BLOCK:
        yield BlockedForTooLong(from_=blocked.from_, to=blocked.to, path=("to",))
