"""Failed enrollments taken up again where they stopped, and what they have to send, once more."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from storage.database import Transaction
from storage.enrollments import COLUMNS, EnrollmentRow, StepRow
from storage.statements import Statement

# Held until the commit, as steppers and senders have it: enrollments first, in id order.
LOCK = Statement(
    "retries.lock",
    f"""
    SELECT {COLUMNS}
      FROM enrollment AS e
     WHERE e.account_id = $1 AND e.id = ANY($2::bigint[])
     ORDER BY e.id
       FOR UPDATE
    """,
)

# Along the index of a workflow's enrollments; what was undone is over. The last line says which action failed.
FAILED = Statement(
    "retries.failed",
    """
    SELECT e.id
      FROM enrollment AS e
     WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.id > $3 AND e.status = 'FAILED'
       AND e.undone_at IS NULL
       AND EXISTS (SELECT FROM enrollment_step AS s
                    WHERE s.account_id = $1 AND s.enrollment_id = e.id AND s.n = e.steps - 1
                      AND s.outcome = 'FAILED' AND ($4::text IS NULL OR s.action = $4))
     ORDER BY e.id LIMIT $5
    """,
)

LINES = Statement(
    "retries.lines",
    """
    SELECT s.enrollment_id, s.n, s.action, s.at, s.outcome, s.changes, s.error
      FROM unnest($2::bigint[], $3::int[]) AS k(enrollment_id, n)
     CROSS JOIN LATERAL (
           SELECT s.* FROM enrollment_step AS s
            WHERE s.account_id = $1 AND s.enrollment_id = k.enrollment_id AND s.n = k.n
            LIMIT 1
           ) AS s
    """,
)

# What did not arrive is sent again under its own key, for the line that is to come: that is whom it calls when it is
# finished. What has arrived stays with the line that told of it.
RESEND = Statement(
    "retries.resend",
    """
    UPDATE outbox AS o
       SET status = 'PENDING', attempts = 0, next_attempt_at = $4, finished_at = NULL, recalled = false,
           step = coalesce(($5::jsonb ->> o.enrollment_id::text)::int, o.step)
      FROM unnest($2::bigint[], $3::int[]) AS k(enrollment_id, step)
     WHERE o.account_id = $1 AND o.enrollment_id = k.enrollment_id AND o.step = k.step
       AND o.status IN ('FAILED', 'UNKNOWN', 'CANCELLED')
    RETURNING o.enrollment_id
    """,
)

# Nobody who has entered anew meanwhile: a record is active in a workflow at most once. $3 wait for the outside.
REOPEN = Statement(
    "retries.reopen",
    """
    UPDATE enrollment AS e
       SET status = 'ACTIVE', attempts = 0, error = NULL, ended_at = NULL, arrived = NULL,
           waiting = CASE WHEN e.id = ANY($3::bigint[]) THEN 'OUTSIDE' END,
           due_at = CASE WHEN e.id = ANY($3::bigint[]) THEN NULL ELSE $4::timestamptz END
     WHERE e.account_id = $1 AND e.id = ANY($2::bigint[])
    RETURNING e.id
    """,
)

ACTIVE = Statement(
    "retries.active",
    """
    SELECT k.id
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS k(id, workflow_id, record_id)
     CROSS JOIN LATERAL (
           SELECT FROM enrollment AS e
            WHERE e.account_id = $1 AND e.workflow_id = k.workflow_id AND e.record_id = k.record_id
              AND e.status = 'ACTIVE'
            LIMIT 1
           ) AS e
    """,
)


@dataclass(frozen=True, slots=True)
class Resent:
    """A step whose rows of the outbox are sent again; `into` is the line that will tell of it, if another one."""

    enrollment_id: int
    step: int
    into: int | None = None


async def lock(tx: Transaction, ids: Sequence[int]) -> list[EnrollmentRow]:
    """The enrollments with these ids that there are, held, in id order."""
    return [EnrollmentRow(**row) for row in await tx.fetch(LOCK, sorted(set(ids)))]


async def failed(tx: Transaction, workflow_id: int, action: str | None, after: int, limit: int) -> list[int]:
    """Up to `limit` failed enrollments of a workflow behind the id `after`, all or those that failed at `action`."""
    return [row["id"] for row in await tx.fetch(FAILED, workflow_id, after, action, limit)]


async def lines(tx: Transaction, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], StepRow]:
    """The lines of history with these (enrollment, number) that there are."""
    rows = await tx.fetch(LINES, [key[0] for key in keys], [key[1] for key in keys])
    return {(row["enrollment_id"], row["n"]): StepRow(**row) for row in rows}


async def resend(tx: Transaction, steps: Sequence[Resent]) -> set[int]:
    """Send again what did not arrive; the enrollments for which there was anything."""
    into = {str(one.enrollment_id): one.into for one in steps if one.into is not None}
    rows = await tx.fetch(
        RESEND, [one.enrollment_id for one in steps], [one.step for one in steps], tx.now, into
    )
    return {row["enrollment_id"] for row in rows}


async def elsewhere(tx: Transaction, rows: Sequence[EnrollmentRow]) -> set[int]:
    """Those of ended enrollments whose records are active in the same workflow."""
    found = await tx.fetch(
        ACTIVE, [row.id for row in rows], [row.workflow_id for row in rows], [row.record_id for row in rows]
    )
    return {row["id"] for row in found}


async def reopen(tx: Transaction, ids: Sequence[int], outside: Sequence[int]) -> bool:
    """Let enrollments go on; those in `outside` when what they sent is finished.

    False: another transaction has just enrolled one of their records; nothing was done.
    """
    try:
        async with tx.attempt():
            await tx.execute(REOPEN, list(ids), list(outside), tx.now)
    except asyncpg.UniqueViolationError:
        return False
    return True
