"""Reads of what syncs did with records: lists by status and category, attempts, conflicts, a record's links."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from engine import ids
from engine.problems import NotFound
from engine.sync import conflicts, health
from engine.sync.categories import Category
from engine.sync.conflicts import OpenConflict
from engine.sync.health import AttemptRow, LinkRow, Narrow
from resolvers import listings, loaders
from resolvers.context import Context
from resolvers.workflows import place, size
from storage.database import Queryable
from storage.sync import health as stored

NEWEST = 2**63 - 1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and whether there is more of it on either side."""

    rows: Sequence[T]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a list of records of syncs."""

    sync: str | None = None
    object_type: str | None = None
    record: str | None = None
    states: tuple[str, ...] | None = None
    category: Category | None = None
    side: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def narrow(self) -> Narrow:
        """What of it narrows the list; raises `MalformedId`."""
        record = None if self.record is None else ids.decode_at("record", self.record, "record")
        category = None if self.category is None else self.category.value
        return Narrow(self.states, category, self.side, record, self.since, self.until)


async def page(context: Context, asked: Asked, first: int | None, after: str | None) -> Page[LinkRow]:
    """Records of one sync, of those of an object type, or of all, newest first; raises `NotFound`."""
    limit, before = size(first), NEWEST if after is None else place("link", after)
    narrow = asked.narrow()
    async with context.db.read(context.account_id) as reader:
        meant = await _syncs(context, reader, asked.sync, asked.object_type)
        rows = await health.page(reader, meant, narrow, before=before, first=limit + 1) if meant else []
    return Page(rows[:limit], len(rows) > limit, after is not None)


async def _syncs(context: Context, reader: Queryable, sync: str | None, object_type: str | None) -> list[int]:
    known = await stored.named(reader)
    if sync is not None:
        number = ids.decode_at("sync", sync, "sync")
        if number not in known:
            raise NotFound(kind="sync", name=sync, path=("sync",))
        known = {number: known[number]}
    if object_type is not None:
        of = listings.object_type(context.catalogue, object_type)
        known = {number: one for number, one in known.items() if one.object_type_id == of.id}
    return list(known)


async def by_id(context: Context, number: int) -> LinkRow | None:
    """One record of a sync."""
    return await loaders.loader(context, "sync link", health.by_ids).load(number)


async def of_record(context: Context, record: str) -> list[LinkRow]:
    """What a record is linked with."""
    return await loaders.loader(context, "links of record", health.of_records).load(
        ids.decode("record", record)
    )


async def attempts(context: Context, link: int, first: int | None, after: str | None) -> Page[AttemptRow]:
    """What was tried with a record of a sync, newest first."""
    limit, before = size(first), NEWEST if after is None else place("attempt", after)

    async def read(reader: Queryable, links: Sequence[int]) -> list[list[AttemptRow]]:
        return await health.attempts(reader, links, before=before, first=limit + 1)

    rows = await loaders.loader(context, ("sync attempts", before, limit), read).load(link)
    return Page(rows[:limit], len(rows) > limit, after is not None)


async def inbox(
    context: Context, sync: str | None, object_type: str | None, first: int | None, after: str | None
) -> Page[OpenConflict]:
    """Open conflicts, newest first; raises `NotFound`."""
    limit, before = size(first), NEWEST if after is None else place("conflict", after)
    async with context.db.read(context.account_id) as reader:
        meant = await _syncs(context, reader, sync, object_type)
        rows = await conflicts.inbox(reader, meant, before=before, first=limit + 1) if meant else []
    return Page(rows[:limit], len(rows) > limit, after is not None)


async def conflicts_of(context: Context, link: int) -> list[OpenConflict]:
    """The open conflicts of a record of a sync."""
    return await loaders.loader(context, "conflicts of link", conflicts.of_links).load(link)


def candidates(link: LinkRow) -> tuple[list[int], list[str]]:
    """What a record or an item matched, where it matched several: records of ours, items of theirs."""
    details: dict[str, Any] = link.details or {}
    found = details.get("ids") or []
    if "role" in details:
        # The end of an association that could not be made: nothing that matches.
        return [], []
    if details.get("side") == "THEIRS":
        return [], [str(one) for one in found]
    return [int(one) for one in found], []
