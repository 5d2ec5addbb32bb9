"""A tree's shape, and its literal values apart: trees that differ only in these share one SQL text, and one plan."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, assert_never

from storage.filters.indexes import all_selective, from_the_other_end, lookup
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    Between,
    Chosen,
    Compared,
    ComparedWith,
    Filter,
    Holds,
    Known,
    Not,
    OneOf,
    Or,
    Place,
    Property,
    PropertyLeaf,
    Quantifier,
    Scalar,
    Test,
)

# --- shape and values ---------------------------------------------------------------------------------------


def shape(filter_: Filter) -> Filter:
    """The tree without its literal values; trees of one shape compile to one SQL text."""
    match filter_:
        case And(parts):
            return And(tuple(shape(part) for part in parts))
        case Or(parts):
            return Or(tuple(shape(part) for part in parts))
        case Not(part):
            return Not(shape(part))
        case PropertyLeaf():
            return replace(filter_, test=_test_shape(filter_.test))
        case AssociatedLeaf():
            where = None if filter_.where is None else shape(filter_.where)
            return replace(filter_, where=where, count=0)
        case _:
            assert_never(filter_)


def _test_shape(test: Test) -> Test:
    match test:
        case Known() | ComparedWith():
            return test
        case OneOf(values):
            # One value is compared, several are looked up: two plans.
            return OneOf((0,) * min(len(values), 2))
        case Holds(place):
            return Holds(place, ())
        case Chosen(choice):
            # As for OneOf.
            return Chosen(choice, ("",) * min(len(test.values), 2))
        case Compared(comparison):
            return Compared(comparison, 0)
        case Between():
            return Between(0, 0)
        case _:
            assert_never(test)


def values(filter_: Filter) -> list[Any]:
    """The parameters of the tree's SQL, in the order in which `storage.filters.compile` adds them."""
    return list(_values(filter_, True))


def _values(filter_: Filter, indexes: bool) -> Iterator[Any]:
    match filter_:
        case And(parts):
            for part in parts:
                yield from _values(part, indexes)
        case Or(parts):
            for part in parts:
                yield from _values(part, indexes and all_selective(parts))
        case Not(part):
            yield from _values(part, False)
        case PropertyLeaf():
            yield from _leaf_values(filter_, indexes)
        case AssociatedLeaf(where=where):
            if where is not None:
                yield from _values(where, from_the_other_end(filter_))
            if filter_.quantifier is Quantifier.COUNT:
                yield filter_.count
        case _:
            assert_never(filter_)


def _leaf_values(leaf: PropertyLeaf, indexes: bool) -> Iterator[Any]:
    wanted = lookup(leaf) if indexes else None
    if wanted is not None:
        yield wanted
    if wanted is not None or not indexes or leaf.index is None:
        yield leaf.property.name
        if isinstance(leaf.test, ComparedWith):
            yield leaf.test.other.name
    yield from parameters(leaf.property, leaf.test)


def parameters(prop: Property, test: Test) -> tuple[Any, ...]:
    """The literal values of a test, in the form in which the driver takes them."""
    match test:
        case Known() | ComparedWith():
            return ()
        case OneOf((value,)):
            return (_parameter(prop, value),)
        case OneOf(given):
            return ([_parameter(prop, value) for value in given],)
        case Holds(place, texts):
            return ([_pattern(place, text) for text in texts],)
        case Chosen(_, chosen):
            return (list(chosen),)
        case Compared(_, value):
            return (_parameter(prop, value),)
        case Between(low, high):
            return _parameter(prop, low), _parameter(prop, high)
        case _:
            assert_never(test)


def _parameter(prop: Property, value: Scalar) -> Any:
    # Decimals of the shortest text of a number are what its JSON holds.
    return Decimal(str(value)) if prop.type == "NUMBER" else value


def _pattern(place: Place, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    match place:
        case Place.ANYWHERE:
            return f"%{escaped}%"
        case Place.START:
            return f"{escaped}%"
        case Place.END:
            return f"%{escaped}"
        case _:
            assert_never(place)
