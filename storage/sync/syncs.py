"""Syncs as people see and change them. How they run stands in `storage.sync.leases`.

Whoever changes a sync, its mappings or its links holds the sync's row; so does its runner in each transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement

CONFIGURED, INITIAL, LIVE = "CONFIGURED", "INITIAL", "LIVE"


@dataclass(frozen=True, slots=True)
class SyncNamed:
    """A sync as those see it who look for names in its definition."""

    id: int
    connection: str
    remote_object: str
    object_type_id: int
    definition: dict[str, Any]

    @property
    def name(self) -> str:
        """What people call it: its connection, and the object there."""
        return f"{self.connection}: {self.remote_object}"


@dataclass(frozen=True, slots=True)
class SyncRow:
    """A sync: see `storage.tables.sync.Sync`."""

    id: int
    connection_id: int
    object_type_id: int
    remote_object: str
    direction: str
    policy: str
    definition: dict[str, Any]
    phase: str
    enabled: bool
    revision: int
    held: dict[str, Any] | None
    progress: dict[str, Any]
    next_at: datetime | None
    read_at: datetime | None
    swept_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_by: int | None


# The fields of SyncRow, in its order.
COLUMNS = """s.id, s.connection_id, s.object_type_id, s.remote_object, s.direction, s.policy, s.definition, s.phase,
           s.enabled, s.revision, s.held, s.progress, s.next_at, s.read_at, s.swept_at, s.created_at, s.updated_at,
           s.created_by"""

# One sync an object type and object of a connection: who comes second finds nothing returned.
INSERT = Statement(
    "syncs.insert",
    """
    INSERT INTO sync (account_id, id, connection_id, object_type_id, remote_object, direction, policy, definition,
                      phase, enabled, revision, cursors, pass_number, progress, created_at, updated_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'CONFIGURED', false, 1, '{}', 0, '{}', $9, $9, $10)
    ON CONFLICT (account_id, connection_id, object_type_id, remote_object) DO NOTHING
    RETURNING id
    """,
)

# Whoever has decided by the rules before decides anew. What failed by them may not fail now, and what was passed
# over as known is looked at again: by a pass over everything, which begins at once; one that is under way begins anew.
UPDATE = Statement(
    "syncs.update",
    """
    UPDATE sync AS s
       SET direction = $3, policy = $4, definition = $5, revision = s.revision + 1, updated_at = $6,
           swept_at = NULL, next_at = CASE WHEN s.enabled THEN $6::timestamptz END,
           cursors = s.cursors - '{stage,why,full,after}'::text[],
           again_before = CASE WHEN s.phase <> 'CONFIGURED' THEN $6::timestamptz ELSE s.again_before END,
           held = CASE WHEN s.held ? 'until' THEN NULL ELSE s.held END
     WHERE s.account_id = $1 AND s.id = $2
    """,
)

# Versions known so far say that there is nothing new, which new rules make untrue.
LOOK_ANEW = Statement(
    "syncs.look_anew",
    """
    UPDATE sync_link AS l SET version = NULL
     WHERE l.account_id = $1 AND l.sync_id = $2 AND l.version IS NOT NULL
    """,
)

START = Statement(
    "syncs.start",
    """
    UPDATE sync AS s
       SET phase = 'INITIAL', enabled = true, held = NULL, next_at = $3, updated_at = $3, progress = $4
     WHERE s.account_id = $1 AND s.id = $2
    """,
)

# Its links stay, and so do the places where reading goes on. Turned on, what was held goes on, too.
SET_ENABLED = Statement(
    "syncs.set_enabled",
    """
    UPDATE sync AS s
       SET enabled = $3, held = CASE WHEN $3 THEN NULL ELSE s.held END, next_at = CASE WHEN $3 THEN $4::timestamptz END,
           updated_at = $4
     WHERE s.account_id = $1 AND s.id = $2
    """,
)

# Few, oldest first.
LISTING = Statement(
    "syncs.listing",
    f"""
    SELECT {COLUMNS} FROM sync AS s
     WHERE s.account_id = $1 AND ($2::bigint IS NULL OR s.connection_id = $2)
     ORDER BY s.id
    """,
)

BY_IDS = Statement(
    "syncs.by_ids", f"SELECT {COLUMNS} FROM sync AS s WHERE s.account_id = $1 AND s.id = ANY($2::bigint[])"
)

LOCK = Statement(
    "syncs.lock", f"SELECT {COLUMNS} FROM sync AS s WHERE s.account_id = $1 AND s.id = $2 FOR UPDATE"
)

LOCK_OF = Statement(
    "syncs.lock_of",
    "SELECT s.id FROM sync AS s WHERE s.account_id = $1 AND s.connection_id = $2 ORDER BY s.id FOR UPDATE",
)

# A connection works again: what waited for it goes on at once, and what failed is tried again.
TRY_AGAIN = Statement(
    "syncs.try_again",
    f"""
    UPDATE sync AS s SET next_at = $3, again_before = $3
     WHERE s.account_id = $1 AND s.connection_id = $2 AND s.enabled
    RETURNING {COLUMNS}
    """,
)

# Which sync has the other end of a role is part of the rules: those that have any are decided by anew.
TELL_SIBLINGS = Statement(
    "syncs.tell_siblings",
    """
    UPDATE sync AS s SET revision = s.revision + 1, swept_at = NULL
     WHERE s.account_id = $1 AND s.connection_id = $2 AND s.id <> $3
       AND jsonb_array_length(coalesce(s.definition -> 'roles', '[]')) > 0
    """,
)

# The app has told of other fields or roles: whoever has bound its rules binds them anew.
REBIND = Statement(
    "syncs.rebind",
    "UPDATE sync AS s SET revision = s.revision + 1 WHERE s.account_id = $1 AND s.connection_id = $2",
)

REDEFINE = Statement(
    "syncs.redefine",
    """
    UPDATE sync AS s SET definition = $3, revision = s.revision + 1, updated_at = $4
     WHERE s.account_id = $1 AND s.id = $2
    """,
)

# Syncs are few: whoever looks for a name in their definitions reads all of them.
DEFINITIONS = Statement(
    "syncs.definitions",
    """
    SELECT s.id, c.name AS connection, s.remote_object, s.object_type_id, s.definition
      FROM sync AS s
      JOIN connection AS c ON c.account_id = $1 AND c.id = s.connection_id
     WHERE s.account_id = $1 ORDER BY s.id
    """,
)

# All that is known of a sync goes with it; its records stay where they are.
DELETE_PLAN_ITEMS = Statement(
    "syncs.delete_plan_items",
    """
    DELETE FROM sync_plan_item AS i
     WHERE i.account_id = $1
       AND i.plan_id = ANY(ARRAY(SELECT p.id FROM sync_plan AS p WHERE p.account_id = $1 AND p.sync_id = $2))
    """,
)
DELETE = (
    DELETE_PLAN_ITEMS,
    *(
        Statement(
            f"syncs.delete_{table}", f"DELETE FROM {table} AS t WHERE t.account_id = $1 AND t.{column} = $2"
        )
        for table, column in (
            ("sync_plan", "sync_id"),
            ("sync_key", "sync_id"),
            ("sync_wait", "sync_id"),
            ("sync_dirty", "sync_id"),
            ("sync_seen", "sync_id"),
            ("sync_attempt", "sync_id"),
            ("sync_conflict", "sync_id"),
            ("sync_link", "sync_id"),
            ("sync_mapping", "sync_id"),
            ("sync", "id"),
        )
    ),
)


async def insert(
    tx: Transaction,
    number: int,
    connection_id: int,
    object_type_id: int,
    remote_object: str,
    *,
    direction: str,
    policy: str,
    definition: dict[str, Any],
) -> bool:
    """A new sync, configured and off; False where there is one of the same object type and object."""
    made = await tx.fetchval(
        INSERT,
        number,
        connection_id,
        object_type_id,
        remote_object,
        direction,
        policy,
        definition,
        tx.now,
        tx.actor.user_id,
    )
    return made is not None


async def update(
    tx: Transaction, number: int, *, direction: str, policy: str, definition: dict[str, Any]
) -> None:
    """Write the rules of a sync that is held."""
    await tx.execute(UPDATE, number, direction, policy, definition, tx.now)


async def look_anew(tx: Transaction, number: int) -> None:
    """Let every item of a sync that is held be compared again when it is read."""
    await tx.execute(LOOK_ANEW, number)


async def start(tx: Transaction, number: int, progress: dict[str, Any]) -> None:
    """Begin the initial sync of a sync that is held."""
    await tx.execute(START, number, tx.now, progress)


async def set_enabled(tx: Transaction, number: int, enabled: bool) -> None:
    """Turn a sync that is held on or off."""
    await tx.execute(SET_ENABLED, number, enabled, tx.now)


async def listing(reader: Queryable, connection_id: int | None = None) -> list[SyncRow]:
    """All syncs, or those of one connection, oldest first."""
    return [SyncRow(*row) for row in await reader.fetch(LISTING, connection_id)]


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[SyncRow | None]:
    """The syncs with these ids, in the order asked; None where there is none."""
    found = {row["id"]: SyncRow(*row) for row in await reader.fetch(BY_IDS, list(ids))}
    return [found.get(one) for one in ids]


async def lock(tx: Transaction, number: int) -> SyncRow | None:
    """The sync, held until the transaction ends: its runner does nothing meanwhile."""
    row = await tx.fetchrow(LOCK, number)
    return None if row is None else SyncRow(*row)


async def lock_of(tx: Transaction, connection_id: int) -> None:
    """Hold all syncs of a connection until the transaction ends; before the connection, as their runners do."""
    await tx.fetch(LOCK_OF, connection_id)


async def try_again(tx: Transaction, connection_id: int) -> list[SyncRow]:
    """Let the syncs of a connection that are on go on at once; which they are."""
    return [SyncRow(*row) for row in await tx.fetch(TRY_AGAIN, connection_id, tx.now)]


async def tell_siblings(tx: Transaction, connection_id: int, sync_id: int) -> None:
    """A sync has come to a connection, or goes: the others that are held find its records, or no longer do."""
    await tx.execute(TELL_SIBLINGS, connection_id, sync_id)


async def rebind(tx: Transaction, connection_id: int) -> None:
    """What a connection has changed under its syncs, which are held."""
    await tx.execute(REBIND, connection_id)


async def definitions(reader: Queryable) -> list[SyncNamed]:
    """The definitions of all syncs, oldest first."""
    return [SyncNamed(*row) for row in await reader.fetch(DEFINITIONS)]


async def redefine(tx: Transaction, number: int, definition: dict[str, Any]) -> None:
    """Write a definition that says the same by other names."""
    await tx.execute(REDEFINE, number, definition, tx.now)


async def delete(tx: Transaction, number: int) -> None:
    """Forget a sync that is held, with its links and all that was noted of them."""
    for statement in DELETE:
        await tx.execute(statement, number)
