"""What is kept for a time only: events of the log, and what idempotency keys have done. Taken away in bounded lots."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Database, Single
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an account has chosen."""

    account_id: int
    settings: dict[str, Any]


ACCOUNTS = Statement(
    "retention.accounts",
    "SELECT a.account_id, a.settings FROM account AS a ORDER BY a.account_id",
    spanning="a duty of the whole installation, once an hour; each account is then worked off by itself",
)

# From the beginning of the log up to the first event that is to stay, so that what is left has no gap: times do not
# rise quite as numbers do. Along the key; a lot at a time.
EVENTS = Statement(
    "retention.events",
    """
    WITH oldest AS MATERIALIZED (
        SELECT e.seq, e.at FROM event_log AS e WHERE e.account_id = $1 ORDER BY e.seq LIMIT $3
    ), kept AS (
        SELECT min(o.seq) AS seq FROM oldest AS o WHERE o.at >= $2
    )
    DELETE FROM event_log AS e
     WHERE e.account_id = $1
       AND e.seq = ANY(ARRAY(SELECT o.seq FROM oldest AS o, kept AS k WHERE k.seq IS NULL OR o.seq < k.seq))
    """,
)

# Along an index by age.
KEYS = Statement(
    "retention.keys",
    """
    DELETE FROM idempotency_key AS k
     WHERE k.account_id = $1
       AND k.key = ANY(ARRAY(SELECT o.key FROM idempotency_key AS o
                              WHERE o.account_id = $1 AND o.created_at < $2
                              ORDER BY o.created_at LIMIT $3))
    """,
)


async def accounts(db: Database) -> list[Chosen]:
    """All accounts with what they have chosen."""
    return [Chosen(row["account_id"], row["settings"]) for row in await db.spanning(ACCOUNTS)]


async def events(writer: Single, before: datetime, limit: int) -> int:
    """Take away up to `limit` rows of events from before a moment; how many went."""
    return await writer.execute(EVENTS, before, limit)


async def keys(writer: Single, before: datetime, limit: int) -> int:
    """Take away up to `limit` keys from before a moment; how many went."""
    return await writer.execute(KEYS, before, limit)
