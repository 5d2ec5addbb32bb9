"""How many enrollments stand where, by workflow: counted once, and moved on by what the log tells."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from storage import changes
from storage.changes import EventKind
from storage.database import Queryable
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class MovedRow:
    """So many events of one kind. `status`: where the enrollments stand then; None: the kind says it."""

    workflow_id: int
    kind: EventKind
    status: str | None
    n: int


# Everything once, from an index alone where the table is vacuumed.
COUNTS = Statement(
    "tallies.counts",
    """
    SELECT e.workflow_id, e.status, count(*) AS n FROM enrollment AS e
     WHERE e.account_id = $1
     GROUP BY e.workflow_id, e.status
    """,
)

# What moved since a number of the log, added up where it lies. A transaction's events are seen together or not at
# all, so no row is seen in part.
MOVED = Statement(
    "tallies.moved",
    """
    SELECT e.subject_id AS workflow_id, e.kind, e.payload ->> 'status' AS status,
           sum(cardinality(e.record_ids))::bigint AS n
      FROM event_log AS e
     WHERE e.account_id = $1 AND e.seq > $2 AND e.kind = ANY($3::text[]) AND e.subject_id IS NOT NULL
     GROUP BY e.subject_id, e.kind, e.payload ->> 'status'
    """,
)

# A range of an index for each workflow, whatever the planner believes of the table.
DUE = Statement(
    "tallies.due",
    """
    SELECT w.id AS workflow_id, d.n
      FROM unnest($2::bigint[]) AS w(id)
     CROSS JOIN LATERAL (
           SELECT count(*) AS n FROM enrollment AS e
            WHERE e.account_id = $1 AND e.workflow_id = w.id AND e.status = 'ACTIVE' AND e.due_at <= $3
           ) AS d
     WHERE d.n > 0
    """,
)

# An index holds what is open, and what went wrong; not what arrived.
OUTSIDE = Statement(
    "tallies.outside",
    """
    SELECT o.workflow_id, o.status, count(*) AS n FROM outbox AS o
     WHERE o.account_id = $1 AND o.workflow_id IS NOT NULL AND o.status <> 'DELIVERED' AND o.status <> 'CANCELLED'
     GROUP BY o.workflow_id, o.status
    """,
)


async def counts(reader: Queryable) -> dict[int, dict[str, int]]:
    """{workflow: {status: enrollments}}; those without any are left out."""
    found: dict[int, dict[str, int]] = {}
    for row in await reader.fetch(COUNTS):
        found.setdefault(row["workflow_id"], {})[row["status"]] = row["n"]
    return found


async def moved(reader: Queryable, after: int, kinds: Collection[EventKind]) -> list[MovedRow]:
    """What the log tells behind number `after`, added up."""
    rows = await reader.fetch(MOVED, after, [kind.value for kind in kinds])
    return [MovedRow(row["workflow_id"], EventKind(row["kind"]), row["status"], row["n"]) for row in rows]


async def due(reader: Queryable, workflow_ids: Sequence[int], now: datetime) -> dict[int, int]:
    """How many enrollments wait for nothing but their turn, of these workflows."""
    if not workflow_ids:
        return {}
    return {row["workflow_id"]: row["n"] for row in await reader.fetch(DUE, workflow_ids, now)}


async def outside(reader: Queryable) -> dict[int, dict[str, int]]:
    """{workflow: {status: mails and calls}}, of those that are open and those that went wrong."""
    found: dict[int, dict[str, int]] = {}
    for row in await reader.fetch(OUTSIDE):
        found.setdefault(row["workflow_id"], {})[row["status"]] = row["n"]
    return found


async def last(reader: Queryable) -> int:
    """The number of the newest event, of the same moment where the reader is a snapshot."""
    return await changes.last(reader)
