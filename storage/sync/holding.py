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

RELEASE = Statement(
    "sync_holding.release", "UPDATE sync AS s SET held = $3 WHERE s.account_id = $1 AND s.id = $2"
)

AGAIN = Statement(
    "sync_holding.again",
    "UPDATE sync AS s SET again_before = $3, next_at = $4 WHERE s.account_id = $1 AND s.id = $2",
)

AGAIN_OF_CONNECTION = Statement(
    "sync_holding.again_of_connection",
    "UPDATE sync AS s SET again_before = $3, next_at = $3 WHERE s.account_id = $1 AND s.connection_id = $2",
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


async def set_held(tx: Transaction, sync_id: int, held: dict[str, Any] | None) -> None:
    """Say why a sync that is held by its caller has stopped by itself; None: it goes on."""
    await tx.execute(RELEASE, sync_id, held)


async def again(tx: Transaction, sync_id: int, before: datetime | None) -> None:
    """Let what failed before this time be tried again, bit by bit; None: all of it is."""
    await tx.execute(AGAIN, sync_id, before, tx.now)


async def again_of_connection(tx: Transaction, connection_id: int) -> None:
    """Let what has failed until now in a connection's syncs be tried again, bit by bit."""
    await tx.execute(AGAIN_OF_CONNECTION, connection_id, tx.now)


async def again_before(reader: Queryable, sync_id: int) -> datetime | None:
    """Before when what has failed is to be tried again."""
    at: datetime | None = await reader.fetchval(AGAIN_BEFORE, sync_id)
    return at
