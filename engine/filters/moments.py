"""Values of leaves in their stored form; days of a time zone as spans of moments."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, TypeAlias

from engine.filters.operators import Operator
from engine.filters.problems import RangeReversed
from engine.problems import PathPart
from engine.values import DATE, InvalidValue, normalize, shown
from storage.catalogue import PropertyRow
from storage.filters.times import FIRST, LAST, MILLISECOND, first_at, text
from storage.filters.tree import Between, Compared, Comparison, Test

# A value with the path at which it was given.
Given: TypeAlias = tuple[Any, tuple[PathPart, ...]]


def stored(prop: PropertyRow, given: Given) -> Any:
    """A value as records of the property keep it. Raises `InvalidValue` at the value's path."""
    value, path = given
    try:
        found = normalize(prop, value)
    except InvalidValue as problem:
        problem.path = path
        raise
    if found is None:
        raise InvalidValue(
            property=prop.name,
            value=shown(value),
            expected="a value; KNOWN and UNKNOWN ask whether there is one",
            path=path,
        )
    return found


def between(low: Any, high: Any, values: list[Given]) -> Between:
    """From `low` to `high`, which `values` mean. Raises `RangeReversed`."""
    if low > high:
        path = (values[0][1][0], "values")
        raise RangeReversed(low=shown(values[0][0]), high=shown(values[1][0]), path=path)
    return Between(low, high)


def moments(operator: Operator, spans: list[tuple[str, str]], values: list[Given]) -> Test:
    """The test of a moment; `spans` are the first and last milliseconds that `values` mean."""
    first, last = spans[0]
    match operator:
        case Operator.BEFORE:
            return Compared(Comparison.LESS, first)
        case Operator.AFTER:
            return Compared(Comparison.GREATER, last)
        case Operator.ON:
            return Between(first, last)
        case _:
            return between(first, spans[1][1], values)


def moment(prop: PropertyRow, given: Given, time_zone: tzinfo) -> tuple[str, str]:
    """The first and the last millisecond that a value means: a day of the time zone, or one moment."""
    value, path = given
    if isinstance(value, str) and DATE.fullmatch(value):
        day = date.fromisoformat(stored(replace(prop, type="DATE"), given))
        return _start(day, time_zone), _end(day, time_zone)
    try:
        found = stored(prop, given)
    except InvalidValue as problem:
        expected = f'{problem.details["expected"]}, or a day such as "2026-01-31"'
        raise InvalidValue(property=prop.name, value=shown(value), expected=expected, path=path) from None
    return found, found


def _start(day: date, time_zone: tzinfo) -> str:
    try:
        return text(first_at(datetime.combine(day, time()), time_zone))
    except OverflowError:
        return text(FIRST)


def _end(day: date, time_zone: tzinfo) -> str:
    try:
        following = datetime.combine(day + timedelta(days=1), time())
        return text(first_at(following, time_zone) - MILLISECOND)
    except OverflowError:
        return text(LAST)
