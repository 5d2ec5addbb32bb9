"""When the schedules of workflows come next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from storage.database import Database, Transaction
from storage.statements import Statement
from storage.walks import everyone


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule trigger of a workflow, and when it comes next."""

    workflow_id: int
    trigger: int
    next_at: datetime


CLEAR = Statement(
    "schedules.clear", "DELETE FROM workflow_schedule AS s WHERE s.account_id = $1 AND s.workflow_id = $2"
)

SET = Statement(
    "schedules.set",
    """
    INSERT INTO workflow_schedule (account_id, workflow_id, trigger, next_at)
    SELECT $1, $2, s.trigger, s.next_at FROM unnest($3::bigint[], $4::timestamptz[]) AS s(trigger, next_at)
    ON CONFLICT (account_id, workflow_id, trigger) DO UPDATE SET next_at = excluded.next_at
    """,
)

# What another one moves on is passed over.
CLAIM = Statement(
    "schedules.claim",
    """
    SELECT s.workflow_id, s.trigger, s.next_at FROM workflow_schedule AS s
     WHERE s.account_id = $1 AND s.next_at <= $2
     ORDER BY s.next_at, s.workflow_id, s.trigger LIMIT $3
       FOR UPDATE SKIP LOCKED
    """,
)

# One probe an account.
DUE_ACCOUNTS = Statement(
    "schedules.due_accounts",
    """
    SELECT a.id AS account_id
      FROM unnest($1::bigint[]) AS a(id)
     WHERE EXISTS (SELECT FROM workflow_schedule AS s
                    WHERE s.account_id = ANY($1) AND s.account_id = a.id AND s.next_at <= $2)
        OR EXISTS (SELECT FROM workflow_pass AS p WHERE p.account_id = ANY($1) AND p.account_id = a.id)
    """,
    spanning="finds the accounts with work that is due; each is then worked off in transactions of its own",
)


async def replace(tx: Transaction, workflow_id: int, times: Mapping[int, datetime]) -> None:
    """Let a workflow have these schedules alone: {trigger: when it comes next}."""
    await tx.execute(CLEAR, workflow_id)
    await move(tx, workflow_id, times)


async def move(tx: Transaction, workflow_id: int, times: Mapping[int, datetime]) -> None:
    """When these schedules of a workflow come next."""
    if times:
        await tx.execute(SET, workflow_id, list(times), list(times.values()))


async def claim(tx: Transaction, limit: int) -> list[ScheduleRow]:
    """Up to `limit` schedules that are due, held until the commit, the longest due first."""
    return [ScheduleRow(**row) for row in await tx.fetch(CLAIM, tx.now, limit)]


async def due_accounts(db: Database, now: datetime) -> list[int]:
    """The accounts with a schedule that is due, or a pass under way."""
    return [row["account_id"] for row in await db.spanning(DUE_ACCOUNTS, await everyone(db), now)]
