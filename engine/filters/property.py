"""Binding the property leaf: a property, an operator that fits its type, and values in their stored form."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from engine.filters import operators, relative
from engine.filters.binding import Binding, include_empty, leaf_body, operator_at, text_at
from engine.filters.moments import Given, between, moment, moments, stored
from engine.filters.operators import NEGATIVE, Operator
from engine.filters.problems import (
    MalformedLeaf,
    OperatorDoesNotFit,
    PropertiesNotComparable,
    TooManyValues,
    UnknownProperty,
    ValuesMissing,
)
from engine.values import InvalidValue, shown, tidy
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.filters.indexes import beyond
from storage.filters.tree import (
    Between,
    Choice,
    Chosen,
    Compared,
    ComparedWith,
    Comparison,
    HistoryLeaf,
    Holds,
    Index,
    Known,
    Leaf,
    OneOf,
    Place,
    Property,
    PropertyLeaf,
    Test,
    UpdatedLeaf,
)
from storage.property_parts import narrows
from storage.property_values import TEXT_KEPT

PROPERTY = "property"
KEYS = ("name", "operator", "value", "values", "other", "offset", "unit", "includeEmpty")
VALUES_LIMIT = 1_000

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
    {
        *operators.COMPARING,
        *operators.FROM_NOW,
        *operators.UPDATED,
        Operator.BEFORE,
        Operator.AFTER,
        Operator.ON,
    }
)


def bind_property(body: Any, object_type: ObjectTypeRow, binding: Binding) -> Leaf:
    """The leaf that `body` describes for records of `object_type`. Raises the problem at its path."""
    given = leaf_body(PROPERTY, body, KEYS)
    prop = _property(given, "name", object_type)
    return bind_value(given, prop, _reference(prop), operators.fitting(prop), object_type, binding)


def bind_value(
    given: dict[str, Any],
    prop: PropertyRow,
    reference: Property,
    fitting: tuple[Operator, ...],
    object_type: ObjectTypeRow,
    binding: Binding,
) -> Leaf:
    """The leaf that asks `given` of a property's values, with an operator that is one of `fitting`."""
    operator = operator_at(PROPERTY, given, fitting)
    if operator not in fitting:
        raise _unfit(operator, prop, fitting)
    negated = operator in NEGATIVE or operator is Operator.UNKNOWN
    empty = include_empty(given, binding.definition_of)
    if operator in operators.UPDATED:
        _values(operator, given)
        return UpdatedLeaf(reference, relative.since(PROPERTY, given, binding.time_zone), negated, empty)
    if operator in (*operators.EVER, *operators.EVER_CONTAINED):
        relative.no_unit(PROPERTY, given)
        return HistoryLeaf(reference, _ever(operator, prop, _values(operator, given)), negated, empty)
    test = _test(operator, prop, given, object_type, binding.time_zone)
    index = None if negated or empty or reference.column is not None else _index(prop, test)
    return PropertyLeaf(reference, test, negated, empty, index)


def _property(given: Mapping[str, Any], key: str, object_type: ObjectTypeRow) -> PropertyRow:
    name = text_at(PROPERTY, given, key)
    prop = object_type.live(name)
    if prop is None:
        raise UnknownProperty(property=tidy(name), object_type=object_type.name, path=(PROPERTY, key))
    return prop


def _reference(prop: PropertyRow) -> Property:
    return Property(prop.id, prop.object_type_id, prop.name, prop.type, prop.multiple, seed=prop.parts_seed)


def _index(prop: PropertyRow, test: Test) -> Index | None:
    """The side table that finds the records of a test, as the property's indexes stand."""
    found = _index_of_values(prop, test)
    if found is None and prop.reads_parts and isinstance(test, Holds):
        return Index.PARTS if all(narrows(test.place, text) for text in test.values) else None
    return found


