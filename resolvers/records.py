"""Reads of records, field by field: what is no part of a compiled selection, or stands beside one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from engine import ids, values
from engine.batches import check_size
from engine.problems import Problem
from resolvers import listings, loaders
from resolvers.batches import malformed
from resolvers.context import Context
from resolvers.listings import Asked, MalformedCursor
from storage import unique_values
from storage.catalogue import ObjectTypeRow
from storage.record_history import NEWEST
from storage.records import HistoryRow, RecordRow
from storage.selection import pages
from storage.selection.pages import PageRow
from storage.selection.tree import Listing

HISTORY_CURSOR = re.compile(r"version_([1-9][0-9]{0,17})", re.ASCII)


class IdOrUnique(Problem):
    """A record is asked for either by "id" or by "by", not by both or none."""


class NotUnique(Problem):
    """The property "{property}" is not unique; records are found by unique properties only."""


class ObjectTypeNeeded(Problem):
    """Say the record's "objectType" as well: a property's name means nothing without it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record and its object type."""

    row: RecordRow
    of: ObjectTypeRow


@dataclass(frozen=True, slots=True)
class Listed:
    """A page, its object type, and what is needed to count all pages. `source` is None for records at large."""

    listing: Listing
    page: PageRow
    of: ObjectTypeRow
    near: ObjectTypeRow | None = None
    source: int | None = None


def found(context: Context, row: RecordRow) -> Found:
    """A record with its object type."""
    return Found(row, context.catalogue.object_types[row.object_type_id])


async def record(
    context: Context, object_type: str | None, record_id: str | None, by: tuple[str, Any] | None
) -> Found | None:
    """One record, archived or not; a merged one is its survivor. Raises problems of the arguments."""
    if (record_id is None) is (by is None):
        raise IdOrUnique
    of = None if object_type is None else listings.object_type(context.catalogue, object_type)
    if record_id is not None:
        number: int | None = ids.decode("record", record_id)
    else:
        assert by is not None
        if of is None:
            raise ObjectTypeNeeded
        number = await _holder(context, of, *by)
    row = None if number is None else await loaders.record(context).load(number)
    if row is None or (of is not None and row.object_type_id != of.id):
        return None
    return found(context, row)


async def by_ids(context: Context, record_ids: Sequence[str]) -> list[Found | None]:
    """Records in the order asked, archived or not; merged ones are their survivors; None: nobody's id."""
    check_size(record_ids, context.batch_limit)
    numbers = {each: ids.decode("record", each) for each in record_ids if not malformed("record", each)}
    rows = dict(zip(numbers, await loaders.record(context).load_many(list(numbers.values())), strict=True))
    return [None if (row := rows.get(each)) is None else found(context, row) for each in record_ids]


async def _holder(context: Context, of: ObjectTypeRow, name: str, value: Any) -> int | None:
    prop = listings.prop(of, name)
    if not prop.is_unique:
        raise NotUnique(path=("by", "property"), property=name)
    normal = values.normalize(prop, value)
    if normal is None:
        return None
    text = values.canonical(prop, normal)
    async with context.db.read(context.account_id) as reader:
        return (await unique_values.find(reader, prop.id, [text])).get(text)


async def listed(context: Context, object_type: str, asked: Asked) -> Listed:
    """A page of records of one object type."""
    of = listings.object_type(context.catalogue, object_type)
    listing = listings.records(context.catalogue, of, asked)
    async with context.db.read(context.account_id) as reader:
        (page,) = await pages.pages(reader, listing, [0], now=context.now)
    return Listed(listing, page, of)


async def associated(
    context: Context,
    of: Found,
    to: str,
    labels: Sequence[str] | None,
    asked: Asked,
    as_of: datetime | None = None,
) -> Listed:
    """A page of records that are associated with one, or were at a time."""
    near = of.of
    key = (near.id, to, None if labels is None else tuple(labels), _key(asked), as_of)
    listing = loaders.remembered(
        context, key, lambda: listings.associated(context.catalogue, near, to, labels, asked, as_of)
    )
    page = await loaders.page(context, listing).load(of.row.id)
    return Listed(listing, page, listings.object_type(context.catalogue, to), near, of.row.id)


async def total(context: Context, of: Listed) -> int:
    """How many records there are on all pages."""
    return await loaders.total(context, of.listing).load(of.source or 0)


async def association_count(context: Context, of: Found, to: str, labels: Sequence[str] | None) -> int | None:
    """How many records are associated; None when there never was one."""
    wanted = listings.association_count(context.catalogue, of.of, to, labels)
    return await loaders.count(context, wanted).load(of.row.id)


def properties(of: Found, names: Sequence[str] | None) -> dict[str, Any]:
    """Values by name: of all live properties that have one, or of those named, None where there is none."""
    if names is None:
        return {name: value for name, value in of.row.properties.items() if of.of.live(name) is not None}
    return {
        prop.name: of.row.properties.get(prop.name)
        for prop in (listings.prop(of.of, name) for name in dict.fromkeys(names))
    }


@dataclass(frozen=True, slots=True)
class History:
    """A page of changes, newest first."""

    changes: tuple[HistoryRow, ...]
    has_next: bool
    has_previous: bool


async def history(
    context: Context, of: Found, name: str | None, first: int | None, after: str | None
) -> History:
    """Changes of a record's properties, or of one of them; newest first."""
    size = listings.page_size(first)
    prop = None if name is None else _any_property(of.of, name)
    before = NEWEST if after is None else _version(after)
    rows = await loaders.history(context, prop, before, size + 1).load(of.row.id)
    return History(tuple(rows[:size]), len(rows) > size, after is not None)


def history_cursor(change: HistoryRow) -> str:
    """The cursor of a change."""
    return f"version_{change.version}"


def _version(cursor: str) -> int:
    match = HISTORY_CURSOR.fullmatch(cursor)
    if match is None:
        raise MalformedCursor(path=("after",), argument="after")
    return int(match[1])


def _any_property(of: ObjectTypeRow, name: str) -> str:
    """Archived properties have a history, too."""
    return name if name in of.properties else listings.prop(of, name).name


def _key(asked: Asked) -> bytes:
    return orjson.dumps(
        [asked.where, list(asked.order_by), asked.first, asked.after, asked.last, asked.before],
        default=str,
    )
