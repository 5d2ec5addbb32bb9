"""Values of one property as values of another: which types are compatible, and what becomes of a value."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from engine.problems import Problem
from storage.catalogue import PropertyRow
from storage.filters.times import first_at

# Whatever the type, it can be written down as text.
TEXT = "STRING"


class TypesIncompatible(Problem):
    """A value of "{property}" ({type}) cannot be copied to "{into}" ({into_type}); it can be copied to: {possible}."""


def converter(source: PropertyRow, into: PropertyRow, time_zone: str) -> Callable[[Any], Any]:
    """What turns a stored value of `source` into one for `into`, which is then checked as any other.

    Days and moments are each other's on the clocks of `time_zone`. Raises `TypesIncompatible`.
    """
    zone = ZoneInfo(time_zone)
    match source.type, into.type:
        case "ENUMERATION", "ENUMERATION" if source.multiple and not into.multiple:
            pass
        case one, other if one == other:
            return lambda value: value
        case "STRING", "PHONE":
            return lambda value: value
        case _, "STRING":
            return as_text
        case "DATE", "DATETIME":
            return lambda value: _begins(value, zone)
        case "DATETIME", "DATE":
            return lambda value: _day(value, zone)
        case _:
            pass
    raise TypesIncompatible(
        property=source.name,
        type=_named(source),
        into=into.name,
        into_type=_named(into),
        possible=_possible(source),
    )


def as_text(value: Any) -> str:
    """A stored value as text: choices by their values, several of them with `;` between; true and false; else JSON."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            # Never in powers of ten.
            return format(Decimal(repr(value)), "f")
        case list() if all(isinstance(part, str) for part in value):
            return ";".join(value)
        case _:
            return orjson.dumps(value).decode()


def _named(prop: PropertyRow) -> str:
    return f"{prop.type}, several" if prop.multiple else prop.type


def _possible(prop: PropertyRow) -> list[str]:
    known = {"DATE": ["DATETIME"], "DATETIME": ["DATE"], "STRING": ["PHONE"]}
    return [*dict.fromkeys((_named(prop), *known.get(prop.type, ()), TEXT))]


def _begins(value: str, zone: ZoneInfo) -> str:
    """The moment at which a day begins; the day itself, where that lies beyond all years: the check refuses it."""
    try:
        moment = first_at(datetime.combine(date.fromisoformat(value), time()), zone)
    except OverflowError:
        return value
    return moment.astimezone(UTC).isoformat()


def _day(value: str, zone: ZoneInfo) -> str:
    """The day of a moment; the moment itself, where that day lies beyond all years: the check refuses it."""
    try:
        return datetime.fromisoformat(value).astimezone(zone).date().isoformat()
    except OverflowError:
        return value
