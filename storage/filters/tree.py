"""The filter as a value: what a record must be like, bound to the ids and types of one account's definitions.

Every fold (SQL, Python, references, explanation) handles every class here and ends in `assert_never`. Trees are
hashable.
"""

import enum
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TypeAlias

from storage.filters.times import Edge

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
class Bound:
    """A time that moves with the clock; `included`: the value may lie on it."""

    edge: Edge
    included: bool


@dataclass(frozen=True, slots=True)
class Within:
    """The date or moment lies between two times that move with the clock; None: it is open there."""

    low: Bound | None
    high: Bound | None


@dataclass(frozen=True, slots=True)
class Offset:
    """A span added to a date or moment, before it (negative) or after it. One of the three is not 0.

    Between two moments a day is 24 hours, and months are those of UTC.
    """

    months: int = 0
    days: int = 0
    minutes: int = 0


@dataclass(frozen=True, slots=True)
class ComparedWith:
    """The value compares with that of another property of the same record, `offset` added to it.

    `place`: in place of comparing, the text has the other one there. `zone`: the days of both compare, those of moments
    by its clocks. Without the other, or where it is no date or moment of which more than the text is asked, there is no
    value.
    """

    comparison: Comparison
    other: "Property"
    offset: Offset | None = None
    place: Place | None = None
    zone: tzinfo | None = None


Test: TypeAlias = Known | OneOf | Holds | Chosen | Compared | Between | Within | ComparedWith


class Index(enum.Enum):
    """A side table that finds the records of a value."""

    # Of searchable properties; it knows their order.
    VALUES = "VALUES"
    # Of all others: hashes, for equality. The record itself is looked at as well.
    KEYS = "KEYS"
    # Of those that are told so: hashes of the parts of texts. The record itself is looked at as well.
    PARTS = "PARTS"


# --- filters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Property:
    """A property as filters know it. `type` as in `storage.catalogue.PropertyRow`.

    `column`: one of the record's own moments in place of a property (`id` is then 0, `type` DATETIME). `seed`: what is
    mixed into the hashes of its parts.
    """

    id: int
    object_type_id: int
    name: str
    type: str
    multiple: bool = False
    column: str | None = None
    seed: int = 0


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


# --- leaves on what is kept beside the record ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HistoryLeaf:
    """One of the values that a property ever had passes the test; `negated`: it had some, and none passes.

    `include_empty`: whether a record that never had a value meets it.
    """

    property: Property
    test: OneOf | Holds | Chosen
    negated: bool = False
    include_empty: bool = False


@dataclass(frozen=True, slots=True)
class UpdatedLeaf:
    """A property was set or cleared after a time that moves with the clock; `negated`: it was, but not since.

    `include_empty`: whether a record of which it never was meets it.
    """

    property: Property
    since: Edge
    negated: bool = False
    include_empty: bool = False


class Authorship(enum.StrEnum):
    """What somebody did to a record."""

    CREATED = "CREATED"
    # Changed a property after it was made.
    UPDATED = "UPDATED"
    EITHER = "EITHER"


@dataclass(frozen=True, slots=True)
class SourceLeaf:
    """The record was made or changed by one of these kinds of source, or by one source of its kind alone."""

    object_type_id: int
    authorship: Authorship
    sources: tuple[str, ...]
    source_id: str | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class SegmentLeaf:
    """The record is in a segment."""

    segment_id: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class WorkflowLeaf:
    """The record has an enrollment in a workflow that has one of these statuses; none named: of any status."""

    workflow_id: int
    statuses: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class EventLeaf:
    """So many events of a type that meet `where` occurred to the record in a window of time.

    `where` is of properties of the event, as a record's. The window is open where nothing is given; `since` moves with
    the clock. `negated`: none did (`comparison` and `count` say nothing then).
    """

    event_type_id: int
    comparison: Comparison = Comparison.GREATER_OR_EQUAL
    count: int = 1
    where: "Filter | None" = None
    since: Edge | None = None
    after: datetime | None = None
    before: datetime | None = None
    negated: bool = False

    @property
    def some(self) -> bool:
        """Whether one will do."""
        return self.comparison is Comparison.GREATER_OR_EQUAL and self.count == 1


Beside: TypeAlias = HistoryLeaf | UpdatedLeaf | SourceLeaf | SegmentLeaf | WorkflowLeaf
Leaf: TypeAlias = PropertyLeaf | Beside | EventLeaf
Filter: TypeAlias = And | Or | Not | PropertyLeaf | AssociatedLeaf | Beside | EventLeaf
