"""What a query wants, without a word of GraphQL or SQL: record and connection parts, pages and their order.

A selection is a tree of frozen values. Keys are the answer's, in the answer's order.
"""

import enum
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from storage.catalogue import ObjectTypeRow
from storage.filters.tree import Filter


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that is filled in when a plan runs, by its name."""

    name: str


# --- order and pages --------------------------------------------------------------------------------------


class Kind(enum.Enum):
    """How values of an order compare. Booleans and dates compare as their stored text."""

    TEXT = "TEXT"
    NUMBER = "NUMBER"
    MOMENT = "MOMENT"


Value: TypeAlias = str | Decimal | datetime | None


@dataclass(frozen=True, slots=True)
class Term:
    """One part of an order: a property, or (`column`) a moment of the record itself.

    Records without a value come last in both directions. `index`: the id of a property of which the side table of
    values is complete; no part of what the order is called.
    """

    name: str
    kind: Kind
    descending: bool = False
    column: bool = False
    index: int | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """Terms, the most important first; the id breaks ties."""

    terms: tuple[Term, ...] = ()
    id_descending: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an order: the values of its terms there, and the id."""

    values: tuple[Value, ...]
    id: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page of at most `size`; `backward` takes the last ones. Positions themselves are excluded.

    `fingerprint` (eight hexadecimal digits) names the list; its cursors carry it.
    """

    fingerprint: str
    size: int
    order: Order = Order()
    backward: bool = False
    after: Position | None = None
    before: Position | None = None


# --- where records come from --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Records:
    """All visible records of one object type."""

    object_type_id: int
    where: Filter | None = None


@dataclass(frozen=True, slots=True)
class Associated:
    """Visible records of one object type that are associated with a record.

    `labels`: type ids of which an association must have one; None any, empty: the unlabelled only. `as_of`: those
    that stood at that time; None: that stand.
    """

    object_type_id: int
    unlabelled_id: int
    labels: tuple[int, ...] | None = None
    where: Filter | None = None
    as_of: datetime | None = None


Source: TypeAlias = Records | Associated


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a source."""

    source: Source
    page: Page


# --- what is wanted of them ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant:
    """Finished JSON text."""

    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The id, as clients see it: `prefix` and the number."""

    prefix: str


@dataclass(frozen=True, slots=True)
class DisplayName:
    """How the record is called; `prefix` for those that are called by their id."""

    alternatives: tuple[tuple[str, ...], ...]
    prefix: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the record, null when there is none."""

    column: str


@dataclass(frozen=True, slots=True)
class Properties:
    """An object of values: of `names`, null where there is none; or of all that have one, except `hidden`."""

    names: tuple[str, ...] | None
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PropertyValue:
    """The value of one property."""

    name: str


@dataclass(frozen=True, slots=True)
class AssociationCount:
    """How many records of a type are associated; null when there never was one.

    `to_object_type_id` and `unlabelled_id` are the pair's; `labels` as in `Associated`.
    """

    to_object_type_id: int
    unlabelled_id: int
    labels: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Connection:
    """A page of records as edges, nodes, page information and a total."""

    listing: Listing
    parts: tuple[tuple[str, "ConnectionPart"], ...]


RecordPart: TypeAlias = (
    Constant | Identity | DisplayName | Moment | Properties | PropertyValue | AssociationCount | Connection
)


@dataclass(frozen=True, slots=True)
class RecordParts:
    """What is wanted of each record."""

    parts: tuple[tuple[str, RecordPart], ...]


class PageFact(enum.Enum):
    """What is told of a page."""

    HAS_NEXT = "HAS_NEXT"
    HAS_PREVIOUS = "HAS_PREVIOUS"
    START = "START"
    END = "END"


@dataclass(frozen=True, slots=True)
class PageInfo:
    """Facts of the page."""

    parts: tuple[tuple[str, Constant | PageFact], ...]


@dataclass(frozen=True, slots=True)
class Total:
    """How many there are on all pages."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The records of the page."""

    node: RecordParts


class EdgeFact(enum.Enum):
    """What is told of an edge itself. The last two are the association's."""

    CURSOR = "CURSOR"
    ASSOCIATED_AT = "ASSOCIATED_AT"
    ASSOCIATION_SOURCE = "ASSOCIATION_SOURCE"


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of an association: finished JSON text by association type id."""

    texts: tuple[tuple[int, str], ...]


EdgePart: TypeAlias = Constant | EdgeFact | Labels | RecordParts


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges of the page."""

    parts: tuple[tuple[str, EdgePart], ...]


ConnectionPart: TypeAlias = Constant | PageInfo | Total | Nodes | Edges


@dataclass(frozen=True, slots=True)
class One:
    """One record of an object type, archived or not; a merged one is its survivor. Null when there is none.

    Found by `id`, or by the canonical text of a unique property.
    """

    object_type_id: int
    node: RecordParts
    id: int | Slot | None = None
    unique: tuple[int, str] | None = None


Root: TypeAlias = One | Connection


@dataclass(frozen=True, slots=True)
class Selection:
    """A whole answer: roots by key."""

    roots: tuple[tuple[str, Root | Constant], ...]


def display(object_type: ObjectTypeRow) -> tuple[tuple[str, ...], ...] | None:
    """The alternatives of an object type's display rule; None where SQL and Python would word them differently."""
    for names in object_type.display:
        for name in names:
            prop = object_type.properties[name]
            if prop.type == "JSON" or prop.multiple:
                return None
    return object_type.display
