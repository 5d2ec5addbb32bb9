"""Lists of records: what a client's arguments mean, checked, as a `Listing`. All fields that list records ask here."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2s
from typing import Any

import orjson

from engine.filters import bind
from engine.filters.definition import LEAVES
from engine.filters.problems import UnknownLabel
from engine.problems import Problem, UnknownObjectType, at
from engine.records.problems import UnknownProperty
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow
from storage.filters.tree import And, Filter, SegmentLeaf
from storage.selection.orders import CursorMalformed, CursorOfAnotherQuery, position
from storage.selection.tree import (
    Associated,
    AssociationCount,
    Kind,
    Listing,
    Order,
    Page,
    Position,
    Records,
    Term,
)

PAGE_SIZE = 50
# No setting allows more. The server refuses what is beyond its own limit before anything is run.
LARGEST_PAGE = 10_000
MOST_ORDERS = 10


class OrderField(enum.StrEnum):
    """What every record can be sorted by."""

    ID = "ID"
    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"
    LAST_ASSOCIATION_CHANGE_AT = "LAST_ASSOCIATION_CHANGE_AT"


class Direction(enum.StrEnum):
    """Which end comes first."""

    ASC = "ASC"
    DESC = "DESC"


KINDS = {"NUMBER": Kind.NUMBER}


class InvalidPageSize(Problem):
    """ "{argument}" must be between 0 and {limit}; this was {given}."""


class FirstAndLast(Problem):
    """Give either "first" or "last", not both."""


class MalformedCursor(Problem):
    """The cursor given as "{argument}" is not one of ours; pass cursors as you received them."""


class WrongCursor(Problem):
    """The cursor given as "{argument}" belongs to a list with another order, filter or kind of record."""


class InvalidOrder(Problem):
    """{reason}"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A client's arguments of a list. `where` and `order_by` are plain values under camelCase keys."""

    where: Mapping[str, Any] | None = None
    order_by: Sequence[Mapping[str, Any]] = ()
    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None


