"""How records stand in workflows: what was before, who leaves, who waits for an event."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.enrollments import COLUMNS, EnrollmentRow
from storage.places import held
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class StandingRow:
    """The last enrollment of a record in a workflow.

    `kind`: the kind of trigger that let it in (None: from before kinds were kept). `recent`: how many re-enrollments
    have begun since the moment asked for; `stopped`: the last one was stopped by a guard then.
    """

    enrollment_id: int
    epoch: int
    active: bool
    kind: str | None
    recent: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Leaving:
    """An active enrollment that is to end: with this status, told so in its history."""

    enrollment_id: int
    status: str
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LeftRow:
    """An enrollment that has ended."""

    id: int
    workflow_id: int
    record_id: int
    depth: int
    status: str


# A probe of the unique key for each pair, from its newest end, whatever the planner believes of the table: a subquery
# with a LIMIT is no join that it could turn round. Of the earlier ones no more are counted than can matter.
OF_PAIRS = Statement(
    "standings.of_pairs",
    """
    SELECT k.n, e.id, e.epoch, e.status = 'ACTIVE' AS active, e.reason ->> 'type' AS kind,
           e.status = 'FAILED' AND e.error ->> 'code' = 'LOOP_GUARD' AND e.enrolled_at > $4 AS stopped,
           (SELECT count(*) FROM enrollment AS r
             WHERE r.account_id = $1 AND r.workflow_id = k.workflow_id AND r.record_id = k.record_id
               AND r.epoch > greatest(e.epoch - $5::bigint, 1) AND r.enrolled_at > $4) AS recent
      FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS k(workflow_id, record_id, n)
     CROSS JOIN LATERAL (
           SELECT e.id, e.epoch, e.status, e.reason, e.error, e.enrolled_at FROM enrollment AS e
            WHERE e.account_id = $1 AND e.workflow_id = k.workflow_id AND e.record_id = k.record_id
            ORDER BY e.epoch DESC LIMIT 1
           ) AS e
    """,
)

# Held in id order, against steps that are under way: who has ended meanwhile is left as it is. Ids come sorted, and a
# locking subselect stays a probe for each; a list may be a filter on all of the account, where PostgreSQL is of version
# 16. Written by id, not by place: who was waited for lies elsewhere now.
LEAVE = Statement(
    "standings.leave",
    f"""
    WITH locked AS (
        SELECT e.id
          FROM unnest($2::bigint[]) AS k(id)
               CROSS JOIN LATERAL (SELECT e.id FROM enrollment AS e
                                    WHERE e.account_id = $1 AND e.id = k.id AND e.status = 'ACTIVE'
                                      FOR UPDATE) AS e
    )
    UPDATE enrollment AS e
       SET status = $3::jsonb -> e.id::text ->> 0, error = nullif($3::jsonb -> e.id::text -> 1, 'null'),
           ended_at = $4, due_at = NULL, waiting = NULL, arrived = NULL, attempts = 0
      FROM {held("ARRAY(SELECT l.id FROM locked AS l)")}
     WHERE e.account_id = $1 AND e.id = h.id
    RETURNING e.id, e.workflow_id, e.record_id, e.depth, e.status
    """,
)

# Along the index of records, a range for each, whatever the planner believes. None of $3: of every workflow.
ACTIVE_OF = Statement(
    "standings.active_of",
    """
    SELECT e.id, e.workflow_id, e.record_id
      FROM unnest($2::bigint[]) AS k(record_id)
     CROSS JOIN LATERAL (
           SELECT e.id, e.workflow_id, e.record_id, e.status FROM enrollment AS e
            WHERE e.account_id = $1 AND e.record_id = k.record_id
            ORDER BY e.id OFFSET 0
           ) AS e
     WHERE e.status = 'ACTIVE' AND ($3::bigint[] IS NULL OR e.workflow_id = ANY($3::bigint[]))
    """,
)

# A part of those who are active in a workflow.
ACTIVE_IN = Statement(
    "standings.active_in",
    """
    SELECT e.id FROM enrollment AS e
     WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.status = 'ACTIVE'
     ORDER BY e.record_id LIMIT $3
    """,
)

# An index of those who wait for an event, however many others are active.
AWAITING = Statement(
    "standings.awaiting",
    f"""
    SELECT {COLUMNS}
      FROM enrollment AS e
     WHERE e.account_id = $1 AND e.record_id = ANY($2::bigint[]) AND e.status = 'ACTIVE' AND e.waiting = 'EVENT'
       AND e.arrived IS NULL
    """,
)

# Whoever holds one of them now lets its time run out, or ends it: then what has come came too late.
ARRIVE = Statement(
    "standings.arrive",
    """
    WITH held AS (
        SELECT e.id FROM enrollment AS e
         WHERE e.account_id = $1 AND e.id = ANY($2::bigint[]) AND e.status = 'ACTIVE' AND e.waiting = 'EVENT'
           AND e.arrived IS NULL AND e.next_step = ($3::jsonb -> e.id::text ->> 0)::int
         ORDER BY e.id
           FOR UPDATE SKIP LOCKED
    )
    UPDATE enrollment AS e SET arrived = $3::jsonb -> e.id::text -> 1, due_at = $4
      FROM held
     WHERE e.account_id = $1 AND e.id = held.id
    RETURNING e.id
    """,
)

# The revisions that anybody is under way on.
RUNNING_ON = Statement(
    "standings.running_on",
    """
    SELECT DISTINCT e.revision FROM enrollment AS e
     WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.status = 'ACTIVE'
    """,
)

# Along the unique key: everybody who was ever enrolled, each once.
EVER_PAGE = Statement(
    "standings.ever_page",
    """
    SELECT DISTINCT e.record_id FROM enrollment AS e
     WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.record_id > $3
     ORDER BY e.record_id LIMIT $4
    """,
)


async def of_pairs(
    reader: Queryable, pairs: Sequence[tuple[int, int]], since: datetime, most: int
) -> dict[tuple[int, int], StandingRow]:
    """The last enrollment of each (workflow, record) that has any; re-enrollments since then, `most` at most."""
    rows = await reader.fetch(OF_PAIRS, [pair[0] for pair in pairs], [pair[1] for pair in pairs], since, most)
    return {
        pairs[row["n"] - 1]: StandingRow(
            row["id"], row["epoch"], row["active"], row["kind"], row["recent"], bool(row["stopped"])
        )
        for row in rows
    }


async def leave(tx: Transaction, leaving: Sequence[Leaving]) -> list[LeftRow]:
    """End enrollments; those that were active until now."""
    if not leaving:
        return []
    told = {str(one.enrollment_id): (one.status, one.error) for one in leaving}
    rows = await tx.fetch(LEAVE, sorted({one.enrollment_id for one in leaving}), told, tx.now)
    return sorted((LeftRow(**row) for row in rows), key=lambda row: row.id)


async def active_of(
    reader: Queryable, record_ids: Collection[int], workflow_ids: Collection[int] | None = None
) -> list[tuple[int, int, int]]:
    """(enrollment, workflow, record) of those that are active in these workflows (None: in any)."""
    wanted = None if workflow_ids is None else list(workflow_ids)
    return [tuple(row) for row in await reader.fetch(ACTIVE_OF, list(record_ids), wanted)]


async def active_in(reader: Queryable, workflow_id: int, limit: int) -> list[int]:
    """Up to `limit` active enrollments of a workflow."""
    return [row["id"] for row in await reader.fetch(ACTIVE_IN, workflow_id, limit)]


async def awaiting(reader: Queryable, record_ids: Collection[int]) -> list[EnrollmentRow]:
    """The enrollments of these records that wait for an event which has not come yet, in id order."""
    rows = [EnrollmentRow(**row) for row in await reader.fetch(AWAITING, list(record_ids))]
    return sorted(rows, key=lambda row: row.id)


async def arrive(tx: Transaction, arrived: Mapping[int, tuple[int, dict[str, Any]]]) -> None:
    """What enrollments waited for has come: {enrollment: (number of the action that waits, what came)}."""
    if arrived:
        told = {str(one): found for one, found in arrived.items()}
        await tx.execute(ARRIVE, sorted(arrived), told, tx.now)


async def running_on(reader: Queryable, workflow_id: int) -> list[int]:
    """The revisions of a workflow on which anybody is under way."""
    return sorted(row["revision"] for row in await reader.fetch(RUNNING_ON, workflow_id))


async def ever_page(reader: Queryable, workflow_id: int, after: int, limit: int) -> list[int]:
    """Up to `limit` records behind `after` that were ever enrolled in a workflow, in id order."""
    return [row["record_id"] for row in await reader.fetch(EVER_PAGE, workflow_id, after, limit)]
