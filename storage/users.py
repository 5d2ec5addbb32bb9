"""People of an account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person who works in an account; `role` is a value of `engine.access.Role`."""

    id: int
    name: str
    email: str
    role: str
    created_at: datetime


# An address that is taken gives no row.
INSERT = Statement(
    "users.insert",
    """
    INSERT INTO account_user (account_id, id, name, email, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (account_id, email) DO NOTHING
    RETURNING id
    """,
)

UPDATE = Statement(
    "users.update", "UPDATE account_user AS u SET name = $3, role = $4 WHERE u.account_id = $1 AND u.id = $2"
)

ROWS = Statement(
    "users.rows",
    """
    SELECT u.id, u.name, u.email, u.role, u.created_at
      FROM unnest($2::bigint[]) AS asked(id)
      JOIN account_user AS u ON u.account_id = $1 AND u.id = asked.id
    """,
)

# Held until the commit: a role is read, judged and written as one.
LOCK = Statement(
    "users.lock",
    """
    SELECT u.id, u.name, u.email, u.role, u.created_at
      FROM account_user AS u WHERE u.account_id = $1 AND u.id = $2 FOR UPDATE
    """,
)

LISTING = Statement(
    "users.listing",
    """
    SELECT u.id, u.name, u.email, u.role, u.created_at
      FROM account_user AS u WHERE u.account_id = $1 ORDER BY u.id
    """,
)


async def insert(tx: Transaction, row: UserRow) -> bool:
    """Write a new user; False where the e-mail address is taken."""
    args = (row.id, row.name, row.email, row.role, row.created_at)
    return await tx.fetchval(INSERT, *args) is not None


async def update(tx: Transaction, row: UserRow) -> None:
    """Write name and role."""
    await tx.execute(UPDATE, row.id, row.name, row.role)


async def rows(reader: Queryable, ids: Sequence[int]) -> list[UserRow | None]:
    """Users by id, in the order asked."""
    found = {row["id"]: UserRow(**row) for row in await reader.fetch(ROWS, list(ids))}
    return [found.get(number) for number in ids]


async def lock(tx: Transaction, number: int) -> UserRow | None:
    """A user, held until the commit."""
    row = await tx.fetchrow(LOCK, number)
    return None if row is None else UserRow(**row)


async def listing(reader: Queryable) -> list[UserRow]:
    """All users, oldest first."""
    return [UserRow(**row) for row in await reader.fetch(LISTING)]
