"""Use cases of segments: made, edited and deleted; members by hand, by page; who is in which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import ids
from engine.batches import Outcome
from engine.problems import MalformedId, Problem
from engine.segments import bound, commands, hand
from engine.segments import uses as using
from engine.segments.uses import SegmentUse
from resolvers import listings, loaders
from resolvers.batches import Batch, Item, malformed, run
from resolvers.context import Context
from resolvers.listings import Asked, InvalidPageSize, MalformedCursor
from resolvers.records import Listed
from resolvers.writing import write
from storage import memberships
from storage import segments as stored
from storage.catalogue import ObjectTypeRow
from storage.database import Queryable, Transaction
from storage.memberships import Line, Membership
from storage.segments import SegmentDetails
from storage.selection import pages

LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list, and whether there is more of it on either side."""

    rows: Sequence[Any]
    has_next: bool
    has_previous: bool


async def create(
    context: Context, name: str, object_type: str, kind: str, where: Mapping[str, Any] | None
) -> SegmentDetails:
    """A new segment; see `engine.segments.commands.create`."""
    return await write(context, lambda tx: commands.create(tx, name, object_type, kind, where), defining=True)


async def update(
    context: Context,
    ident: str,
    version: int,
    name: str | None,
    kind: str | None,
    where: Mapping[str, Any] | None,
) -> SegmentDetails:
    """Change a segment; see `engine.segments.commands.update`."""
    number = ids.decode_at("segment", ident, "id")

    async def work(tx: Transaction) -> SegmentDetails:
        return await commands.update(tx, number, version, name=name, kind=kind, where=where)

    return await write(context, work, defining=True)


async def delete(context: Context, ident: str) -> SegmentDetails:
    """Delete a segment; see `engine.segments.commands.delete`."""
    number = ids.decode_at("segment", ident, "id")
    return await write(context, lambda tx: commands.delete(tx, number), defining=True)


async def by_hand(context: Context, ident: str, batch: Batch[str], *, joining: bool) -> list[Item[Any]]:
    """Add records to a static segment, or remove them; `value` says whether the record came or went."""
    number = ids.decode_at("segment", ident, "segmentId")

    async def work(tx: Transaction, given: list[str]) -> list[Outcome[bool]]:
        records = [ids.decode("record", one) for one in given]
        if joining:
            return await hand.add(tx, number, records, batch.mode)
        return await hand.remove(tx, number, records)

    return await run(context, batch, work, lambda one: malformed("record", one))


async def named(context: Context, ident: str) -> SegmentDetails | None:
    """The segment that a mutation named."""
    return await by_id(context, ids.decode_at("segment", ident, "segmentId"))


async def by_id(context: Context, number: int) -> SegmentDetails | None:
    """One segment."""
    return await loaders.loader(context, "segment", stored.by_ids).load(number)


async def listing(context: Context, first: int | None, after: str | None) -> Page:
    """Segments in the order in which they were made."""
    limit = size(first)
    number = 0 if after is None else _place("segment", after)
    async with context.db.read(context.account_id) as reader:
        rows = await stored.listing(reader, number, limit + 1)
    return Page(rows[:limit], len(rows) > limit, after is not None)


async def members(context: Context, segment: SegmentDetails, asked: Asked) -> Listed:
    """A page of a segment's members."""
    kind = of(context, segment)
    listing = listings.members(context.catalogue, kind, segment.id, asked)
    async with context.db.read(context.account_id) as reader:
        (page,) = await pages.pages(reader, listing, [0], now=context.now)
    return Listed(listing, page, kind)


async def joined_at(context: Context, segment_id: int, record_id: int) -> datetime | None:
    """Since when a record is in a segment; None where it has just left."""

    async def read(reader: Queryable, records: Sequence[int]) -> list[datetime | None]:
        return await memberships.joined_at(reader, segment_id, records)

    return await loaders.loader(context, ("joined at", segment_id), read).load(record_id)


async def of_record(context: Context, record_id: int, first: int | None, after: str | None) -> Page:
    """The segments that a record is in, as memberships, in the order in which the segments were made."""
    limit = size(first)
    number = 0 if after is None else _place("segment", after)

    async def read(reader: Queryable, records: Sequence[int]) -> list[list[Membership]]:
        return await memberships.pages(reader, records, number, limit + 1)

    rows = await loaders.loader(context, ("segments of", number, limit), read).load(record_id)
    return Page(rows[:limit], len(rows) > limit, after is not None)


async def history(
    context: Context, segment: SegmentDetails, record: str | None, first: int | None, after: str | None
) -> Page:
    """A segment's joins and leaves, newest first; of one record, if it is named."""
    limit = size(first)
    number = None if record is None else ids.decode_at("record", record, "record")
    before = LARGEST if after is None else _line(after)
    async with context.db.read(context.account_id) as reader:
        rows = await memberships.history(reader, segment.id, before, limit + 1, number)
    return Page(rows[:limit], len(rows) > limit, after is not None)


def history_cursor(line: Line) -> str:
    """The cursor of a line of history."""
    return f"line_{line.n}"


def problems(context: Context, segment: SegmentDetails) -> Sequence[Problem]:
    """What the filter names and is not there any more."""
    return bound.bind(context.catalogue, segment.id, segment.definition).problems


async def uses(context: Context, segment: SegmentDetails) -> list[SegmentUse]:
    """Who uses a segment."""
    async with context.db.read(context.account_id) as reader:
        return await using.uses(reader, context.catalogue, segment.id)


def of(context: Context, segment: SegmentDetails) -> ObjectTypeRow:
    """The object type of a segment."""
    return context.catalogue.object_types[segment.object_type_id]


def size(first: int | None) -> int:
    """How many a page has; raises `InvalidPageSize`."""
    given = listings.PAGE_SIZE if first is None else first
    if not 0 <= given <= listings.LARGEST_PAGE:
        raise InvalidPageSize(path=("first",), argument="first", limit=listings.LARGEST_PAGE, given=given)
    return given


def _place(kind: str, cursor: str) -> int:
    try:
        return ids.decode(kind, cursor)
    except MalformedId:
        raise MalformedCursor(path=("after",), argument="after") from None


def _line(cursor: str) -> int:
    number = cursor.removeprefix("line_")
    if number == cursor or not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise MalformedCursor(path=("after",), argument="after")
    return int(number)
