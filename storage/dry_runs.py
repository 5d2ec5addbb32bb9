"""What dry runs need beside the real thing: the outside that answers at once, and how many records would enter."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.filters.times import settled
from storage.filters.tree import Filter
from storage.filters.ways import counted
from storage.statements import Statement

# Along the index of a step's rows. It is rolled back, as all of a dry run.
DELIVER = Statement(
    "dry_runs.deliver",
    """
    UPDATE outbox AS o SET status = 'DELIVERED', next_attempt_at = NULL, finished_at = $3
     WHERE o.account_id = $1 AND o.enrollment_id = ANY($2::bigint[]) AND o.finished_at IS NULL
    """,
)


async def deliver(tx: Transaction, enrollment_ids: Sequence[int]) -> None:
    """Everything that these enrollments have sent has arrived; for transactions that are rolled back."""
    await tx.execute(DELIVER, list(enrollment_ids), tx.now)


async def count(reader: Queryable, filter_: Filter, object_type_id: int, *, now: datetime) -> int:
    """How many living records of a type meet a filter at `now`."""
    given: list[Any] = [object_type_id]

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    counting = counted(filter_, "$2::bigint", "r", add)
    found: int = await reader.fetchval(f"SELECT {counting}", *settled(given, now))
    return found