def _index_of_values(prop: PropertyRow, test: Test) -> Index | None:
    if not prop.reads_values:
        return Index.KEYS if isinstance(test, OneOf | Chosen) else None
    match test:
        # The side table keeps the beginning of a text.
        case OneOf(values) if all(not isinstance(one, str) or len(one) < TEXT_KEPT for one in values):
            return Index.VALUES
        case Compared() | Between() | Chosen():
            return Index.VALUES
        # A beginning is a range; no other part of a text is.
        case Holds(Place.START, (one,)) if len(one) < TEXT_KEPT and beyond(one) is not None:
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
    operator: Operator,
    prop: PropertyRow,
    given: Mapping[str, Any],
    object_type: ObjectTypeRow,
    time_zone: tzinfo,
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
    # A day and a moment compare as days, and so do moments that are to be on one day.
    days = prop.type != other.type if "DATE" in (prop.type, other.type) else operator is Operator.ON
    offset = relative.offset(PROPERTY, "DATE" if days else prop.type, given)
    if operator in PLACES:
        return ComparedWith(Comparison.EQUAL, _reference(other), place=PLACES[operator])
    zone = time_zone if days else None
    return ComparedWith(COMPARISONS[operator], _reference(other), offset, zone=zone)


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
    if operator in (Operator.KNOWN, Operator.UNKNOWN, *operators.CALENDAR):
        return None if count == 0 else "no value"
    if operator is Operator.BETWEEN:
        return None if count == 2 else 'two "values", the lowest and the highest'
    if operator in SINGLE:
        return None if count == 1 else 'one "value"'
    return None if count else 'at least one of "values"'


def _test(
    operator: Operator,
    prop: PropertyRow,
    given: Mapping[str, Any],
    object_type: ObjectTypeRow,
    time_zone: tzinfo,
) -> Test:
    if "other" in given:
        return _other(operator, prop, given, object_type, time_zone)
    values = _values(operator, given)
    if operator in operators.FROM_NOW:
        return relative.from_now(PROPERTY, operator, prop.type, given, time_zone)
    if operator in operators.CALENDAR:
        return relative.calendar(PROPERTY, operator, given, time_zone)
    relative.no_unit(PROPERTY, given)
    if operator in (Operator.KNOWN, Operator.UNKNOWN):
        return Known()
    if operator in PLACES:
        return _parts(PLACES[operator], prop, values)
    if prop.multiple:
        return _choices(CHOICES[operator], prop, values)
    if prop.type == "DATETIME":
        return moments(operator, [moment(prop, value, time_zone) for value in values], values)
    return _scalars(operator, prop, values)


def _ever(operator: Operator, prop: PropertyRow, values: list[Given]) -> OneOf | Holds | Chosen:
    if prop.multiple:
        return _choices(Choice.EXACTLY if operator in operators.EVER else Choice.ANY, prop, values)
    if operator in operators.EVER_CONTAINED:
        return _parts(Place.ANYWHERE, prop, values)
    return OneOf(tuple(sorted(set(_stored(prop, values)))))


def _parts(place: Place, prop: PropertyRow, values: list[Given]) -> Holds:
    # A part of a phone number is no phone number, and a part of a text any text.
    text = replace(prop, type="STRING")
    return Holds(place, tuple(stored(text, value) for value in values))


def _choices(choice: Choice, prop: PropertyRow, values: list[Given]) -> Chosen:
    return Chosen(choice, tuple(sorted({_choice(prop, value) for value in values})))


def _stored(prop: PropertyRow, values: list[Given]) -> list[Any]:
    keep = _choice if prop.type == "ENUMERATION" else stored
    return [keep(prop, value) for value in values]


def _scalars(operator: Operator, prop: PropertyRow, values: list[Given]) -> Test:
    given = _stored(prop, values)
    match operator:
        case Operator.EQUALS | Operator.NOT_EQUALS | Operator.ANY_OF | Operator.NONE_OF | Operator.ON:
            return OneOf(tuple(sorted(set(given))))
        case Operator.EXACTLY | Operator.CONTAINS_ALL:
            if len(set(given)) > 1:
                raise ValuesMissing(
                    operator=operator.value,
                    expected='one "value", since the property holds one choice',
                    count=len(values),
                    path=(PROPERTY, "values"),
                )
            return OneOf((given[0],))
        case Operator.BETWEEN:
            return between(given[0], given[1], values)
        case _:
            return Compared(COMPARISONS[operator], given[0])


def _choice(prop: PropertyRow, given: Given) -> str:
    """The value of an option; archived ones too, since records may still hold them."""
    value, path = given
    known = [option["value"] for option in prop.options]
    if value not in known:
        expected = f"one of {', '.join(known[:20])}{' …' if len(known) > 20 else ''}"
        raise InvalidValue(property=prop.name, value=shown(value), expected=expected, path=path)
    return str(value)
