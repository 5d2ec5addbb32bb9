"""Accounts: the rows that every account has one of, and finding an account by its name."""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg

from storage.database import Actor, Database, Queryable, Transaction
from storage.statements import Statement

# A name that is taken gives no row; the constraint decides, so two that race cannot both have it.
INSERT = Statement(
    "accounts.insert",
    """
    INSERT INTO account (account_id, name, settings, created_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO NOTHING
    RETURNING account_id
    """,
)

INSERT_CATALOGUE_VERSION = Statement(
    "accounts.insert_catalogue_version",
    "INSERT INTO catalogue_version (account_id, version) VALUES ($1, 1)",
)

INSERT_ID_BLOCK = Statement(
    "accounts.insert_id_block", "INSERT INTO id_block (account_id, next_id) VALUES ($1, $2)"
)

INSERT_SEQ = Statement("accounts.insert_seq", "INSERT INTO account_seq (account_id, seq) VALUES ($1, 0)")

FIND = Statement(
    "accounts.find",
    "SELECT a.account_id FROM account AS a WHERE a.name = $1",
    spanning="an operator names an account before any is chosen",
)

NAMES = Statement(
    "accounts.names",
    "SELECT a.name FROM account AS a ORDER BY a.name",
    spanning="an operator lists the accounts of an installation",
)

READ = Statement(
    "accounts.read", "SELECT a.name, a.settings, a.created_at FROM account AS a WHERE a.account_id = $1"
)

RENAME = Statement("accounts.rename", "UPDATE account AS a SET name = $2 WHERE a.account_id = $1")

LOCK_SETTINGS = Statement(
    "accounts.lock_settings", "SELECT a.settings FROM account AS a WHERE a.account_id = $1 FOR UPDATE"
)

WRITE_SETTINGS = Statement(
    "accounts.write_settings", "UPDATE account AS a SET settings = $2 WHERE a.account_id = $1"
)


@contextlib.asynccontextmanager
async def founding(
    db: Database, account_id: int, *, now: datetime, actor: Actor
) -> AsyncIterator[Transaction]:
    """A transaction of an account that does not exist yet.

    An ordinary one holds the account's catalogue and takes ids from its block: rows that are only made here.
    """
    async with db.pool.acquire() as connection, connection.transaction():
        yield Transaction(db, connection, account_id, now, actor)


async def insert(tx: Transaction, name: str, settings: dict[str, Any], *, next_id: int) -> bool:
    """Write the account and its counters; False where the name is taken."""
    if await tx.fetchval(INSERT, name, settings, tx.now) is None:
        return False
    await tx.execute(INSERT_CATALOGUE_VERSION)
    await tx.execute(INSERT_ID_BLOCK, next_id)
    await tx.execute(INSERT_SEQ)
    return True


async def find(db: Database, name: str) -> int | None:
    """The account called `name`."""
    rows = await db.spanning(FIND, name)
    return int(rows[0]["account_id"]) if rows else None


async def names(db: Database) -> list[str]:
    """The names of all accounts."""
    return [row["name"] for row in await db.spanning(NAMES)]


async def read(reader: Queryable) -> tuple[str, dict[str, Any], datetime] | None:
    """Name, settings and birth of the account."""
    row = await reader.fetchrow(READ)
    return None if row is None else (row["name"], row["settings"], row["created_at"])


async def rename(tx: Transaction, name: str) -> bool:
    """Give the account another name; False where that is taken, and then the transaction can only be undone."""
    try:
        await tx.execute(RENAME, name)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def lock_settings(tx: Transaction) -> dict[str, Any]:
    """The settings, held until the commit."""
    return dict(await tx.fetchval(LOCK_SETTINGS))


async def write_settings(tx: Transaction, settings: dict[str, Any]) -> None:
    """Replace the settings."""
    await tx.execute(WRITE_SETTINGS, settings)
