"""Syncs held by those who change something of them or of their links: people, and what they have asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(slots=True)
class HeldSync:
    """What is needed of a sync to change something of it."""

    id: int
    connection_id: int
    object_type_id: int
    remote_object: str
    direction: str
    phase: str
    enabled: bool
    revision: int
    held: dict[str, Any] | None
    again_before: datetime | None


_HELD = """s.id, s.connection_id, s.object_type_id, s.remote_object, s.direction, s.phase, s.enabled, s.revision,
           s.held, s.again_before"""

# In id order, as whoever holds several.
HOLD = Statement(
    "sync_holding.hold",
    f"SELECT {_HELD} FROM sync AS s WHERE s.account_id = $1 AND s.id = ANY($2::bigint[]) ORDER BY s.id FOR UPDATE",
)

# Work for the runner: it is looked at as soon as it can be.
HURRY = Statement(
    "sync_holding.hurry",
    "UPDATE sync AS s SET next_at = least(s.next_at, $3) WHERE s.account_id = $1 AND s.id = ANY($2::bigint[])",
)

# Confirmed: however many there are, they go; and what went before no longer counts.
CONFIRM_DELETES = Statement(
    "sync_holding.confirm_deletes",
    """
    UPDATE sync AS s
       SET held = NULL, next_at = $4,
           cursors = (s.cursors - 'deleted') || jsonb_build_object('confirmed', $3::bigint, 'asked', true)
     WHERE s.account_id = $1 AND s.id = $2
    """,
)

# Refused: their other halves stay, and are shown. Along the index of those that are to go.
KEEP_DELETES = Statement(
    "sync_holding.keep_deletes",
    """
    UPDATE sync_link AS l
       SET deleting = false, state = 'FAILED', category = 'RECORD_DELETED', message = $3,
           failed_side = CASE l.deleted WHEN 'OURS' THEN 'THEIRS' ELSE 'OURS' END,
           details = '{"kept": true}', failed_at = $4, updated_at = $4
     WHERE l.account_id = $1 AND l.sync_id = $2 AND l.deleting
    """,
)

GO_ON = Statement(
    "sync_holding.go_on",
    "UPDATE sync AS s SET held = NULL, next_at = $3 WHERE s.account_id = $1 AND s.id = $2",
)

# For a while; or, without a reason, no longer.
REST = Statement("sync_holding.rest", "UPDATE sync AS s SET held = $3 WHERE s.account_id = $1 AND s.id = $2")

TRIED_AGAIN = Statement(
    "sync_holding.tried_again",
    "UPDATE sync AS s SET again_before = NULL WHERE s.account_id = $1 AND s.id = $2",
)

AGAIN_BEFORE = Statement(
    "sync_holding.again_before", "SELECT s.again_before FROM sync AS s WHERE s.account_id = $1 AND s.id = $2"
)


async def hold(tx: Transaction, sync_ids: Sequence[int]) -> dict[int, HeldSync]:
    """These syncs, each held until the commit; by id."""
    return {row["id"]: HeldSync(*row) for row in await tx.fetch(HOLD, sorted(set(sync_ids)))}


async def hurry(tx: Transaction, sync_ids: Sequence[int]) -> None:
    """Let the runner look at these now."""
    await tx.execute(HURRY, sorted(set(sync_ids)), tx.now)


async def confirm_deletes(tx: Transaction, sync_id: int, count: int) -> None:
    """Let all deletions of a sync that wait be carried out."""
    await tx.execute(CONFIRM_DELETES, sync_id, count, tx.now)


async def keep_deletes(tx: Transaction, sync_id: int, message: str) -> int:
    """Let none of them be; how many there were."""
    kept = await tx.execute(KEEP_DELETES, sync_id, message, tx.now)
    await tx.execute(GO_ON, sync_id, tx.now)
    return kept


async def rest(tx: Transaction, sync_id: int, held: dict[str, Any] | None) -> None:
    """Let a sync that is held by this transaction rest, or rest no longer."""
    await tx.execute(REST, sync_id, held)


async def tried_again(tx: Transaction, sync_id: int) -> None:
    """All that failed before is tried again now."""
    await tx.execute(TRIED_AGAIN, sync_id)


async def again_before(reader: Queryable, sync_id: int) -> datetime | None:
    """Before when what has failed is to be tried again."""
    at: datetime | None = await reader.fetchval(AGAIN_BEFORE, sync_id)
    return at
