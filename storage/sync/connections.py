"""Connections: the instances of apps that an account is signed in to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Database, Queryable, Transaction
from storage.statements import Statement

READY, BROKEN = "READY", "BROKEN"


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection without its secrets: see `storage.tables.sync.Connection`. `secret_names` are those that it has."""

    id: int
    app: str
    name: str
    settings: dict[str, str]
    secret_names: tuple[str, ...]
    status: str
    category: str | None
    message: str | None
    paused_until: datetime | None
    remote_account: str | None
    objects: list[dict[str, Any]]
    described_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_by: int | None


@dataclass(frozen=True, slots=True)
class Described:
    """What an app has told of itself."""

    remote_account: str
    objects: list[dict[str, Any]]


# The fields of ConnectionRow, in its order. What is sealed is read by `sealed` alone.
COLUMNS = """c.id, c.app, c.name, c.settings, c.secret_names, c.status, c.category, c.message, c.paused_until,
           c.remote_account, c.objects, c.described_at, c.created_at, c.updated_at, c.created_by"""

# Once for each worker; connections are few.
APPS = Statement(
    "connections.apps",
    "SELECT DISTINCT c.app FROM connection AS c ORDER BY c.app",
    spanning="finds the apps that a worker is going to need, whoever is connected with them",
)

# Whoever comes second with a name finds nothing returned.
INSERT = Statement(
    "connections.insert",
    """
    INSERT INTO connection (account_id, id, app, name, settings, secrets, secret_names, status, remote_account,
                            objects, described_at, created_at, updated_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $11, $12)
    ON CONFLICT (account_id, name) DO NOTHING
    RETURNING id
    """,
)

# What somebody has entered. What was wrong with the connection before is no longer known to be.
UPDATE = Statement(
    "connections.update",
    """
    UPDATE connection AS c
       SET name = $3, settings = $4, secrets = $5, secret_names = $6, remote_account = $7, objects = $8,
           described_at = $9, updated_at = $9, status = 'READY', category = NULL, message = NULL, paused_until = NULL
     WHERE c.account_id = $1 AND c.id = $2
    """,
)

# What the app has told when it was looked at: it works.
DESCRIBED = Statement(
    "connections.described",
    """
    UPDATE connection AS c
       SET remote_account = $3, objects = $4, described_at = $5, updated_at = $5, status = 'READY', category = NULL,
           message = NULL, paused_until = NULL
     WHERE c.account_id = $1 AND c.id = $2
    """,
)

# What a runner was told; whether it works is said elsewhere.
REDESCRIBED = Statement(
    "connections.redescribed",
    "UPDATE connection AS c SET objects = $3, described_at = $4 WHERE c.account_id = $1 AND c.id = $2",
)

FAILED = Statement(
    "connections.failed",
    """
    UPDATE connection AS c
       SET status = $3, category = $4, message = $5, paused_until = $6, updated_at = $7
     WHERE c.account_id = $1 AND c.id = $2
    """,
)

# By another key, but the same; nothing else changes.
RESEAL = Statement(
    "connections.reseal",
    "UPDATE connection AS c SET secrets = $4 WHERE c.account_id = $1 AND c.id = $2 AND c.secrets = $3",
)

# Few, oldest first.
LISTING = Statement(
    "connections.listing", f"SELECT {COLUMNS} FROM connection AS c WHERE c.account_id = $1 ORDER BY c.id"
)

BY_IDS = Statement(
    "connections.by_ids",
    f"SELECT {COLUMNS} FROM connection AS c WHERE c.account_id = $1 AND c.id = ANY($2::bigint[])",
)

NAMED = Statement(
    "connections.named", "SELECT c.id FROM connection AS c WHERE c.account_id = $1 AND c.name = $2"
)

