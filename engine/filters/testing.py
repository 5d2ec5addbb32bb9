"""What each test of a value means, in Python.

Says exactly what `storage.filters.values` says in SQL: a value that is not of its property's type is no value, texts
compare byte by byte (as code points do).
"""

import operator
import re
from calendar import monthrange
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, TypeAlias, assert_never

from storage.filters.shape import parameters
from storage.filters.times import Timed, local_day
from storage.filters.tree import (
    Between,
    Choice,
    Chosen,
    Compared,
    ComparedWith,
    Comparison,
    Holds,
    Known,
    Offset,
    OneOf,
    Place,
    Property,
    Test,
    Within,
)

Values: TypeAlias = Mapping[str, Any]
ValuePredicate: TypeAlias = Callable[[Any], bool]

COMPARE: dict[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.EQUAL: operator.eq,
    Comparison.NOT_EQUAL: operator.ne,
    Comparison.LESS: operator.lt,
    Comparison.LESS_OR_EQUAL: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.GREATER_OR_EQUAL: operator.ge,
}

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z", re.ASCII)


def value(prop: Property, values: Values) -> Any:
    """The value of a property; None where there is none or it is not of the declared type."""
    found = values.get(prop.name)
    if prop.multiple:
        return found if isinstance(found, list) and found else None
    match prop.type:
        case "NUMBER":
            return found if isinstance(found, int | float) and not isinstance(found, bool) else None
        case "BOOLEAN":
            return found if isinstance(found, bool) else None
        case "JSON":
            return found
        case _:
            return found if isinstance(found, str) else None


def test(prop: Property, test: Test, now: datetime) -> ValuePredicate:
    """Whether a value (there is one, of the declared type) passes at `now`."""
    match test:
        case Known():
            return lambda _: True
        case OneOf(values):
            wanted = frozenset(values)
            return lambda found: found in wanted
        case Holds(place, texts):
            return _holds(place, texts)
        case Chosen(choice, values):
            return _chosen(choice, frozenset(values))
        case Compared(comparison, limit):
            compare = COMPARE[comparison]
            return lambda found: compare(found, limit)
        case Between(low, high):
            return lambda found: bool(low <= found <= high)
        case Within():
            return _within(prop, test, now)
        case ComparedWith():
            raise TypeError("a comparison of two properties is about two values")
        case _:
            assert_never(test)


def pair(prop: Property, with_: ComparedWith) -> Callable[[Any, Any], bool | None]:
    """How two values compare; None where a span cannot be added, since one of them is no day or moment."""
    compare, zone, other_prop = COMPARE[with_.comparison], with_.zone, with_.other
    if with_.place is not None:
        place = with_.place
        return lambda one, other: _holds(place, (other,))(one)
    if with_.offset is None and zone is None:
        return compare
    offset = with_.offset or Offset()

    def compared(one: Any, other: Any) -> bool | None:
        mine, beside = _time(prop, one), _time(other_prop, other)
        if mine is None or beside is None:
            return None
        if zone is not None:
            mine, beside = _day(prop, mine, zone), _day(other_prop, beside, zone)
        return compare((0, mine), shifted(beside, offset))

    return compared


def _day(prop: Property, at: datetime, zone: tzinfo) -> datetime:
    """The beginning of the day of a time, of moments by the clocks of `zone`."""
    return at if prop.type == "DATE" else local_day(at, zone)


def _time(prop: Property, text: str) -> datetime | None:
    """The day or moment that a text means, as a time of UTC without its zone."""
    if not (_DAY if prop.type == "DATE" else _MOMENT).fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return None


def shifted(at: datetime, offset: Offset) -> tuple[int, datetime]:
    """A time with a span added; in front of it 0, or -1 or 1 where it is before or after all times."""
    months = at.year * 12 + at.month - 1 + offset.months
    year, month = months // 12, months % 12 + 1
    try:
        last = monthrange(date(year, month, 1).year, month)[1]
        moved = at.replace(year=year, month=month, day=min(at.day, last))
        return 0, moved + timedelta(days=offset.days, minutes=offset.minutes)
    except (ValueError, OverflowError):
        return (1 if offset.months + offset.days + offset.minutes > 0 else -1), at


def _within(prop: Property, within: Within, now: datetime) -> ValuePredicate:
    limits = [given.at(now) for given in parameters(prop, within) if isinstance(given, Timed)]
    low, high = limits[0] if within.low else None, limits[-1] if within.high else None
    above = COMPARE[Comparison.GREATER_OR_EQUAL if within.low and within.low.included else Comparison.GREATER]
    below = COMPARE[Comparison.LESS_OR_EQUAL if within.high and within.high.included else Comparison.LESS]
    return lambda found: (low is None or above(found, low)) and (high is None or below(found, high))


def _holds(place: Place, texts: tuple[str, ...]) -> ValuePredicate:
    match place:
        case Place.ANYWHERE:
            return lambda found: any(text in found for text in texts)
        case Place.START:
            return lambda found: bool(found.startswith(texts))
        case Place.END:
            return lambda found: bool(found.endswith(texts))
        case _:
            assert_never(place)


def _chosen(choice: Choice, wanted: Collection[str]) -> ValuePredicate:
    def chosen(found: list[Any]) -> set[str]:
        return {one for one in found if isinstance(one, str)}

    match choice:
        case Choice.ANY:
            return lambda found: not chosen(found).isdisjoint(wanted)
        case Choice.ALL:
            return lambda found: chosen(found).issuperset(wanted)
        case Choice.EXACTLY:
            return lambda found: chosen(found) == wanted and all(isinstance(one, str) for one in found)
        case _:
            assert_never(choice)
