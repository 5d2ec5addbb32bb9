"""The filter as a value: what a record must be like, bound to the ids and types of one account's definitions.

Every fold (SQL, Python, references, explanation) handles every class here and ends in `assert_never`. Trees are
hashable; `shape` takes the literal values out, so that trees which differ only in them share one plan, and
`values` lists them in the order in which the SQL fold asks for them.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeAlias, assert_never

Scalar: TypeAlias = str | int | float | bool


class Comparison(enum.StrEnum):
    """How two values of one type, or a number of records and a number, compare."""

    EQUAL = "="
    NOT_EQUAL = "<>"
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


class Place(enum.Enum):
    """Where a text is looked for in another."""

    ANYWHERE = "ANYWHERE"
    START = "START"
    END = "END"


class Choice(enum.Enum):
    """How the choices of a record relate to those that a filter names."""

    ANY = "ANY"
    ALL = "ALL"
    EXACTLY = "EXACTLY"


class Quantifier(enum.StrEnum):
    """How many of the associated records must meet the nested filter."""

    ANY = "ANY"
    # All of them, and at least one.
    ALL = "ALL"
    NONE = "NONE"
    COUNT = "COUNT"


# --- tests of a property's value ----------------------------------------------------------------------------
# Each is about a record that has a value; what holds without one is the leaf's `include_empty`.


@dataclass(frozen=True, slots=True)
class Known:
    """There is a value."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of these."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Holds:
    """The text has one of these at its start, at its end or anywhere."""

    place: Place
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The choices of a multiple-choice property: any of these, all of these (perhaps more), exactly these."""

    choice: Choice
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """The number, date or moment compares with this one. Dates and moments compare as their stored text."""

    comparison: Comparison
    value: int | float | str


@dataclass(frozen=True, slots=True)
class Between:
    """The number, date or moment lies between these, both included."""

    low: int | float | str
    high: int | float | str


@dataclass(frozen=True, slots=True)
class ComparedWith:
    """The value compares with that of another property of the same record; without it there is no value."""

    comparison: Comparison
    other: "Property"


Test: TypeAlias = Known | OneOf | Holds | Chosen | Compared | Between | ComparedWith


# --- filters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Property:
    """A property as filters know it. `type` as in `storage.catalogue.PropertyRow`."""

    id: int
    object_type_id: int
    name: str
    type: str
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold. Leaves are true or false, never unknown, so this is plain negation."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class PropertyLeaf:
    """A test of a property's value; `negated`: there is a value and the test fails.

    `include_empty`: whether a record without a value meets it. `indexed`: the side table of searchable values
    answers the test.
    """

    property: Property
    test: Test
    negated: bool = False
    include_empty: bool = False
    indexed: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """Which associated records a leaf regards, each once: visible ones under any of `type_ids`.

    `inverse_type_ids` are their inverses, in the same order. `only`: those whose association has no label
    (`type_ids` is then the unlabelled type alone).
    """

    from_object_type_id: int
    to_object_type_id: int
    type_ids: tuple[int, ...]
    inverse_type_ids: tuple[int, ...]
    only: bool = False


@dataclass(frozen=True, slots=True)
class AssociatedLeaf:
    """Any, all, none or a number of the associated records meet `where` (None: every one does).

    `comparison` and `count` are COUNT's. A record that never had such an association has no value:
    `include_empty` says whether it meets ANY, ALL or COUNT; it always meets NONE.
    """

    reach: Reach
    quantifier: Quantifier
    where: "Filter | None" = None
    comparison: Comparison = Comparison.EQUAL
    count: int = 0
    include_empty: bool = False


Filter: TypeAlias = And | Or | Not | PropertyLeaf | AssociatedLeaf


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
            return Chosen(choice, ())
        case Compared(comparison):
            return Compared(comparison, 0)
        case Between():
            return Between(0, 0)
        case _:
            assert_never(test)


def values(filter_: Filter) -> list[Any]:
    """The parameters of the tree's SQL, in the order in which `storage.filters.compile` adds them."""
    return list(_values(filter_))


def _values(filter_: Filter) -> Iterator[Any]:
    match filter_:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _values(part)
        case Not(part):
            yield from _values(part)
        case PropertyLeaf(prop):
            if not filter_.indexed:
                yield prop.name
                if isinstance(filter_.test, ComparedWith):
                    yield filter_.test.other.name
            yield from parameters(prop, filter_.test)
        case AssociatedLeaf(where=where):
            if where is not None:
                yield from _values(where)
            if filter_.quantifier is Quantifier.COUNT:
                yield filter_.count
        case _:
            assert_never(filter_)


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
