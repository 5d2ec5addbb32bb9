"""What is due among enrollments, fairly: every workflow gets its turn; and when the next one comes due."""

from collections.abc import Sequence
from datetime import datetime

from storage.database import Database, Queryable
from storage.enrollments import DueGroup
from storage.statements import Statement

# Workflow by workflow, however much one of them has piled up: a step along the index from each that has active
# enrollments to the next one, and then the longest due of each, $3 at most.
FAIRLY = Statement(
    "due.fairly",
    """
    WITH RECURSIVE flow(id) AS (
        (SELECT e.workflow_id FROM enrollment AS e
          WHERE e.account_id = $1 AND e.status = 'ACTIVE' ORDER BY e.workflow_id LIMIT 1)
        UNION ALL
        SELECT (SELECT e.workflow_id FROM enrollment AS e
                 WHERE e.account_id = $1 AND e.status = 'ACTIVE' AND e.workflow_id > f.id
                 ORDER BY e.workflow_id LIMIT 1)
          FROM flow AS f WHERE f.id IS NOT NULL
    )
    SELECT d.workflow_id, d.revision, d.next_step, d.depth, array_agg(d.id ORDER BY d.due_at, d.id) AS ids
      FROM flow AS f
     CROSS JOIN LATERAL (
           SELECT e.id, e.workflow_id, e.revision, e.next_step, e.depth, e.due_at
             FROM enrollment AS e
            WHERE e.account_id = $1 AND e.workflow_id = f.id AND e.status = 'ACTIVE' AND e.due_at <= $2
            ORDER BY e.due_at, e.id LIMIT $3
           ) AS d
     GROUP BY d.workflow_id, d.revision, d.next_step, d.depth
     ORDER BY min(d.due_at), d.workflow_id, d.revision, d.next_step, d.depth
    """,
)

# The first entry of the index in each account, however much waits behind it.
EARLIEST = Statement(
    "due.earliest",
    """
    SELECT a.id AS account_id, e.due_at
      FROM unnest($1::bigint[]) AS a(id)
     CROSS JOIN LATERAL (
           SELECT e.due_at FROM enrollment AS e
            WHERE e.account_id = ANY($1) AND e.account_id = a.id AND e.status = 'ACTIVE' AND e.due_at IS NOT NULL
            ORDER BY e.due_at LIMIT 1
           ) AS e
    """,
    spanning="finds the accounts with work that is due, and when the next has some; each is worked off by itself",
)


async def fairly(reader: Queryable, now: datetime, each: int) -> list[DueGroup]:
    """Up to `each` of every workflow's longest due enrollments, by what is to be done with them."""
    return [
        DueGroup(row["workflow_id"], row["revision"], row["next_step"], row["depth"], tuple(row["ids"]))
        for row in await reader.fetch(FAIRLY, now, each)
    ]


async def earliest(db: Database, accounts: Sequence[int]) -> dict[int, datetime]:
    """When the first enrollment of each account is, or was, due; without any the account is missing."""
    return {row["account_id"]: row["due_at"] for row in await db.spanning(EARLIEST, list(accounts))}
