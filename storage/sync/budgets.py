"""The rate of a connection's calls, kept by all workers together."""

from datetime import datetime, timedelta

from storage.database import Queryable
from storage.statements import Statement

# One statement, a transaction of its own: whoever calls takes the next place in the row. `next_at` is when the place
# behind all those that were taken is due; it is never earlier than $3 before now, so that calls that were not made
# may be made up for, up to a point. The answer is when the call may be made.
TAKE = Statement(
    "sync_budgets.take",
    """
    INSERT INTO sync_budget AS b (account_id, connection_id, next_at)
    VALUES ($1, $2, $3::timestamptz + $5)
        ON CONFLICT (account_id, connection_id)
        DO UPDATE SET next_at = greatest(b.next_at, $3) + $5
    RETURNING greatest(next_at - $5, $4)
    """,
)


async def take(
    single: Queryable, connection_id: int, now: datetime, every: timedelta, burst: timedelta
) -> datetime:
    """When a call may be made that is due `every` so often, those of the last `burst` made up for: `now`, or later."""
    at: datetime = await single.fetchval(TAKE, connection_id, now - burst, now, every)
    return at
