"""Reads of the past: a record's history of associations, and labels that are no more."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from engine import ids
from resolvers import listings, loaders
from resolvers.context import Context
from resolvers.listings import MalformedCursor
from resolvers.records import Found
from storage import association_history, labels
from storage.association_history import AssociationChange, Place
from storage.catalogue import AssociationTypeRow
from storage.database import Queryable
from storage.labels import Deleted

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = re.compile(r"change_([0-9]{1,17})_([0-9]{1,18})_([0-9]{1,18})_([0-9]{1,18})_([01])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of changes, newest first."""

    changes: tuple[AssociationChange, ...]
    has_next: bool
    has_previous: bool


async def page(
    context: Context, of: Found, to: str | None, other: str | None, first: int | None, after: str | None
) -> Page:
    """What came and went between a record and others, of one object type or one of them where that is asked."""
    size = listings.page_size(first)
    far = None if to is None else listings.object_type(context.catalogue, to).id
    number = None if other is None else ids.decode_at("record", other, "with")
    place = None if after is None else _place(after)

    async def read(reader: Queryable, numbers: Sequence[int]) -> list[list[AssociationChange]]:
        return await association_history.pages(
            reader, numbers, to_object_type_id=far, other_id=number, after=place, limit=size + 1
        )

    key = ("association history", far, number, place, size)
    rows = await loaders.loader(context, key, read).load(of.row.id)
    return Page(tuple(rows[:size]), len(rows) > size, after is not None)


def cursor(change: AssociationChange) -> str:
    """The cursor of a change."""
    at, *rest = change.place
    return "_".join(map(str, ("change", (at - EPOCH) // timedelta(microseconds=1), *map(int, rest))))


def _place(text: str) -> Place:
    match = CURSOR.fullmatch(text)
    if match is None:
        raise MalformedCursor(path=("after",), argument="after")
    moment, other, type_id, span, added = map(int, match.groups())
    return Place(EPOCH + timedelta(microseconds=moment), other, type_id, span, bool(added))


async def labels_of(context: Context, type_ids: Sequence[int]) -> list[AssociationTypeRow | Deleted]:
    """Labels as they are now or, where they were deleted, as they were last; without the unlabelled type."""
    types = context.catalogue.association_types
    found: list[AssociationTypeRow | Deleted] = []
    for type_id in type_ids:
        row = types.get(type_id)
        if row is None:
            gone = await loaders.loader(context, "deleted label", labels.deleted).load(type_id)
            if gone is not None:
                found.append(gone)
        elif not row.unlabelled:
            found.append(row)
    return found
