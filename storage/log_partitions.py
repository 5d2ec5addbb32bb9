"""The log's monthly partitions: made ahead, dropped when nobody needs them. All its definitions of tables stand here.

Nobody waits for it for long: locks are asked for with a short time-out, and what was not had is tried again later.
Names and bounds are made of months alone, since definitions take no parameters.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from storage.database import Database

# Two workers do not do the same; held for one transaction.
LOCK = 7_305_428_612
WAIT = "SET LOCAL lock_timeout = '250ms'"

PARTITIONS = """
    SELECT c.relname AS name FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'event_log'::regclass AND c.relname <> 'event_log_default'
     ORDER BY c.relname
"""


ELSEWHERE = """
    SELECT c.conname AS name FROM pg_constraint AS c
     WHERE c.conrelid = 'event_log_default'::regclass AND c.conname LIKE 'event\\_log\\_%\\_elsewhere'
"""
# How often a lock is asked for that must be had in the end.
TRIES = 20


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """The month that a moment lies in."""
        at = moment.astimezone(UTC)
        return cls(at.year, at.month)

    @property
    def begin(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def next(self) -> "Month":
        """The month after it, which begins where it ends."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def table(self) -> str:
        """The name of its partition."""
        return f"event_log_{self.year:04}_{self.month:02}"

    @property
    def bounds(self) -> str:
        """The condition that its events meet."""
        return f"at >= '{self.begin.isoformat()}' AND at < '{self.next.begin.isoformat()}'"


async def months(db: Database) -> list[Month]:
    """The months that have a partition."""
    async with db.pool.acquire() as connection:
        rows = await connection.fetch(PARTITIONS)
    return [Month(*map(int, row["name"].removeprefix("event_log_").split("_"))) for row in rows]


async def make(db: Database, month: Month, *, begun: bool) -> bool:
    """Make the partition of a month; False where that cannot be: a lock was taken, or the default one has its events.

    `begun`: events of the month may be coming in. Then it is made only while the default partition is empty.
    """
    try:
        if begun:
            async with _defining(db) as connection:
                # The log itself, too: an event that waits for the default partition alone has been sent there already,
                # and would be refused, since by then its month lies elsewhere.
                await connection.execute("LOCK TABLE event_log IN ACCESS EXCLUSIVE MODE")
                if await connection.fetchval("SELECT EXISTS (SELECT FROM event_log_default)"):
                    return False
                await _attach(connection, month)
        else:
            await _ahead(db, month)
    except (asyncpg.LockNotAvailableError, asyncpg.CheckViolationError, *_ANOTHER):
        return False
    return True


async def _ahead(db: Database, month: Month) -> None:
    """The default partition would be read through under a lock against writers; a constraint that is validated
    without one says beforehand that it holds nothing of the month, and refuses nothing, since that has not begun."""
    try:
        async with _defining(db) as connection:
            await connection.execute(
                f"ALTER TABLE event_log_default ADD CONSTRAINT {month.table}_elsewhere"
                f" CHECK (NOT ({month.bounds})) NOT VALID"
            )
        async with _defining(db) as connection:
            await connection.execute(
                f"ALTER TABLE event_log_default VALIDATE CONSTRAINT {month.table}_elsewhere"
            )
        async with _defining(db) as connection:
            await _attach(connection, month)
    finally:
        await tidy(db)


async def _attach(connection: Any, month: Month) -> None:
    """Made beside the log and attached when it is ready: so writers are not kept waiting for its indexes."""
    table, begin, end = month.table, month.begin.isoformat(), month.next.begin.isoformat()
    await connection.execute(f"CREATE TABLE {table} (LIKE event_log INCLUDING ALL, CHECK ({month.bounds}))")
    await connection.execute(
        f"ALTER TABLE event_log ATTACH PARTITION {table} FOR VALUES FROM ('{begin}') TO ('{end}')"
    )


async def drop(db: Database, month: Month) -> bool:
    """Drop the partition of a month with its events; False where a lock was taken: then they are all still there."""
    try:
        async with _defining(db) as connection:
            await connection.execute(f"DROP TABLE IF EXISTS {month.table}")
    except asyncpg.LockNotAvailableError:
        return False
    return True


async def tidy(db: Database) -> None:
    """Take away the constraints of `_ahead`, also of one that ended in the middle, before their month begins."""
    for _ in range(TRIES):
        try:
            async with _defining(db) as connection:
                for row in await connection.fetch(ELSEWHERE):
                    await connection.execute(f"ALTER TABLE event_log_default DROP CONSTRAINT {row['name']}")
        except asyncpg.LockNotAvailableError:
            continue
        return


# Another worker makes the same at this moment, and is a step ahead or behind.
_ANOTHER = (asyncpg.DuplicateObjectError, asyncpg.DuplicateTableError, asyncpg.UndefinedObjectError)


@contextlib.asynccontextmanager
async def _defining(db: Database) -> AsyncIterator[Any]:
    """A transaction that defines tables, one at a time in the installation."""
    async with db.pool.acquire() as connection, connection.transaction():
        await connection.execute(WAIT)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        yield connection
