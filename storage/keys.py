"""API keys: only their hashes are kept."""

from dataclasses import dataclass
from datetime import datetime

from storage.database import Queryable, Transaction
from storage.session import Row
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it may be listed. `prefix` is how it begins, so that people recognize it."""

    id: int
    user_id: int | None
    name: str
    prefix: str
    role: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """What a presented secret stands for. `user_role` is the role of the key's user today, if it has one."""

    id: int
    user_id: int | None
    role: str
    scopes: tuple[str, ...]
    account_name: str
    user_role: str | None


INSERT = Statement(
    "keys.insert",
    """
    INSERT INTO api_key (account_id, id, user_id, name, secret_hash, prefix, role, scopes, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    """,
)

_KNOWN = """
    SELECT k.id, k.user_id, k.role, k.scopes, a.name AS account_name, u.role AS user_role
      FROM api_key AS k
      JOIN account AS a ON a.account_id = $1
      LEFT JOIN account_user AS u ON u.account_id = $1 AND u.id = k.user_id
     WHERE k.account_id = $1 AND k.revoked_at IS NULL
"""

# By the unique index (account, hash). The account comes from the key's own text, so this is an ordinary scoped
# statement: a key never finds anything in another account.
KNOWN = Statement(
    "keys.known",
    f"{_KNOWN} AND k.secret_hash = $2",
)

# By the primary key: what a key has signed is good no longer than the key.
LIVING = Statement(
    "keys.living",
    f"{_KNOWN} AND k.id = $2",
)

# A key that was revoked before keeps its time.
REVOKE = Statement(
    "keys.revoke",
    """
    UPDATE api_key AS k SET revoked_at = coalesce(k.revoked_at, $3)
     WHERE k.account_id = $1 AND k.id = $2
    RETURNING k.id, k.user_id, k.name, k.prefix, k.role, k.scopes, k.created_at, k.revoked_at
    """,
)

LISTING = Statement(
    "keys.listing",
    """
    SELECT k.id, k.user_id, k.name, k.prefix, k.role, k.scopes, k.created_at, k.revoked_at
      FROM api_key AS k WHERE k.account_id = $1 ORDER BY k.id
    """,
)


async def insert(tx: Transaction, row: KeyRow, secret_hash: str) -> None:
    """Write a new key."""
    await tx.execute(
        INSERT,
        row.id,
        row.user_id,
        row.name,
        secret_hash,
        row.prefix,
        row.role,
        list(row.scopes),
        row.created_at,
    )


async def known(reader: Queryable, secret_hash: str) -> Known | None:
    """The living key with this hash."""
    return _known(await reader.fetchrow(KNOWN, secret_hash))


async def living(reader: Queryable, number: int) -> Known | None:
    """The living key with this id."""
    return _known(await reader.fetchrow(LIVING, number))


def _known(row: Row | None) -> Known | None:
    return None if row is None else Known(**dict(row) | {"scopes": tuple(row["scopes"])})


async def revoke(tx: Transaction, number: int) -> KeyRow | None:
    """End a key; None where there is none with this number."""
    row = await tx.fetchrow(REVOKE, number, tx.now)
    return None if row is None else KeyRow(**dict(row) | {"scopes": tuple(row["scopes"])})


async def listing(reader: Queryable) -> list[KeyRow]:
    """All keys, revoked ones included, oldest first."""
    return [KeyRow(**dict(row) | {"scopes": tuple(row["scopes"])}) for row in await reader.fetch(LISTING)]