def definition(where: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A filter as it came in, without the members that are null: what they leave out is not said either."""
    if where is None:
        return None
    told: dict[str, Any] = {}
    for name, part in where.items():
        if part is None:
            continue
        if name in ("and", "or"):
            told[name] = [definition(each) for each in part]
        elif name in ("not", "where", "associated", "event"):
            told[name] = definition(part)
        elif name in LEAVES:
            told[name] = {member: value for member, value in part.items() if value is not None}
        else:
            told[name] = part
    return told


def object_type(catalogue: Catalogue, name: str) -> ObjectTypeRow:
    """An object type by its internal name; raises `UnknownObjectType`."""
    found = catalogue.by_name.get(name)
    if found is None:
        raise UnknownObjectType(name=name[:100])
    return found


def prop(of: ObjectTypeRow, name: str) -> PropertyRow:
    """A live property by its internal name; raises `UnknownProperty`."""
    found = of.live(name)
    if found is None:
        raise UnknownProperty(object_type=of.name, property=name[:100])
    return found


def label_types(
    catalogue: Catalogue, near: ObjectTypeRow, far: ObjectTypeRow, labels: Sequence[str] | None
) -> tuple[int, ...] | None:
    """The types that labels name, standing at `near`; raises `UnknownLabel`."""
    if labels is None:
        return None
    return tuple(sorted({label(catalogue, near, far, name).id for name in labels}))


def label(catalogue: Catalogue, near: ObjectTypeRow, far: ObjectTypeRow, name: str) -> AssociationTypeRow:
    """A label by its internal name, standing at `near`; raises `UnknownLabel`."""
    found = catalogue.label(near.id, far.id, name)
    if found is None:
        known = [row.name for row in catalogue.between(near.id, far.id) if row.name is not None]
        raise UnknownLabel(
            path=("labels",), label=name[:100], object_type=near.name, to=far.name, known=known
        )
    return found


def records(catalogue: Catalogue, of: ObjectTypeRow, asked: Asked) -> Listing:
    """Records of one object type."""
    where = condition(catalogue, of, asked)
    return _listing(Records(of.id, where), of, asked, ["records", of.id])


def members(catalogue: Catalogue, of: ObjectTypeRow, segment_id: int, asked: Asked) -> Listing:
    """Records of one object type that are in a segment."""
    where = condition(catalogue, of, asked)
    inside = SegmentLeaf(segment_id)
    source = Records(of.id, inside if where is None else And((inside, where)))
    return _listing(source, of, asked, ["members", segment_id])


def associated(
    catalogue: Catalogue,
    near: ObjectTypeRow,
    to: str,
    labels: Sequence[str] | None,
    asked: Asked,
    as_of: datetime | None = None,
) -> Listing:
    """Records of the object type `to` that are associated with one of `near`, or were at a time."""
    far = object_type(catalogue, to)
    types = label_types(catalogue, near, far, labels)
    source = Associated(
        far.id,
        catalogue.unlabelled(near.id, far.id).id,
        types,
        condition(catalogue, far, asked),
        _whole(as_of),
    )
    names = ["associated", near.id, far.id, types]
    return _listing(source, far, asked, names if as_of is None else [*names, as_of.isoformat()])


def _whole(moment: datetime | None) -> datetime | None:
    """The end of a millisecond: clients are told no more of a moment, and what happened in it has happened."""
    return None if moment is None else moment.replace(microsecond=moment.microsecond // 1000 * 1000 + 999)


def association_count(
    catalogue: Catalogue, near: ObjectTypeRow, to: str, labels: Sequence[str] | None
) -> AssociationCount:
    """The number of records of the object type `to` that are associated with one of `near`."""
    far = object_type(catalogue, to)
    types = label_types(catalogue, near, far, labels)
    return AssociationCount(far.id, catalogue.unlabelled(near.id, far.id).id, types)


def condition(catalogue: Catalogue, of: ObjectTypeRow, asked: Asked) -> Filter | None:
    """The filter that a client gave; raises what `bind` raises, told from the argument."""
    if asked.where is None:
        return None
    with at("where"):
        return bind(asked.where, of, catalogue)


def _listing(source: Records | Associated, of: ObjectTypeRow, asked: Asked, names: list[Any]) -> Listing:
    ordering = order(of, asked.order_by)
    spoken = orjson.dumps(
        [*names, asked.where, [str(ordering)]], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )
    fingerprint = blake2s(spoken, digest_size=4).hexdigest()
    size, backward = _size(asked)
    return Listing(
        source,
        Page(
            fingerprint,
            size,
            ordering,
            backward,
            _position("after", asked.after, fingerprint, ordering),
            _position("before", asked.before, fingerprint, ordering),
        ),
    )


def page_size(given: int | None, argument: str = "first") -> int:
    """How many a page has at most; raises `InvalidPageSize`."""
    size = PAGE_SIZE if given is None else given
    if not 0 <= size <= LARGEST_PAGE:
        raise InvalidPageSize(path=(argument,), argument=argument, limit=LARGEST_PAGE, given=size)
    return size


def _size(asked: Asked) -> tuple[int, bool]:
    if asked.first is not None and asked.last is not None:
        raise FirstAndLast
    if asked.last is not None:
        return page_size(asked.last, "last"), True
    return page_size(asked.first), False


def _position(argument: str, cursor: str | None, fingerprint: str, ordering: Order) -> Position | None:
    if cursor is None:
        return None
    try:
        return position(cursor, fingerprint, ordering)
    except CursorMalformed:
        raise MalformedCursor(path=(argument,), argument=argument) from None
    except CursorOfAnotherQuery:
        raise WrongCursor(path=(argument,), argument=argument) from None


def order(of: ObjectTypeRow, asked: Sequence[Mapping[str, Any]]) -> Order:
    """What a client wants to sort by; raises `InvalidOrder` and `UnknownProperty`. What follows an id is no matter."""
    if len(asked) > MOST_ORDERS:
        raise InvalidOrder(path=("orderBy",), reason=f"At most {MOST_ORDERS} orders can be combined.")
    terms: list[Term] = []
    for n, one in enumerate(asked):
        name, column = one.get("property"), one.get("field")
        descending = one.get("direction") == Direction.DESC
        if (name is None) is (column is None):
            raise InvalidOrder(
                path=("orderBy", n), reason='Each order names either a "property" or a "field", not both.'
            )
        if column == OrderField.ID:
            return Order(tuple(terms), descending)
        if column is not None:
            terms.append(Term(column.lower(), Kind.MOMENT, descending, column=True))
            continue
        found = prop(of, str(name))
        if found.type == "JSON" or found.multiple:
            raise InvalidOrder(
                path=("orderBy", n), reason=f'Records cannot be sorted by "{found.name}": it has no order.'
            )
        kind, index = KINDS.get(found.type, Kind.TEXT), found.id if found.reads_values else None
        terms.append(Term(found.name, kind, descending, index=index))
    # Ids follow the direction of what they break ties of: then an index is read from one end to the other.
    return Order(tuple(terms), bool(terms) and terms[-1].descending)