# Whoever makes a sync of it, or deletes it, holds it: no sync comes to a connection that goes.
LOCK = Statement(
    "connections.lock",
    f"SELECT {COLUMNS} FROM connection AS c WHERE c.account_id = $1 AND c.id = $2 FOR UPDATE",
)

SEALED = Statement(
    "connections.sealed", "SELECT c.secrets FROM connection AS c WHERE c.account_id = $1 AND c.id = $2"
)

# With when its next call would have been due.
DELETE = tuple(
    Statement(
        f"connections.delete_{table}", f"DELETE FROM {table} AS t WHERE t.account_id = $1 AND t.{column} = $2"
    )
    for table, column in (("sync_budget", "connection_id"), ("connection", "id"))
)


async def apps(db: Database) -> list[str]:
    """The names of all apps that anybody is connected with."""
    return [row["app"] for row in await db.spanning(APPS)]


async def insert(
    tx: Transaction,
    number: int,
    app: str,
    name: str,
    settings: dict[str, str],
    sealed: bytes,
    secret_names: Sequence[str],
    described: Described,
) -> bool:
    """A new connection, which has just been looked at; False where the name is taken."""
    made = await tx.fetchval(
        INSERT,
        number,
        app,
        name,
        settings,
        sealed,
        list(secret_names),
        READY,
        described.remote_account,
        described.objects,
        tx.now,
        tx.actor.user_id,
    )
    return made is not None


async def update(
    tx: Transaction,
    number: int,
    name: str,
    settings: dict[str, str],
    sealed: bytes,
    secret_names: Sequence[str],
    described: Described,
) -> None:
    """Write what somebody has entered, and what the app then told."""
    await tx.execute(
        UPDATE,
        number,
        name,
        settings,
        sealed,
        list(secret_names),
        described.remote_account,
        described.objects,
        tx.now,
    )


async def describe(tx: Transaction, number: int, described: Described) -> None:
    """Keep what the app has told now; it works."""
    await tx.execute(DESCRIBED, number, described.remote_account, described.objects, tx.now)


async def redescribe(tx: Transaction, number: int, objects: list[dict[str, Any]]) -> None:
    """Keep what the app tells of its objects now."""
    await tx.execute(REDESCRIBED, number, objects, tx.now)


async def fail(
    tx: Transaction, number: int, *, status: str, category: str, message: str, until: datetime | None = None
) -> None:
    """Keep why it does not work: until a person has done something, or (READY) until then."""
    await tx.execute(FAILED, number, status, category, message, until, tx.now)


async def reseal(tx: Transaction, number: int, before: bytes, after: bytes) -> bool:
    """Keep the same secrets under another key; False where others have been entered meanwhile."""
    return await tx.execute(RESEAL, number, before, after) == 1


async def listing(reader: Queryable) -> list[ConnectionRow]:
    """All connections, oldest first."""
    return [_row(row) for row in await reader.fetch(LISTING)]


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[ConnectionRow | None]:
    """The connections with these ids, in the order asked; None where there is none."""
    found = {row["id"]: _row(row) for row in await reader.fetch(BY_IDS, list(ids))}
    return [found.get(one) for one in ids]


async def named(reader: Queryable, name: str) -> int | None:
    """The connection with this name."""
    found: int | None = await reader.fetchval(NAMED, name)
    return found


async def lock(tx: Transaction, number: int) -> ConnectionRow | None:
    """The connection, held until the transaction ends."""
    row = await tx.fetchrow(LOCK, number)
    return None if row is None else _row(row)


async def sealed(reader: Queryable, number: int) -> bytes | None:
    """A connection's secrets as they are kept."""
    found: bytes | None = await reader.fetchval(SEALED, number)
    return found


async def delete(tx: Transaction, number: int) -> None:
    """Forget a connection that no sync uses."""
    for statement in DELETE:
        await tx.execute(statement, number)


def _row(row: Any) -> ConnectionRow:
    values = list(row)
    values[4] = tuple(values[4])
    return ConnectionRow(*values)
