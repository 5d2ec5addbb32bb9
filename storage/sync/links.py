"""Links: which record and which item are one, what both were last known to hold, and how they stand.

Whoever changes links of a sync holds the sync's row: see `storage.sync.leases`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

import asyncpg

from storage.database import Queryable, Transaction
from storage.statements import Statement

# States of a link.
PENDING, IN_SYNC, FAILED, EXCLUDED, CONFLICT = "PENDING", "IN_SYNC", "FAILED", "EXCLUDED", "CONFLICT"


# Not frozen: read by the thousand; freezing would cost more than reading them.
@dataclass(slots=True)
class LinkRow:
    """A link as it stands: see `storage.tables.sync.SyncLink`."""

    id: int
    sync_id: int
    record_id: int | None = None
    external_id: str | None = None
    state: str = PENDING
    base_ours: dict[str, Any] | None = None
    base_theirs: dict[str, Any] | None = None
    base_roles: dict[str, list[str]] = field(default_factory=dict)
    version: str | None = None
    modified_at: datetime | None = None
    create_key: str | None = None
    planned: dict[str, Any] | None = None
    deleted: str | None = None
    deleting: bool = False
    category: str | None = None
    message: str | None = None
    failed_side: str | None = None
    details: dict[str, Any] | None = None
    attempts: int = 0
    failed_at: datetime | None = None
    synced_at: datetime | None = None
    url: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


_NAMES = tuple(LinkRow.__slots__)
_BASES = ("base_ours", "base_theirs", "planned", "details")

# The fields of LinkRow, in its order.
COLUMNS = ", ".join(f"l.{name}" for name in _NAMES)

# The same, without documents of links that have the version already: most of a pass finds nothing new, and reading
# what both sides held is what costs.
_SPARING = ", ".join(
    f"CASE WHEN l.version = l.asked AND l.state <> 'FAILED' THEN NULL ELSE l.{name} END AS {name}"
    if name in _BASES
    else f"l.{name}"
    for name in _NAMES
)
_PLAIN = ", ".join(f"k.{name}" for name in _NAMES)

# A probe for each, whatever the planner believes of the table: "the first that is not less, if it is that one". Asked
# for the one that is equal, and without statistics, it takes the index of states to be as good, and reads a whole sync.
OF_ITEMS = Statement(
    "sync_links.of_items",
    f"""
    SELECT {_SPARING}
      FROM unnest($3::text[], $4::text[]) AS g(external_id, version)
     CROSS JOIN LATERAL (
           SELECT {_PLAIN}, g.version AS asked FROM sync_link AS k
            WHERE k.account_id = $1 AND k.sync_id = $2 AND k.external_id >= g.external_id
            ORDER BY k.external_id LIMIT 1
           ) AS l
     WHERE l.external_id = g.external_id
    """,
)

# A range of one: records are in the index of all syncs, too, which an open range would read to its end for a sync that
# has none yet.
OF_RECORDS = Statement(
    "sync_links.of_records",
    f"""
    SELECT {COLUMNS}
      FROM unnest($3::bigint[]) AS g(record_id)
     CROSS JOIN LATERAL (
           SELECT {_PLAIN} FROM sync_link AS k
            WHERE k.account_id = $1 AND k.sync_id = $2 AND k.record_id BETWEEN g.record_id AND g.record_id
            ORDER BY k.record_id LIMIT 1
           ) AS l
    """,
)

# A list of ids is for PostgreSQL 16, where it knows nothing of the account, a filter on all of its links.
READ = Statement(
    "sync_links.read",
    f"""
    SELECT {COLUMNS}
      FROM unnest($2::bigint[]) AS g(id)
     CROSS JOIN LATERAL (
           SELECT {_PLAIN} FROM sync_link AS k WHERE k.account_id = $1 AND k.id = g.id LIMIT 1
           ) AS l
    """,
)


# Few, and found by a partial index: creations that were begun and not confirmed; deletions that wait.
CREATING = Statement(
    "sync_links.creating",
    f"""
    SELECT {COLUMNS} FROM sync_link AS l
     WHERE l.account_id = $1 AND l.sync_id = $2 AND l.create_key IS NOT NULL
     ORDER BY l.id LIMIT $3
    """,
)
DELETING = Statement(
    "sync_links.deleting",
    f"""
    SELECT {COLUMNS} FROM sync_link AS l
     WHERE l.account_id = $1 AND l.sync_id = $2 AND l.deleting
     ORDER BY l.id LIMIT $3
    """,
)
TO_DELETE = Statement(
    "sync_links.to_delete",
    "SELECT count(*) FROM sync_link AS l WHERE l.account_id = $1 AND l.sync_id = $2 AND l.deleting",
)

# Read once before anything is deleted: of how many those are that are to go. What went before is not among them.
LINKED = Statement(
    "sync_links.linked",
    """
    SELECT count(*) FROM sync_link AS l
     WHERE l.account_id = $1 AND l.sync_id = $2 AND l.record_id IS NOT NULL AND l.external_id IS NOT NULL
       AND (l.deleted IS NULL OR l.deleting)
    """,
)

# New values in one document, rows by their place: see outbox_sending.finish.
_CASTS = {
    "record_id": "(n.new ->> {n})::bigint",
    "base_ours": "nullif(n.new -> {n}, 'null')",
    "base_theirs": "nullif(n.new -> {n}, 'null')",
    "base_roles": "n.new -> {n}",
    "planned": "nullif(n.new -> {n}, 'null')",
    "details": "nullif(n.new -> {n}, 'null')",
    "deleting": "(n.new ->> {n})::boolean",
    "attempts": "(n.new ->> {n})::int",
    "modified_at": "(n.new ->> {n})::timestamptz",
    "failed_at": "(n.new ->> {n})::timestamptz",
    "synced_at": "(n.new ->> {n})::timestamptz",
}
_WRITTEN = tuple(name for name in _NAMES if name not in ("id", "sync_id", "created_at", "updated_at"))
# Looked up once for a row: without the offset it would be pulled up, and looked up for each of its columns.
_NEW = ", ".join(_CASTS.get(name, "n.new ->> {n}").format(n=n) for n, name in enumerate(_WRITTEN))
UPDATE = Statement(
    "sync_links.update",
    f"""
    UPDATE sync_link AS l
       SET updated_at = $4,
           ({", ".join(_WRITTEN)}) = (
           SELECT {_NEW} FROM (SELECT $3::jsonb -> l.id::text AS new OFFSET 0) AS n)
     WHERE l.account_id = $1
       AND l.ctid = ANY(ARRAY(
               SELECT (SELECT g.ctid FROM sync_link AS g WHERE g.account_id = $1 AND g.id = n.id)
                 FROM unnest($2::bigint[]) AS n(id)))
    """,
)

# What is about to be sent, and nothing else: what both sides hold is not put into words for it.
PLAN = Statement(
    "sync_links.plan",
    """
    UPDATE sync_link AS l SET updated_at = $4, planned = $3::jsonb -> l.id::text
     WHERE l.account_id = $1
       AND l.ctid = ANY(ARRAY(
               SELECT (SELECT g.ctid FROM sync_link AS g WHERE g.account_id = $1 AND g.id = n.id)
                 FROM unnest($2::bigint[]) AS n(id)))
    """,
)

# Rows that nobody has written since a transaction did. Each writer leaves its own number in what it writes.
WRITTEN_BY = Statement(
    "sync_links.written_by",
    """
    SELECT l.id FROM sync_link AS l
     WHERE l.account_id = $1 AND l.id = ANY($2::bigint[]) AND l.xmin = $3
    """,
)

DELETE = Statement(
    "sync_links.delete",
    """
    WITH keys AS (
        DELETE FROM sync_key AS k
         WHERE k.account_id = $1 AND k.sync_id = $2 AND k.link_id = ANY($3::bigint[])
    )
    DELETE FROM sync_link AS l WHERE l.account_id = $1 AND l.id = ANY($3::bigint[])
    """,
)

# Links whose item a complete pass has not met: a page in the order of links.
UNSEEN = Statement(
    "sync_links.unseen",
    """
    WITH page AS MATERIALIZED (
        SELECT l.id, l.external_id, l.deleted FROM sync_link AS l
         WHERE l.account_id = $1 AND l.sync_id = $2 AND l.external_id IS NOT NULL AND l.id > $4
         ORDER BY l.id LIMIT $5
    )
    SELECT page.id,
           CASE WHEN page.deleted IS NULL
                 AND NOT EXISTS (SELECT FROM sync_seen AS s
                                  WHERE s.account_id = $1 AND s.sync_id = $2 AND s.pass_number = $3
                                    AND s.external_id = page.external_id)
                THEN page.external_id END AS external_id
      FROM page
     ORDER BY page.id
    """,
)


async def of_items(
    reader: Queryable, sync_id: int, items: Sequence[tuple[str, str | None]]
) -> dict[str, LinkRow]:
    """Links by items' ids: (id, version). What both sides held is not read where the version is the one known."""
    rows = await reader.fetch(
        OF_ITEMS, sync_id, [external_id for external_id, _ in items], [version for _, version in items]
    )
    found = (LinkRow(*row) for row in rows)
    return {link.external_id: link for link in found if link.external_id is not None}


