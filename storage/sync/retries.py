"""Failures that are tried again: found along the index of pages, and pending from then on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(slots=True)
class Failure:
    """What is needed of a link to try it again."""

    id: int
    sync_id: int
    state: str
    category: str | None
    record_id: int | None
    external_id: str | None
    failed_side: str | None


_FAILURE = "l.id, l.sync_id, l.state, l.category, l.record_id, l.external_id, l.failed_side"

BY_IDS = Statement(
    "sync_retries.by_ids",
    f"SELECT {_FAILURE} FROM sync_link AS l WHERE l.account_id = $1 AND l.id = ANY($2::bigint[]) ORDER BY l.id",
)

# In id order, along the index of what has failed; it holds the category, too.
FAILED = Statement(
    "sync_retries.failed",
    f"""
    SELECT {_FAILURE} FROM sync_link AS l
     WHERE l.account_id = $1 AND l.sync_id = $2 AND l.state = 'FAILED' AND l.id > $3
       AND ($4::text[] IS NULL OR l.category = ANY($4))
       AND ($5::text[] IS NULL OR l.category IS NULL OR l.category <> ALL($5))
       AND ($6::timestamptz IS NULL OR l.failed_at IS NULL OR l.failed_at < $6)
     ORDER BY l.id LIMIT $7
    """,
)

# Nothing is said of them until they have been tried.
RETRIED = Statement(
    "sync_retries.retried",
    """
    UPDATE sync_link AS l
       SET state = 'PENDING', category = NULL, message = NULL, failed_side = NULL, details = NULL, updated_at = $3
     WHERE l.account_id = $1 AND l.id = ANY($2::bigint[])
    """,
)


async def by_ids(reader: Queryable, link_ids: Sequence[int]) -> list[Failure]:
    """These links, in id order."""
    return [Failure(*row) for row in await reader.fetch(BY_IDS, sorted(set(link_ids)))]


async def failed(
    reader: Queryable,
    sync_id: int,
    *,
    categories: Sequence[str] | None,
    without: Sequence[str] | None,
    before: datetime | None = None,
    after: int,
    limit: int,
) -> list[Failure]:
    """Up to `limit` failures of a sync with ids above `after`: of some categories, or of all but some.

    `before`: those that failed last before this time.
    """
    rows = await reader.fetch(FAILED, sync_id, after, categories, without, before, limit)
    return [Failure(*row) for row in rows]


async def retried(tx: Transaction, link_ids: Sequence[int]) -> None:
    """These links are to be tried again."""
    await tx.execute(RETRIED, list(link_ids), tx.now)
