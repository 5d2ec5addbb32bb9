"""Backfills: how far the enrolling of records that were there before has got."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class BackfillRow:
    """How far the enrolling of records that met the triggers beforehand has got."""

    workflow_id: int
    after_id: int
    enrolled: int
    started_at: datetime


BEGIN = Statement(
    "backfills.begin",
    """
    INSERT INTO workflow_backfill (account_id, workflow_id, after_id, enrolled, started_at)
    VALUES ($1, $2, 0, 0, $3)
    ON CONFLICT (account_id, workflow_id) DO UPDATE SET after_id = 0, enrolled = 0, started_at = $3
    """,
)

END = Statement(
    "backfills.end",
    "DELETE FROM workflow_backfill AS b WHERE b.account_id = $1 AND b.workflow_id = $2",
)

# The one who works on a backfill holds its row until the part and the new place are committed. Those of workflows
# that are off stay where they are. The workflow's row is read and not locked: who turns it off holds it, and waits
# for the part (see `HOLD`).
CLAIM = Statement(
    "backfills.claim",
    """
    SELECT b.workflow_id, b.after_id, b.enrolled, b.started_at
      FROM workflow_backfill AS b
     WHERE b.account_id = $1
       AND EXISTS (SELECT FROM workflow AS w WHERE w.account_id = $1 AND w.id = b.workflow_id AND w.enabled)
     ORDER BY b.workflow_id LIMIT 1
       FOR UPDATE OF b SKIP LOCKED
    """,
)

# A part that is under way ends first: nobody enrolls once the workflow is off.
HOLD = Statement(
    "backfills.hold",
    "SELECT FROM workflow_backfill AS b WHERE b.account_id = $1 AND b.workflow_id = $2 FOR UPDATE",
)

MOVE = Statement(
    "backfills.move",
    """
    UPDATE workflow_backfill AS b SET after_id = $3, enrolled = b.enrolled + $4
     WHERE b.account_id = $1 AND b.workflow_id = $2
    """,
)

OF = Statement(
    "backfills.of",
    """
    SELECT b.workflow_id, b.after_id, b.enrolled, b.started_at
      FROM workflow_backfill AS b WHERE b.account_id = $1 AND b.workflow_id = ANY($2::bigint[])
    """,
)

# Archived records are passed by here, so a page is a page of those that may enroll.
RECORD_PAGE = Statement(
    "backfills.record_page",
    """
    SELECT r.id FROM record AS r
     WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.id > $3 AND r.archived_at IS NULL
     ORDER BY r.id LIMIT $4
    """,
)


async def begin(tx: Transaction, workflow_id: int) -> None:
    """Let a backfill begin, or begin again."""
    await tx.execute(BEGIN, workflow_id, tx.now)


async def claim(tx: Transaction) -> BackfillRow | None:
    """A backfill that nobody else works on, held until the commit."""
    row = await tx.fetchrow(CLAIM)
    return None if row is None else BackfillRow(**row)


async def hold(tx: Transaction, workflow_id: int) -> None:
    """Wait for a part of the backfill that is under way, and let none begin before the commit."""
    await tx.execute(HOLD, workflow_id)


async def move(tx: Transaction, workflow_id: int, after_id: int, enrolled: int) -> None:
    """Records up to `after_id` are done, `enrolled` more of them enrolled."""
    await tx.execute(MOVE, workflow_id, after_id, enrolled)


async def end(tx: Transaction, workflow_id: int) -> None:
    """The backfill has reached the last record, or somebody wants no more of it."""
    await tx.execute(END, workflow_id)


async def of(reader: Queryable, workflow_ids: Sequence[int]) -> list[BackfillRow | None]:
    """The backfills of these workflows that have not ended, in the order asked."""
    rows = await reader.fetch(OF, list(workflow_ids))
    found = {row["workflow_id"]: BackfillRow(**row) for row in rows}
    return [found.get(workflow_id) for workflow_id in workflow_ids]


async def record_page(reader: Queryable, object_type_id: int, after: int, limit: int) -> list[int]:
    """Up to `limit` ids of living records of a type behind the id `after`, in id order."""
    return [row["id"] for row in await reader.fetch(RECORD_PAGE, object_type_id, after, limit)]