async def of_records(reader: Queryable, sync_id: int, record_ids: Sequence[int]) -> dict[int, LinkRow]:
    """Links by records' ids."""
    found = (LinkRow(*row) for row in await reader.fetch(OF_RECORDS, sync_id, list(record_ids)))
    return {link.record_id: link for link in found if link.record_id is not None}


async def read(reader: Queryable, ids: Sequence[int]) -> dict[int, LinkRow]:
    """Links by their ids."""
    return {row["id"]: LinkRow(*row) for row in await reader.fetch(READ, list(ids))}


async def creating(reader: Queryable, sync_id: int, limit: int) -> list[LinkRow]:
    """Links of which it is not known whether their item was created."""
    return [LinkRow(*row) for row in await reader.fetch(CREATING, sync_id, limit)]


async def deleting(reader: Queryable, sync_id: int, limit: int) -> list[LinkRow]:
    """Links whose other half is to be deleted, too."""
    return [LinkRow(*row) for row in await reader.fetch(DELETING, sync_id, limit)]


async def to_delete(reader: Queryable, sync_id: int) -> tuple[int, int]:
    """(how many are to be deleted, how many are linked)."""
    gone = int(await reader.fetchval(TO_DELETE, sync_id) or 0)
    return gone, int(await reader.fetchval(LINKED, sync_id) or 0) if gone else 0


