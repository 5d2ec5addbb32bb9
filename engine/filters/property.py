"""Binding the property leaf: a property, an operator that fits its type, and values in their stored form."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, TypeAlias

from engine.filters import operators
from engine.filters.binding import Binding, include_empty, leaf_body, operator_at, text_at
from engine.filters.operators import NEGATIVE, Operator
from engine.filters.problems import (
    MalformedLeaf,
    OperatorDoesNotFit,
    PropertiesNotComparable,
    RangeReversed,
    TooManyValues,
    UnknownProperty,
    ValuesMissing,
)
from engine.problems import PathPart
from engine.values import DATE, InvalidValue, normalize, shown, tidy
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.filters.tree import (
    Between,
    Choice,
    Chosen,
    Compared,
    ComparedWith,
    Comparison,
    Holds,
    Index,
    Known,
    OneOf,
    Place,
    Property,
    PropertyLeaf,
    Test,
)
from storage.property_values import TEXT_KEPT

PROPERTY = "property"
KEYS = ("name", "operator", "value", "values", "other", "includeEmpty")
VALUES_LIMIT = 1_000

# A value with the path at which it was given.
Given: TypeAlias = tuple[Any, tuple[PathPart, ...]]

COMPARISONS = {
    Operator.EQUALS: Comparison.EQUAL,
    Operator.NOT_EQUALS: Comparison.EQUAL,
    Operator.LESS_THAN: Comparison.LESS,
    Operator.LESS_THAN_OR_EQUAL: Comparison.LESS_OR_EQUAL,
    Operator.GREATER_THAN: Comparison.GREATER,
    Operator.GREATER_THAN_OR_EQUAL: Comparison.GREATER_OR_EQUAL,
    Operator.BEFORE: Comparison.LESS,
    Operator.AFTER: Comparison.GREATER,
    Operator.ON: Comparison.EQUAL,
}
PLACES = {
    Operator.CONTAINS: Place.ANYWHERE,
    Operator.NOT_CONTAINS: Place.ANYWHERE,
    Operator.STARTS_WITH: Place.START,
    Operator.ENDS_WITH: Place.END,
}
CHOICES = {
    Operator.ANY_OF: Choice.ANY,
    Operator.NONE_OF: Choice.ANY,
    Operator.EXACTLY: Choice.EXACTLY,
    Operator.CONTAINS_ALL: Choice.ALL,
}
# Those that take one value; BETWEEN takes two, the presence operators none, the rest one or more.
SINGLE = frozenset(
    {*operators.COMPARING, Operator.BEFORE, Operator.AFTER, Operator.ON},
)

FIRST_MOMENT = "0001-01-01T00:00:00.000Z"
LAST_MOMENT = "9999-12-31T23:59:59.999Z"


def bind_property(body: Any, object_type: ObjectTypeRow, binding: Binding) -> PropertyLeaf:
    """The leaf that `body` describes for records of `object_type`. Raises the problem at its path."""
    given = leaf_body(PROPERTY, body, KEYS)
    prop = _property(given, "name", object_type)
    operator = operator_at(PROPERTY, given, operators.fitting(prop))
    if operator not in operators.fitting(prop):
        raise _unfit(operator, prop, operators.fitting(prop))
    if "other" in given:
        test: Test = _other(operator, prop, given, object_type)
    else:
        test = _test(operator, prop, _values(operator, given), binding.time_zone)
    negated = operator in NEGATIVE or operator is Operator.UNKNOWN
    empty = include_empty(given, binding.definition_of)
    return PropertyLeaf(
        _reference(prop),
        test,
        negated,
        empty,
        None if negated or empty else _index(prop, test),
    )


def _property(given: Mapping[str, Any], key: str, object_type: ObjectTypeRow) -> PropertyRow:
    name = text_at(PROPERTY, given, key)
    prop = object_type.live(name)
    if prop is None:
        raise UnknownProperty(property=tidy(name), object_type=object_type.name, path=(PROPERTY, key))
    return prop


def _reference(prop: PropertyRow) -> Property:
    return Property(prop.id, prop.object_type_id, prop.name, prop.type, prop.multiple)


def _index(prop: PropertyRow, test: Test) -> Index | None:
    """The side table that finds the records of a test, as the property's index stands."""
    if not prop.reads_values:
        return Index.KEYS if isinstance(test, OneOf | Chosen) else None
    match test:
        # The side table keeps the beginning of a text.
        case OneOf(values) if all(not isinstance(one, str) or len(one) < TEXT_KEPT for one in values):
            return Index.VALUES
        case Compared() | Between() | Chosen():
            return Index.VALUES
        case _:
            return None


def _unfit(operator: Operator, prop: PropertyRow, fitting: tuple[Operator, ...]) -> OperatorDoesNotFit:
    kind = f"{prop.type} (multiple)" if prop.multiple else prop.type
    return OperatorDoesNotFit(
        operator=operator.value,
        property=prop.name,
        type=kind,
        fitting=list(fitting) or "none",
        path=(PROPERTY, "operator"),
    )


def _other(
    operator: Operator, prop: PropertyRow, given: Mapping[str, Any], object_type: ObjectTypeRow
) -> ComparedWith:
    if "value" in given or "values" in given:
        raise MalformedLeaf(reason='"other" stands instead of "value" and "values"', path=(PROPERTY, "other"))
    other = _property(given, "other", object_type)
    if operator not in operators.comparable(prop):
        raise _unfit(operator, prop, operators.comparable(prop))
    if not operators.alike(prop, other):
        raise PropertiesNotComparable(
            property=prop.name,
            type=prop.type,
            other=other.name,
            other_type=other.type,
            path=(PROPERTY, "other"),
        )
    return ComparedWith(COMPARISONS[operator], _reference(other))


