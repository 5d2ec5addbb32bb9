"""Pages as rows, for fields that are resolved one by one: one statement for many source records.

Order, positions and cursors are the same SQL that compiled selections run on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.filters.times import settled
from storage.records import RecordRow
from storage.selection import past
from storage.selection.orders import cursor, order_by
from storage.selection.sources import counted, limited, rows_beyond, total
from storage.selection.sql import Params
from storage.selection.tree import Associated, AssociationCount, Listing, Source

COLUMNS = tuple(RecordRow.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """A record on a page. The last three are its association's; of a page of records they are empty."""

    cursor: str
    node: RecordRow
    type_ids: tuple[int, ...] = ()
    associated_at: datetime | None = None
    association_source: str | None = None


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page, and whether there is anything before and after it."""

    edges: tuple[EdgeRow, ...]
    has_next: bool
    has_previous: bool


async def pages(
    reader: Queryable, listing: Listing, sources: Sequence[int], *, now: datetime
) -> list[PageRow]:
    """The page of each source record, in the order asked; for records at large, one source of any number.

    One statement, whatever the number of sources.
    """
    params = Params()
    ids = params.add(list(sources), "bigint[]")
    associated = isinstance(listing.source, Associated)
    extra = ["associated_at", "association_source"] if associated else []
    types = "NULL::bigint[]"
    if isinstance(listing.source, Associated):
        types = (
            "(SELECT array_agg(l.type_id ORDER BY l.type_id) "
            f"FROM {past.associations(listing.source, params)} AS l WHERE l.account_id = $1 "
            f"AND l.from_id = s.id AND l.to_object_type_id = {params.big(listing.source.object_type_id)} "
            f"AND l.to_id = r.id AND l.type_id <> {params.big(listing.source.unlabelled_id)})"
        )
    behind, ahead = (
        rows_beyond(listing, params, alias, of="s.id", following=following) or "false"
        for alias, following in (("p", False), ("f", True))
    )
    rows = limited(listing, params, "t", (*COLUMNS, *extra), of="s.id", more=1)
    columns = ", ".join(f"r.{name}" for name in COLUMNS)
    sql = (
        f"SELECT s.n, {behind}, {ahead}, {cursor(listing.page, 'r').sql}, {types}, "
        f"{'r.associated_at, r.association_source' if associated else 'NULL, NULL'}, {columns} "
        f"FROM unnest({ids}) WITH ORDINALITY AS s(id, n) LEFT JOIN LATERAL ({rows}) AS r ON true "
        f"ORDER BY s.n, {order_by(listing.page.order, 'r')}"
    )
    found: list[list[Any]] = [[] for _ in sources]
    for row in await reader.fetch(sql, *settled(params.values, now)):
        found[row[0] - 1].append(row)
    return [_page(listing, rows) for rows in found]


async def totals(reader: Queryable, source: Source, sources: Sequence[int], *, now: datetime) -> list[int]:
    """The number of all rows for each source record, in the order asked."""
    params = Params()
    ids = params.add(list(sources), "bigint[]")
    sql = (
        f"SELECT {total(source, params, 't', of='s.id')} "
        f"FROM unnest({ids}) WITH ORDINALITY AS s(id, n) ORDER BY s.n"
    )
    return [row[0] for row in await reader.fetch(sql, *settled(params.values, now))]


async def counts(reader: Queryable, wanted: AssociationCount, sources: Sequence[int]) -> list[int | None]:
    """The number of associated records of each source record, None where there never was one."""
    params = Params()
    ids = params.add(list(sources), "bigint[]")
    source = Associated(wanted.to_object_type_id, wanted.unlabelled_id, wanted.labels)
    sql = (
        f"SELECT {counted(source, params, 't', of='s.id')} "
        f"FROM unnest({ids}) WITH ORDINALITY AS s(id, n) ORDER BY s.n"
    )
    return [row[0] for row in await reader.fetch(sql, *params.values)]


def _page(listing: Listing, rows: list[Any]) -> PageRow:
    page = listing.page
    behind, ahead = rows[0][1], rows[0][2]
    # A source without any row has one that is empty.
    edges = [
        EdgeRow(row[3], RecordRow(*row[7:]), tuple(row[4] or ()), row[5], row[6])
        for row in rows
        if row[7] is not None
    ]
    cut = len(edges) > page.size
    if page.backward:
        return PageRow(tuple(edges[-page.size :] if page.size else ()), ahead, cut or behind)
    return PageRow(tuple(edges[: page.size]), cut or ahead, behind)