class Taken(Exception):
    """Somebody else has linked one of the items, or records, meanwhile; the transaction is lost."""


async def insert(tx: Transaction, rows: Sequence[LinkRow]) -> None:
    """Write new links; `created_at` and `updated_at` are the transaction's time. Raises `Taken`."""
    if not rows:
        return
    now = tx.now
    for row in rows:
        row.created_at = row.updated_at = now
    # Of most columns no new link has anything: what is left out is null.
    names = [
        name for name in _NAMES if name not in _RARE or any(getattr(row, name) is not None for row in rows)
    ]
    try:
        await tx.copy("sync_link", names, list(map(attrgetter(*names), rows)))
    except asyncpg.UniqueViolationError as error:
        raise Taken from error


_RARE = frozenset(
    ("create_key", "planned", "deleted", "category", "message", "failed_side", "details", "failed_at", "url")
)
_written = attrgetter(*_WRITTEN)


async def update(tx: Transaction, rows: Sequence[LinkRow]) -> None:
    """Write links as they are now."""
    if not rows:
        return
    await tx.execute(UPDATE, [row.id for row in rows], {str(row.id): _written(row) for row in rows}, tx.now)


async def plan(tx: Transaction, rows: Sequence[LinkRow]) -> None:
    """Write what is about to be sent of links that have not changed otherwise."""
    if rows:
        await tx.execute(PLAN, [row.id for row in rows], {str(row.id): row.planned for row in rows}, tx.now)


async def still(reader: Queryable, rows: Sequence[LinkRow], writer: int) -> dict[int, LinkRow]:
    """Links as they are now, by their ids; those that nobody has written since `writer` did are these `rows`."""
    asked = [row.id for row in rows]
    same = {found["id"] for found in await reader.fetch(WRITTEN_BY, asked, writer)}
    found = {row.id: row for row in rows if row.id in same}
    if len(found) < len(asked):
        found |= await read(reader, [one for one in asked if one not in same])
    return found


async def delete(tx: Transaction, sync_id: int, rows: Sequence[LinkRow]) -> None:
    """Forget links, and by which keys they were found."""
    if rows:
        await tx.execute(DELETE, sync_id, [row.id for row in rows])


async def unseen(
    reader: Queryable, sync_id: int, pass_number: int, after: int, limit: int
) -> tuple[list[str], int | None]:
    """Items of a page of links that the pass has not met, and the page's last link (None: there are no more)."""
    rows = await reader.fetch(UNSEEN, sync_id, pass_number, after, limit)
    found = [row["external_id"] for row in rows if row["external_id"] is not None]
    return found, rows[-1]["id"] if len(rows) == limit else None
