"""What an unexpected error kept from being evaluated: put aside with its reason, until it is tried again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class TroubleRow:
    """Work put aside. `kind` says what is to be done again, `work` with what; `attempts` all failed."""

    id: int
    kind: str
    work: dict[str, Any]
    attempts: int
    error: str
    first_at: datetime
    retry_at: datetime


_TROUBLE = "t.id, t.kind, t.work, t.attempts, t.error, t.first_at, t.retry_at"

PUT = Statement(
    "troubles.put",
    """
    INSERT INTO change_trouble (account_id, id, kind, work, attempts, error, first_at, retry_at)
    SELECT $1, t.id, t.kind, t.work, t.attempts, t.error, t.first_at, t.retry_at
      FROM unnest($2::bigint[], $3::text[], $4::jsonb[], $5::int[], $6::text[], $7::timestamptz[],
                  $8::timestamptz[])
           AS t(id, kind, work, attempts, error, first_at, retry_at)
    """,
)

# As with the queue: claiming deletes, and what another evaluator holds is skipped. The head of a range of the index.
CLAIM = Statement(
    "troubles.claim",
    f"""
    WITH claimed AS (
        SELECT c.id FROM change_trouble AS c
         WHERE c.account_id = $1 AND c.retry_at <= $2
         ORDER BY c.retry_at, c.id LIMIT $3
           FOR UPDATE SKIP LOCKED
    )
    DELETE FROM change_trouble AS t
     WHERE t.account_id = $1 AND t.id = ANY(ARRAY(SELECT d.id FROM claimed AS d))
    RETURNING {_TROUBLE}
    """,
)

LISTING = Statement(
    "troubles.listing",
    f"SELECT {_TROUBLE} FROM change_trouble AS t WHERE t.account_id = $1 AND t.id > $2 ORDER BY t.id LIMIT $3",
)

# Those that are named, or all.
RETRY = Statement(
    "troubles.retry",
    """
    UPDATE change_trouble AS t SET retry_at = $2
     WHERE t.account_id = $1 AND ($3::bigint[] IS NULL OR t.id = ANY($3::bigint[]))
    """,
)


async def put(tx: Transaction, rows: Sequence[TroubleRow]) -> None:
    """Put work aside; the rows' ids are given here."""
    if not rows:
        return
    await tx.execute(
        PUT,
        await tx.new_ids(len(rows)),
        [row.kind for row in rows],
        [row.work for row in rows],
        [row.attempts for row in rows],
        [row.error for row in rows],
        [row.first_at for row in rows],
        [row.retry_at for row in rows],
    )


async def claim(tx: Transaction, now: datetime, limit: int) -> list[TroubleRow]:
    """Take up to `limit` whose time has come, oldest first; they are gone if the transaction commits."""
    rows = [TroubleRow(**row) for row in await tx.fetch(CLAIM, now, limit)]
    return sorted(rows, key=lambda row: (row.first_at, row.id))


async def listing(reader: Queryable, after: int, limit: int) -> list[TroubleRow]:
    """Up to `limit` of those put aside, behind the id `after`, in id order."""
    return [TroubleRow(**row) for row in await reader.fetch(LISTING, after, limit)]


async def retry(tx: Transaction, ids: Collection[int] | None = None) -> int:
    """Let these, or all, be tried again at once; how many there are."""
    return await tx.execute(RETRY, tx.now, None if ids is None else list(ids))
