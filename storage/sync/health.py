"""How the records of syncs stand: counted by status and category, and what was tried with each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class Counted:
    """So many links of a sync have this status, for this reason."""

    sync_id: int
    state: str
    category: str | None
    n: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """What was tried with a link, and what came of it: see storage.tables.sync.SyncAttempt."""

    id: int
    sync_id: int
    link_id: int
    at: datetime
    did: str
    side: str | None
    category: str | None
    message: str | None
    changed: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class NamedRow:
    """What a sync is about; `connection` is the connection's name."""

    id: int
    object_type_id: int
    remote_object: str
    connection_id: int
    connection: str
    app: str


# The index of pages holds all that is asked for: the table is not read where it was vacuumed since it changed.
COUNTS = Statement(
    "sync_health.counts",
    """
    SELECT s.id AS sync_id, l.state, l.category, l.n
      FROM unnest($2::bigint[]) AS s(id)
     CROSS JOIN LATERAL (
           SELECT k.state, k.category, count(*) AS n FROM sync_link AS k
            WHERE k.account_id = $1 AND k.sync_id = s.id
            GROUP BY k.state, k.category
           ) AS l
    """,
)

# For each link the end of a range of its index. Links are of several syncs, and the index begins with those.
ATTEMPTS = Statement(
    "sync_health.attempts",
    """
    SELECT a.*
      FROM unnest($2::bigint[], $3::bigint[]) AS l(sync_id, id)
     CROSS JOIN LATERAL (
           SELECT t.id, t.sync_id, t.link_id, t.at, t.did, t.side, t.category, t.message, t.changed
             FROM sync_attempt AS t
            WHERE t.account_id = $1 AND t.sync_id = l.sync_id AND t.link_id = l.id AND t.id < $4
            ORDER BY t.id DESC LIMIT $5
           ) AS a
    """,
)

SYNC_IDS = Statement(
    "sync_health.sync_ids",
    "SELECT l.id, l.sync_id FROM sync_link AS l WHERE l.account_id = $1 AND l.id = ANY($2::bigint[])",
)

# Syncs are made by hand: there are few.
NAMED = Statement(
    "sync_health.named",
    """
    SELECT s.id, s.object_type_id, s.remote_object, s.connection_id, c.name AS connection, c.app
      FROM sync AS s
      JOIN connection AS c ON c.account_id = $1 AND c.id = s.connection_id
     WHERE s.account_id = $1
     ORDER BY s.id
    """,
)


async def counts(reader: Queryable, sync_ids: Sequence[int]) -> list[Counted]:
    """The links of these syncs by status and category; what there is none of is left out."""
    return [Counted(*row) for row in await reader.fetch(COUNTS, list(set(sync_ids)))]


async def attempts(
    reader: Queryable, link_ids: Sequence[int], *, before: int, limit: int
) -> list[list[AttemptRow]]:
    """For each link up to `limit` attempts with ids below `before`, newest first."""
    found: dict[int, list[AttemptRow]] = {link_id: [] for link_id in link_ids}
    owners = await reader.fetch(SYNC_IDS, list(found))
    syncs, links = [row["sync_id"] for row in owners], [row["id"] for row in owners]
    for row in await reader.fetch(ATTEMPTS, syncs, links, before, limit) if links else ():
        found[row["link_id"]].append(AttemptRow(*row))
    return [sorted(found[link_id], key=lambda one: -one.id) for link_id in link_ids]


async def named(reader: Queryable) -> dict[int, NamedRow]:
    """What all syncs of the account are about, by id."""
    return {row["id"]: NamedRow(*row) for row in await reader.fetch(NAMED)}
