"""Times that move with the clock: so many units from now, and the days, weeks, months … of a time zone.

Every time here only ever goes forward while the clock does, whatever a time zone does to its clocks and however long
months are. So a value that lies still passes each edge once, and the moment at which it does can be told beforehand.

- A clock that is set back has been later already: until it gets there again, it stands where it was.
- A time that clocks skip is the moment at which they skip it; of a time that they show twice, the first.
- A day that a month does not have is, for days, the month's last one, and for moments the end of the month.
"""

import enum
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any, TypeAlias, assert_never

# Years for which the changes of clocks are tabled: from before there were any to as far as anybody plans.
TABLED = (1840, 2101)
SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(microsecond=999_000, tzinfo=UTC)


class Unit(enum.StrEnum):
    """Units of time. The first two are exact; the others are the calendar's. A week begins on Monday."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


EXACT = {Unit.MINUTE: timedelta(minutes=1), Unit.HOUR: timedelta(hours=1)}
DAYS = {Unit.DAY: 1, Unit.WEEK: 7}
MONTHS = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.YEAR: 12}
# About how long a unit is.
ABOUT = (
    EXACT
    | {unit: timedelta(days=n) for unit, n in DAYS.items()}
    | {unit: timedelta(days=30.436875 * n) for unit, n in MONTHS.items()}
)


@dataclass(frozen=True, slots=True)
class Shift:
    """So many units from now; negative: ago. Days and longer ones go by the clocks of `time_zone`."""

    unit: Unit
    amount: int
    time_zone: tzinfo


@dataclass(frozen=True, slots=True)
class Start:
    """The first moment, or day, of the unit that is `ahead` units after the present one."""

    unit: Unit
    ahead: int
    time_zone: tzinfo


Edge: TypeAlias = Shift | Start


class Form(enum.Enum):
    """What an edge is compared with: a day's text, a moment's text, or a moment."""

    DAY = "DAY"
    TEXT = "TEXT"
    MOMENT = "MOMENT"


@dataclass(frozen=True, slots=True)
class Timed:
    """A parameter that is known once the time is; statements are run with `settled` ones."""

    edge: Edge
    form: Form

    def at(self, now: datetime) -> Any:
        """Its value."""
        match self.form:
            case Form.DAY:
                return day(self.edge, now).isoformat()
            case Form.TEXT:
                return text(moment(self.edge, now))
            case Form.MOMENT:
                return moment(self.edge, now)
            case _:
                assert_never(self.form)


def settled(values: Iterable[Any], now: datetime) -> list[Any]:
    """Parameters as the driver takes them, at a time."""
    return [value.at(now) if type(value) is Timed else value for value in values]


def text(at: datetime) -> str:
    """A moment as records keep it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def moment(edge: Edge, now: datetime) -> datetime:
    """Where an edge stands among moments, to the millisecond, in UTC."""
    now = _whole(now)
    try:
        match edge:
            case Shift(unit, amount) if unit in EXACT:
                return now + amount * EXACT[unit]
            case Shift(unit, amount, zone):
                wall = _wall(now, zone)
                wanted, cut = _later(wall.date(), unit, amount)
                if cut:
                    return first_at(datetime.combine(wanted + timedelta(days=1), time()), zone)
                return first_at(datetime.combine(wanted, wall.time()), zone)
            case Start():
                return first_at(datetime.combine(day(edge, now), time()), edge.time_zone)
            case _:
                assert_never(edge)
    except (OverflowError, ValueError):
        return LAST if _ahead(edge) > 0 else FIRST


def day(edge: Edge, now: datetime) -> date:
    """Where an edge stands among days."""
    today = _wall(_whole(now), edge.time_zone).date()
    try:
        match edge:
            case Shift(unit, amount) if unit in EXACT:
                return _wall(_whole(now) + amount * EXACT[unit], edge.time_zone).date()
            case Shift(unit, amount):
                return _later(today, unit, amount)[0]
            case Start(unit, ahead):
                return _later(_first_day(today, unit), unit, ahead)[0]
            case _:
                assert_never(edge)
    except (OverflowError, ValueError):
        return date.max if _ahead(edge) > 0 else date.min


def first_at(wall: datetime, zone: tzinfo) -> datetime:
    """The moment at which the clocks of `zone` first show `wall`, or at which they skip it. Raises OverflowError."""
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    return _jump(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), found, zone)


@lru_cache(maxsize=64)
def offsets(zone: tzinfo) -> tuple[tuple[datetime, ...], tuple[int, ...]]:
    """From when on (UTC, without a zone) the clocks of `zone` are how many seconds ahead, in order.

    A table for those who cannot ask the zone itself, such as the database, whose own knowledge of zones may be
    another. The first entry stands before all, the last for ever: clocks of years beyond `TABLED` are as at its ends.
    """
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in TABLED)
    found = [(FIRST.replace(tzinfo=None), _offset(first, zone))]
    at = first
    while at < last:
        following = at + timedelta(days=5)
        if _offset(following, zone) != found[-1][1]:
            turned = _jump(at, following, zone)
            found.append((turned.replace(tzinfo=None), _offset(turned, zone)))
        at = following
    return tuple(start for start, _ in found), tuple(seconds for _, seconds in found)


