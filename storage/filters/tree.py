"""The filter as a value: what a record must be like, bound to the ids and types of one account's definitions.

Every fold (SQL, Python, references, explanation) handles every class here and ends in `assert_never`. Trees are
hashable.
"""

import enum
from dataclasses import dataclass
from typing import TypeAlias

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


class Index(enum.Enum):
    """A side table that finds the records of a value."""

    # Of searchable properties; it knows their order.
    VALUES = "VALUES"
    # Of all others: hashes, for equality. The record itself is looked at as well.
    KEYS = "KEYS"


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

    `include_empty`: whether a record without a value meets it. `index`: the side table that finds those who do.
    """

    property: Property
    test: Test
    negated: bool = False
    include_empty: bool = False
    index: Index | None = None


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
