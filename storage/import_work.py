"""Imports under way: whose turn one is, and the pieces of its file."""

from datetime import datetime

from storage.database import Database, Queryable, Transaction
from storage.imports import COLUMNS, ImportRow
from storage.statements import Statement

# Along the partial index of what workers look for. Leased ones are passed over until the lease ends.
DUE = Statement(
    "import_work.due",
    """
    SELECT DISTINCT i.account_id FROM import AS i
     WHERE (i.status IN ('CHECKING', 'RUNNING', 'UNDOING') OR i.chunks > 0)
       AND (i.status IN ('CHECKING', 'RUNNING', 'UNDOING', 'DONE', 'FAILED', 'CANCELLED', 'UNDONE'))
       AND (i.leased_until IS NULL OR i.leased_until <= $1 OR i.lease_token = $2)
    """,
    spanning="finds the accounts that have imports to work on; each is then worked on in transactions of its own",
)

# Whoever comes first has it; the oldest first, so that a long file does not wait for ever, nor hold up others: the
# one whose lease was renewed longest ago.
TAKE = Statement(
    "import_work.take",
    f"""
    UPDATE import AS i SET lease_token = $2, leased_until = $4
     WHERE i.account_id = $1
       AND i.id = (SELECT w.id FROM import AS w
                    WHERE w.account_id = $1
                      AND (w.status IN ('CHECKING', 'RUNNING', 'UNDOING') OR w.chunks > 0)
                      AND w.status IN ('CHECKING', 'RUNNING', 'UNDOING', 'DONE', 'FAILED', 'CANCELLED', 'UNDONE')
                      AND (w.leased_until IS NULL OR w.leased_until <= $3 OR w.lease_token = $2)
                    ORDER BY w.leased_until NULLS FIRST, w.id LIMIT 1
                      FOR UPDATE SKIP LOCKED)
    RETURNING {COLUMNS}
    """,
)

# With the batch that it writes, a runner shows that the import is still its own.
HOLD = Statement(
    "import_work.hold",
    f"""
    UPDATE import AS i SET leased_until = $4
     WHERE i.account_id = $1 AND i.id = $2 AND i.lease_token = $3
    RETURNING {COLUMNS}
    """,
)

RELEASE = Statement(
    "import_work.release",
    """
    UPDATE import AS i SET lease_token = NULL, leased_until = NULL
     WHERE i.account_id = $1 AND i.id = $2 AND i.lease_token = $3
    """,
)

CHUNK = Statement(
    "import_work.chunk",
    "SELECT c.data FROM import_chunk AS c WHERE c.account_id = $1 AND c.import_id = $2 AND c.n = $3",
)

ADD_CHUNK = Statement(
    "import_work.add_chunk",
    "INSERT INTO import_chunk (account_id, import_id, n, data) VALUES ($1, $2, $3, $4)",
)

# A few at a time: a large file is many megabytes.
CLEAR_CHUNKS = Statement(
    "import_work.clear_chunks",
    "DELETE FROM import_chunk AS c WHERE c.account_id = $1 AND c.import_id = $2 AND c.n >= $3",
)


async def due_accounts(db: Database, token: str, now: datetime) -> list[int]:
    """The accounts in which an import waits, or is held by `token`."""
    return [row["account_id"] for row in await db.spanning(DUE, now, token)]


async def take(single: Queryable, token: str, now: datetime, until: datetime) -> ImportRow | None:
    """Take an import that waits, or keep the one that is held by `token`."""
    row = await single.fetchrow(TAKE, token, now, until)
    return None if row is None else ImportRow(*row)


async def hold(tx: Queryable, number: int, token: str, until: datetime) -> ImportRow | None:
    """Hold an import until the commit; None where it is no longer held by `token`."""
    row = await tx.fetchrow(HOLD, number, token, until)
    return None if row is None else ImportRow(*row)


async def release(single: Queryable, number: int, token: str) -> None:
    """Give an import back."""
    await single.fetchval(RELEASE, number, token)


async def add_chunk(tx: Transaction, number: int, n: int, data: bytes) -> None:
    """Keep a piece of a file."""
    await tx.execute(ADD_CHUNK, number, n, data)


async def chunk(reader: Queryable, number: int, n: int) -> bytes | None:
    """A piece of a file."""
    data: bytes | None = await reader.fetchval(CHUNK, number, n)
    return data


async def clear_chunks(tx: Transaction, number: int, after: int) -> None:
    """Forget the pieces of a file from this one on."""
    await tx.execute(CLEAR_CHUNKS, number, after)
