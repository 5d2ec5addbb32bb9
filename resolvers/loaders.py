"""Dataloaders: what many fields ask one by one is read in one statement."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from aiodataloader import DataLoader

from resolvers.context import Context
from storage import record_history, records
from storage.database import Queryable
from storage.records import HistoryRow, RecordRow
from storage.selection import pages
from storage.selection.pages import PageRow
from storage.selection.tree import AssociationCount, Listing

T = TypeVar("T")


def loader(
    context: Context, key: Hashable, read: Callable[[Queryable, Sequence[int]], Awaitable[Sequence[T]]]
) -> "DataLoader[int, T]":
    """The request's loader called `key`; `read` answers many ids in the order asked."""
    known = context.loaders.get(key)
    if known is None:

        async def batch(ids: list[int]) -> list[T]:
            async with context.db.read(context.account_id) as reader:
                return list(await read(reader, ids))

        known = context.loaders[key] = DataLoader(batch)
    return known


def record(context: Context) -> "DataLoader[int, RecordRow | None]":
    """Records by id; the survivor of a merged one."""
    if "record" in context.loaders:
        return loader(context, "record", records.resolve)
    made = loader(context, "record", records.resolve)
    for row in at_hand(context).values():
        made.prime(row.id, row)
    return made


def know(context: Context, rows: Mapping[int, RecordRow]) -> None:
    """Records that have just been read need not be read again in this request; none of them was merged away.

    For the beginning, before anything is loaded.
    """
    context.loaders["at hand"] = rows


def at_hand(context: Context) -> Mapping[int, RecordRow]:
    """Records that nobody has to wait for, by id."""
    rows: Mapping[int, RecordRow] = context.loaders.get("at hand", {})
    return rows


def page(context: Context, listing: Listing) -> "DataLoader[int, PageRow]":
    """Pages of associated records by the id of the record they are associated with."""
    return loader(
        context,
        ("page", repr(listing)),
        lambda reader, ids: pages.pages(reader, listing, ids, now=context.now),
    )


def total(context: Context, listing: Listing) -> "DataLoader[int, int]":
    """The number of records on all pages, by the same id."""
    source = listing.source
    return loader(
        context,
        ("total", repr(source)),
        lambda reader, ids: pages.totals(reader, source, ids, now=context.now),
    )


def count(context: Context, wanted: AssociationCount) -> "DataLoader[int, int | None]":
    """The number of associated records, None where there never was one."""
    return loader(context, ("count", wanted), lambda reader, ids: pages.counts(reader, wanted, ids))


def history(
    context: Context, prop: str | None, before: int, limit: int
) -> "DataLoader[int, list[HistoryRow]]":
    """Changes of properties by record, newest first."""

    async def read(reader: Queryable, ids: Sequence[int]) -> list[list[HistoryRow]]:
        return await record_history.pages(reader, ids, prop=prop, before=before, limit=limit)

    return loader(context, ("history", prop, before, limit), read)


def remembered(context: Context, key: Hashable, make: Callable[[], Any]) -> Any:
    """What `make` makes, once a request: arguments of a field are read once, not once a row."""
    if key not in context.loaders:
        context.loaders[key] = make()
    return context.loaders[key]