def local_day(moment_: datetime, zone: tzinfo) -> datetime:
    """The beginning of the day that the clocks of `zone`, by its table, show at a moment; both without a zone.

    What is beyond the calendar is on its first or last day.
    """
    starts, seconds = offsets(zone)
    ahead = timedelta(seconds=seconds[bisect_right(starts, moment_) - 1])
    try:
        shown = moment_ + ahead
    except OverflowError:
        shown = (LAST if ahead > timedelta() else FIRST).replace(tzinfo=None)
    return datetime.combine(shown.date(), time())


def _offset(at: datetime, zone: tzinfo) -> int:
    ahead = at.astimezone(zone).utcoffset()
    return 0 if ahead is None else int(ahead.total_seconds())


def passing(edge: Edge, form: Form, value: Any, *, beyond: bool, now: datetime) -> datetime | None:
    """The first moment after `now` at which an edge has reached `value`, or (`beyond`) is behind it.

    `value` is a day or a moment. None: it has already, or it never will.
    """
    if isinstance(edge, Shift) and edge.unit in EXACT and form is not Form.DAY:
        return _reached(edge, value, beyond, _whole(now))
    place = day if form is Form.DAY else moment

    def passed(at: datetime) -> bool:
        there: Any = place(edge, at)
        return bool(there > value if beyond else there >= value)

    now = _whole(now)
    if passed(now):
        return None
    about = value if form is not Form.DAY else datetime.combine(value, time(), UTC)
    slack = ABOUT[edge.unit] + timedelta(days=5)
    try:
        early = about - _ahead(edge) * ABOUT[edge.unit] - slack
        low = early if early > now and not passed(early) else now
        high = max(early + 2 * slack, now + slack)
        while not passed(high):
            low, high = high, high + slack
    except OverflowError:
        return None
    return _first(passed, low, high, MILLISECOND)


def _reached(edge: Shift, value: datetime, beyond: bool, now: datetime) -> datetime | None:
    """`passing` of an edge that is a fixed span from now, among moments."""
    whole = _whole(value)
    if beyond or whole < value:
        whole += MILLISECOND
    try:
        found = whole - edge.amount * EXACT[edge.unit]
    except OverflowError:
        return None
    return found if found > now else None


def _first(holds: Callable[[datetime], bool], low: datetime, high: datetime, step: timedelta) -> datetime:
    """The first of the moments after `low` in steps, `high` at the latest, at which `holds` begins to hold."""
    failing, holding = 0, -((low - high) // step)
    while holding - failing > 1:
        between = (failing + holding) // 2
        if holds(low + between * step):
            holding = between
        else:
            failing = between
    return low + holding * step


def _whole(now: datetime) -> datetime:
    """To the millisecond, as moments are kept."""
    return now.astimezone(UTC).replace(microsecond=now.microsecond // 1000 * 1000)


def _ahead(edge: Edge) -> int:
    return edge.amount if isinstance(edge, Shift) else edge.ahead


def _wall(now: datetime, zone: tzinfo) -> datetime:
    """The latest time that the clocks of `zone` have shown; they may have been set back since."""
    local = now.astimezone(zone)
    if local.fold:
        turned = _jump(local.replace(fold=0).astimezone(UTC), now, zone)
        local = (turned - SECOND).astimezone(zone) + SECOND
    return local.replace(tzinfo=None, fold=0)


def _jump(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """When, between two moments, the clocks of `zone` were set; they are set at whole seconds."""
    before, offset = before.replace(microsecond=0), before.astimezone(zone).utcoffset()
    return _first(lambda at: at.astimezone(zone).utcoffset() != offset, before, after, SECOND)


def _first_day(of: date, unit: Unit) -> date:
    match unit:
        case Unit.MINUTE | Unit.HOUR | Unit.DAY:
            return of
        case Unit.WEEK:
            return of - timedelta(days=of.weekday())
        case Unit.MONTH:
            return of.replace(day=1)
        case Unit.QUARTER:
            return of.replace(month=(of.month - 1) // 3 * 3 + 1, day=1)
        case Unit.YEAR:
            return of.replace(month=1, day=1)
        case _:
            assert_never(unit)


def _later(of: date, unit: Unit, amount: int) -> tuple[date, bool]:
    """A day so many days, weeks … later, and whether its month had to do with its last day."""
    if unit in DAYS:
        return of + timedelta(days=amount * DAYS[unit]), False
    months = of.year * 12 + of.month - 1 + amount * MONTHS[unit]
    year, month = months // 12, months % 12 + 1
    # Raises what `date` would raise, also where monthrange would not.
    last = monthrange(date(year, month, 1).year, month)[1]
    return date(year, month, min(of.day, last)), of.day > last
