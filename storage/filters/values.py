"""A property's value, and the tests of it, as SQL: NULL where there is no value or it is not of the declared type.

Parameters are added in the order of `storage.filters.shape.values`.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

from storage.filters.shape import parameters
from storage.filters.tree import (
    Between,
    Choice,
    Chosen,
    Compared,
    ComparedWith,
    Holds,
    Known,
    OneOf,
    Place,
    Property,
    Test,
    Within,
)

# Takes a parameter and its PostgreSQL type; answers its place, such as "$2::text".
Add: TypeAlias = Callable[[Any, str], str]

# Types whose values are kept as JSON strings.
TEXTS = frozenset({"STRING", "PHONE", "DATE", "DATETIME", "ENUMERATION"})

# Texts that mean a day or a moment, as records keep them. What looks like one need not be one (the 30th of February).
_SHAPES = {
    "DATE": r"^\d{4}-\d\d-\d\d$",
    "DATETIME": r"^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$",
}


def of_record(prop: Property, record: str, add: Add) -> str:
    """The value that the record at an alias has."""
    if prop.column is not None:
        # The record's own moments, in the form in which properties hold moments.
        utc = f"{record}.{prop.column} AT TIME ZONE 'UTC'"
        return f'(to_char({utc}, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\') COLLATE "C")'
    return in_document(prop, f"{record}.properties", add)


def in_document(prop: Property, document: str, add: Add) -> str:
    """The value that stands in a document under the property's name."""
    stored = f"{document} -> {add(prop.name, 'text')}"
    if prop.multiple:
        return f"CASE jsonb_typeof({stored}) WHEN 'array' THEN nullif({stored}, '[]') END"
    if prop.type in TEXTS:
        text = stored.replace("->", "->>", 1)
        return f"(CASE jsonb_typeof({stored}) WHEN 'string' THEN {text} END COLLATE \"C\")"
    if prop.type == "NUMBER":
        return f"CASE jsonb_typeof({stored}) WHEN 'number' THEN ({stored})::numeric END"
    if prop.type == "BOOLEAN":
        return f"CASE jsonb_typeof({stored}) WHEN 'boolean' THEN ({stored})::boolean END"
    return f"nullif({stored}, 'null')"


def passes(prop: Property, test: Test, value: str, record: str, add: Add) -> str:
    """Whether `value` passes the test; NULL where there is none. `record` has the other of two properties."""
    match test:
        case Known():
            return f"({value} IS NOT NULL OR NULL)"
        case OneOf() | Compared() | Between() | Within():
            return compared(prop, test, value, add)
        case ComparedWith(other=other):
            return _beside(prop, test, value, of_record(other, record, add), add)
        case Holds() | Chosen():
            return _listed(prop, test, value, add)
        case _:
            assert_never(test)


def _beside(prop: Property, test: ComparedWith, value: str, beside: str, add: Add) -> str:
    """Whether a value passes the test with that of another property."""
    match test.place:
        case None:
            pass
        case Place.ANYWHERE:
            return f"(strpos({value}, {beside}) > 0)"
        case Place.START:
            return f"starts_with({value}, {beside})"
        case Place.END:
            return f"(right({value}, length({beside})) = {beside})"
        case _:
            assert_never(test.place)
    if test.offset is None and test.zone is None:
        return f"({value} {test.comparison.value} {beside})"
    given = parameters(prop, test)
    mine, others = as_time(prop, value), as_time(test.other, beside)
    if test.zone is not None:
        starts, seconds = add(given[0], "timestamp[]"), add(given[1], "int[]")
        mine, others = (_day(of, time, starts, seconds) for of, time in ((prop, mine), (test.other, others)))
    if test.offset is not None:
        places = (add(one, "int") for one in given[-3:])
        others = f"({others} + make_interval({', '.join(map(_named, ('months', 'days', 'mins'), places))}))"
    return f"({mine} {test.comparison.value} {others})"


def _day(prop: Property, time: str, starts: str, seconds: str) -> str:
    """The beginning of the day of a time, of moments by clocks that are tabled: see `storage.filters.times.offsets`."""
    if prop.type == "DATE":
        return time
    shown = f"({time} + make_interval(secs => ({seconds})[width_bucket({time}, {starts})]))"
    # Beyond the calendar there are no days; both of these pass over NULL, which is no time.
    held = f"least(greatest({shown}, '0001-01-01'::timestamp), '9999-12-31'::timestamp)"
    return f"(CASE WHEN {time} IS NOT NULL THEN date_trunc('day', {held}) END)"


def compared(prop: Property, test: Test, value: str, add: Add) -> str:
    """Equality, and comparisons with literal values and with times that move with the clock."""
    given, kind = parameters(prop, test), _sql_type(prop)
    match test:
        case Compared(comparison):
            return f"({value} {comparison.value} {add(given[0], kind)})"
        case Between():
            low, high = (add(one, kind) for one in given)
            return f"({value} BETWEEN {low} AND {high})"
        case Within(low, high):
            signs = [low and (">=" if low.included else ">"), high and ("<=" if high.included else "<")]
            asked = zip((sign for sign in signs if sign), given, strict=True)
            return f"({' AND '.join(f'{value} {sign} {add(one, kind)}' for sign, one in asked)})"
        case _ if isinstance(given[0], list):
            return f"({value} = ANY({add(given[0], f'{kind}[]')}))"
        case _:
            return f"({value} = {add(given[0], kind)})"


def _listed(prop: Property, test: Test, value: str, add: Add) -> str:
    (given,) = parameters(prop, test)
    match test:
        case Holds():
            return f"({value} LIKE ANY({add(given, 'text[]')}))"
        case Chosen(Choice.ANY):
            return f"({value} ?| {add(given, 'text[]')})"
        case Chosen(Choice.ALL):
            return f"({value} ?& {add(given, 'text[]')})"
        case _:
            # As sets: order and repetition do not matter.
            place = add(given, "jsonb")
            return f"({value} @> {place} AND {value} <@ {place})"


def as_time(prop: Property, value: str) -> str:
    """The day or moment that a text means, as a time of UTC; NULL where it means none."""
    shaped = f"{value} ~ '{_SHAPES[prop.type]}' AND pg_input_is_valid({value}, 'timestamp')"
    return f"(CASE WHEN {shaped} THEN {value}::timestamp END)"


def _named(name: str, place: str) -> str:
    return f"{name} => {place}"


def _sql_type(prop: Property) -> str:
    return {"NUMBER": "numeric", "BOOLEAN": "boolean"}.get(prop.type, "text")
