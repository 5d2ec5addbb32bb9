"""How an account's syncs stand: their rows, and their links by status, counted along an index."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class StandingRow:
    """What is read of a sync at every look. `status`, `category`, `paused_until`: its connection's.

    `plan`, `plan_since`: the counts of the plan that is being applied, and since when; None: none is.
    """

    id: int
    phase: str
    enabled: bool
    held: dict[str, Any] | None
    progress: dict[str, Any]
    status: str
    category: str | None
    paused_until: datetime | None
    plan: dict[str, int] | None = None
    plan_since: str | None = None


# A few rows: syncs are made by hand. Of their plans, of which there are some each, one at most is being applied.
ROWS = Statement(
    "sync_standing.rows",
    """
    SELECT s.id, s.phase, s.enabled, s.held, s.progress, c.status, c.category, c.paused_until,
           p.counts AS plan, p.cursors ->> 'startedAt' AS plan_since
      FROM sync AS s
      JOIN connection AS c ON c.account_id = $1 AND c.id = s.connection_id
      LEFT JOIN LATERAL (
           SELECT n.counts, n.cursors FROM sync_plan AS n
            WHERE n.account_id = $1 AND n.sync_id = s.id AND n.state = 'APPLYING'
            ORDER BY n.id DESC LIMIT 1
           ) AS p ON true
     WHERE s.account_id = $1
     ORDER BY s.id
    """,
)

# The index holds all that is asked for: no row of the table is read where that was vacuumed since it changed.
COUNTS = Statement(
    "sync_standing.counts",
    """
    SELECT s.id AS sync_id, l.state, l.n
      FROM unnest($2::bigint[]) AS s(id)
     CROSS JOIN LATERAL (
           SELECT k.state, count(*) AS n FROM sync_link AS k
            WHERE k.account_id = $1 AND k.sync_id = s.id
            GROUP BY k.state
           ) AS l
    """,
)

# Conflicts wait for people: there are few.
CONFLICTS = Statement(
    "sync_standing.conflicts",
    """
    SELECT c.sync_id, count(*) AS n FROM sync_conflict AS c
     WHERE c.account_id = $1 AND c.sync_id = ANY($2::bigint[])
     GROUP BY c.sync_id
    """,
)

# Which syncs the log speaks of behind a number.
MOVED = Statement(
    "sync_standing.moved",
    """
    SELECT DISTINCT e.subject_id FROM event_log AS e
     WHERE e.account_id = $1 AND e.seq > $2 AND e.kind = ANY($3::text[]) AND e.subject_id IS NOT NULL
    """,
)


async def rows(reader: Queryable) -> list[StandingRow]:
    """All syncs, in the order in which they were made."""
    return [StandingRow(**row) for row in await reader.fetch(ROWS)]


async def counts(reader: Queryable, sync_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """{sync: {state: links}} of these; every one is there."""
    found: dict[int, dict[str, int]] = {sync_id: {} for sync_id in sync_ids}
    for row in await reader.fetch(COUNTS, list(sync_ids)):
        found[row["sync_id"]][row["state"]] = row["n"]
    return found


async def conflicts(reader: Queryable, sync_ids: Sequence[int]) -> dict[int, int]:
    """{sync: open conflicts} of these; those without any are left out."""
    return {row["sync_id"]: row["n"] for row in await reader.fetch(CONFLICTS, list(sync_ids))}


async def moved(reader: Queryable, after: int, kinds: Collection[str]) -> set[int]:
    """The syncs of which the log tells anything of these kinds behind number `after`."""
    return {row["subject_id"] for row in await reader.fetch(MOVED, after, list(kinds))}