def _values(operator: Operator, given: Mapping[str, Any]) -> list[Given]:
    """The values as they were given, as many as the operator takes."""
    if "value" in given and "values" in given:
        raise MalformedLeaf(reason='"value" and "values" cannot both be given', path=(PROPERTY, "values"))
    many = given.get("values")
    if many is not None and not isinstance(many, list | tuple):
        raise MalformedLeaf(reason=f'"values" must be a list, not {shown(many)}', path=(PROPERTY, "values"))
    if many is not None:
        values: list[Given] = [(value, (PROPERTY, "values", n)) for n, value in enumerate(many)]
    else:
        values = [(given["value"], (PROPERTY, "value"))] if "value" in given else []
    if len(values) > VALUES_LIMIT:
        raise TooManyValues(count=len(values), limit=VALUES_LIMIT, path=(PROPERTY, "values"))
    expected = _expected(operator, len(values))
    if expected is not None:
        path = (PROPERTY, "values" if many is not None else "value")
        raise ValuesMissing(operator=operator.value, expected=expected, count=len(values), path=path)
    return values


def _expected(operator: Operator, count: int) -> str | None:
    """How many values the operator takes, where `count` is not that many."""
    if operator in (Operator.KNOWN, Operator.UNKNOWN):
        return None if count == 0 else "no value"
    if operator is Operator.BETWEEN:
        return None if count == 2 else 'two "values", the lowest and the highest'
    if operator in SINGLE:
        return None if count == 1 else 'one "value"'
    return None if count else 'at least one of "values"'


def _test(operator: Operator, prop: PropertyRow, values: list[Given], time_zone: tzinfo) -> Test:
    if operator in (Operator.KNOWN, Operator.UNKNOWN):
        return Known()
    if operator in PLACES:
        # A part of a phone number is no phone number, and a part of a text any text.
        text = replace(prop, type="STRING")
        return Holds(PLACES[operator], tuple(_stored(text, value) for value in values))
    if prop.multiple:
        return Chosen(CHOICES[operator], tuple(sorted({_choice(prop, value) for value in values})))
    if prop.type == "DATETIME":
        return _moments(operator, [_moment(prop, value, time_zone) for value in values], values)
    return _scalars(operator, prop, values)


def _scalars(operator: Operator, prop: PropertyRow, values: list[Given]) -> Test:
    stored = [
        _choice(prop, value) if prop.type == "ENUMERATION" else _stored(prop, value) for value in values
    ]
    match operator:
        case Operator.EQUALS | Operator.NOT_EQUALS | Operator.ANY_OF | Operator.NONE_OF | Operator.ON:
            return OneOf(tuple(sorted(set(stored))))
        case Operator.EXACTLY | Operator.CONTAINS_ALL:
            if len(set(stored)) > 1:
                raise ValuesMissing(
                    operator=operator.value,
                    expected='one "value", since the property holds one choice',
                    count=len(values),
                    path=(PROPERTY, "values"),
                )
            return OneOf((stored[0],))
        case Operator.BETWEEN:
            return _between(stored[0], stored[1], values)
        case _:
            return Compared(COMPARISONS[operator], stored[0])


def _between(low: Any, high: Any, values: list[Given]) -> Between:
    if low > high:
        raise RangeReversed(low=shown(values[0][0]), high=shown(values[1][0]), path=(PROPERTY, "values"))
    return Between(low, high)


def _stored(prop: PropertyRow, given: Given) -> Any:
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


def _choice(prop: PropertyRow, given: Given) -> str:
    """The value of an option; archived ones too, since records may still hold them."""
    value, path = given
    known = [option["value"] for option in prop.options]
    if value not in known:
        expected = f"one of {', '.join(known[:20])}{' …' if len(known) > 20 else ''}"
        raise InvalidValue(property=prop.name, value=shown(value), expected=expected, path=path)
    return str(value)


def _moments(operator: Operator, spans: list[tuple[str, str]], values: list[Given]) -> Test:
    first, last = spans[0]
    match operator:
        case Operator.BEFORE:
            return Compared(Comparison.LESS, first)
        case Operator.AFTER:
            return Compared(Comparison.GREATER, last)
        case Operator.ON:
            return Between(first, last)
        case _:
            return _between(first, spans[1][1], values)


def _moment(prop: PropertyRow, given: Given, time_zone: tzinfo) -> tuple[str, str]:
    """The first and the last millisecond that a value means: a day of the time zone, or one moment."""
    value, path = given
    if isinstance(value, str) and DATE.fullmatch(value):
        day = date.fromisoformat(_stored(replace(prop, type="DATE"), given))
        return _start(day, time_zone), _end(day, time_zone)
    try:
        stored = _stored(prop, given)
    except InvalidValue as problem:
        expected = f'{problem.details["expected"]}, or a day such as "2026-01-31"'
        raise InvalidValue(property=prop.name, value=shown(value), expected=expected, path=path) from None
    return stored, stored


def _start(day: date, time_zone: tzinfo) -> str:
    try:
        # A midnight that daylight saving skips is told by the offset before it: the first moment after the gap.
        return _text(datetime.combine(day, time(), time_zone).astimezone(UTC))
    except OverflowError:
        return FIRST_MOMENT


def _end(day: date, time_zone: tzinfo) -> str:
    try:
        following = datetime.combine(day + timedelta(days=1), time(), time_zone)
        return _text(following.astimezone(UTC) - timedelta(milliseconds=1))
    except OverflowError:
        return LAST_MOMENT


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
