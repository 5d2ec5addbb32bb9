"""What statements run on: readers, and transactions that tell what they changed."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import asyncpg

from storage import catalogue as catalogues
from storage import holding as holds
from storage.catalogue import Catalogue
from storage.changes import AssociationChanges, AssociationEvents, Change, EnrollmentEvents, Event
from storage.holding import Held
from storage.ids import Ids
from storage.notes import RecordChanges, RecordsCreated
from storage.statements import Statement

if TYPE_CHECKING:
    from storage.database import Database

Row: TypeAlias = asyncpg.Record

_NO_LOOPS = "SET LOCAL enable_nestloop = off"

# Told every distinct text that is run; tests read them all and hold them to the house rules.
on_statement: list[Callable[[str], None]] = []


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes: the source's kind, its id (import, workflow, sync …) and the user, if any."""

    source: str
    source_id: str | None = None
    user_id: int | None = None
    # How many workflow steps led here.
    depth: int = 0


class Queryable(Protocol):
    """What statements run on: a transaction, or a reader outside one."""

    @property
    def account_id(self) -> int: ...
    async def fetch(self, sql: str, *args: Any) -> list[Row]: ...
    async def fetchrow(self, sql: str, *args: Any) -> Row | None: ...
    async def fetchval(self, sql: str, *args: Any) -> Any: ...


class _Session:
    """Runs statements on one connection, for one account. `$1` is the account in every statement."""

    __slots__ = ("_connection", "account_id")

    def __init__(self, connection: Any, account_id: int) -> None:
        self._connection = connection
        self.account_id = account_id

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """All rows of `sql`; `$1` is the account, `$2 …` are `args`."""
        return await self._connection.fetch(told(sql), self.account_id, *args)  # type: ignore[no-any-return]

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """The first row of `sql`, if any."""
        return await self._connection.fetchrow(told(sql), self.account_id, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first value of the first row of `sql`."""
        return await self._connection.fetchval(told(sql), self.account_id, *args)

    async def execute(self, sql: str, *args: Any) -> int:
        """Run `sql`; the number of rows that it touched."""
        status: str = await self._connection.execute(told(sql), self.account_id, *args)
        return int(status.rsplit(" ", 1)[-1]) if status[-1].isdigit() else 0


class Reader(_Session):
    """Reads of one account, each statement on its own snapshot."""

    __slots__ = ()

    async def pieces(self, sql: str, *args: Any, size: int) -> AsyncIterator[list[Row]]:
        """The rows of `sql`, `size` at a time, however many: by a cursor, which only a snapshot can hold open."""
        cursor = await self._connection.cursor(told(sql), self.account_id, *args)
        while rows := await cursor.fetch(size):
            yield rows

    @contextlib.asynccontextmanager
    async def without_loops(self) -> AsyncIterator[None]:
        """What is read meanwhile is joined by hashes or by sorting, never in loops, wherever there is a choice.

        Said to one transaction, with which it ends: nothing of it stays in the session.
        """
        async with self._connection.transaction():
            await self._connection.execute(_NO_LOOPS)
            yield


class Single(_Session):
    """One account's connection on which each statement is a transaction of its own, and may write."""

    __slots__ = ("_ids",)

    def __init__(self, connection: Any, account_id: int, ids: Ids) -> None:
        super().__init__(connection, account_id)
        self._ids = ids

    async def new_ids(self, n: int) -> Sequence[int]:
        """`n` ids that nobody else in this account has, rising."""
        return await self._ids.take(self.account_id, n)


# A write that waits. It is told whether it is the transaction's last, and then answers whether it has appended what
# the transaction noted.
Pending: TypeAlias = Callable[[bool], Awaitable[bool]]


class Transaction(_Session):
    """One transaction of one account, owned by whoever opened it. Nobody below commits.

    What it did is noted with `changed` and `happened`, and written with its last statement.
    """

    __slots__ = (
        "_database", "_held", "_ids", "_pending", "_redefined", "actor", "catalogue", "changes", "events", "news",
        "now",
    )  # fmt: skip

    def __init__(
        self, database: "Database", connection: Any, account_id: int, now: datetime, actor: Actor
    ) -> None:
        super().__init__(connection, account_id)
        self._database = database
        self.now = now
        self.actor = actor
        self.catalogue: Catalogue
        self.changes: list[Change | AssociationChanges | RecordChanges] = []
        self.events: list[Event | AssociationEvents | EnrollmentEvents | RecordsCreated] = []
        # Whether whoever waits is woken, though nothing was noted for them.
        self.news = False
        self._pending: Pending | None = None
        self._held: tuple[frozenset[int], dict[int, Held]] | None = None
        # Ids that were taken for this transaction, and not handed out yet.
        self._ids: Sequence[int] = ()
        # Whether this transaction may have changed definitions since it read the catalogue.
        self._redefined = False

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """All rows of `sql`; `$1` is the account, `$2 …` are `args`."""
        if self._pending is not None:
            await self._settle()
        return await super().fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """The first row of `sql`, if any."""
        if self._pending is not None:
            await self._settle()
        return await super().fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first value of the first row of `sql`."""
        if self._pending is not None:
            await self._settle()
        return await super().fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> int:
        """Run `sql`; the number of rows that it touched."""
        if self._pending is not None:
            await self._settle()
        return await super().execute(sql, *args)

    async def later(self, write: Pending) -> None:
        """Do `write` before anything else is run, or with the transaction's last statement: a round trip less."""
        await self._settle()
        self._pending = write

    def take_pending(self) -> Pending | None:
        """What is still to be done; the caller does it."""
        pending, self._pending = self._pending, None
        return pending

    async def _settle(self) -> None:
        pending = self.take_pending()
        if pending is not None:
            await pending(False)

    async def hold(self, ids: frozenset[int]) -> int | None:
        """Hold the definitions and these records; the definitions' version. For the transaction's beginning."""
        rows = await self.fetch(holds.HOLD_WITH_DEFINITIONS, holds.argument(ids))
        if not rows:
            return None
        self._held = ids, holds.found(rows)
        version: int = rows[0]["version"]
        return version

    def take_held(self, ids: Set[int]) -> dict[int, Held] | None:
        """The records that are held from the beginning, if all of `ids` were asked for then; to be had once."""
        held, self._held = self._held, None
        return held[1] if held is not None and ids <= held[0] else None

    async def new_ids(self, n: int) -> Sequence[int]:
        """`n` ids that nobody else in this account has, rising."""
        if n <= len(self._ids):
            taken, self._ids = self._ids[:n], self._ids[n:]
            return taken
        return await self._database.ids.take(self.account_id, n)

    async def expect_ids(self, n: int) -> None:
        """Take some `n` ids at once, for much that is going to be written; those that are left over are lost."""
        self._ids = await self._database.ids.take(self.account_id, n)

    def changed(self, change: Change | AssociationChanges | RecordChanges) -> None:
        """Queue a change for the evaluators."""
        self.changes.append(change)

    def happened(self, event: Event | AssociationEvents | EnrollmentEvents | RecordsCreated) -> None:
        """Log an event for the watchers."""
        self.events.append(event)

    @contextlib.asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """A part that can be undone alone: an error in the block undoes it, its locks included, and passes on."""
        noted = len(self.changes), len(self.events)
        await self._settle()
        try:
            async with self._connection.transaction():
                yield
                await self._settle()
        except BaseException:
            self._pending = None
            self._redefined = True
            del self.changes[noted[0] :], self.events[noted[1] :]
            raise

    async def copy(self, table: str, columns: Sequence[str], records: Sequence[tuple[Any, ...]]) -> None:
        """COPY rows into a table; `account_id` is put in front of each."""
        await self._settle()
        await self._connection.copy_records_to_table(
            table, columns=["account_id", *columns], records=[(self.account_id, *row) for row in records]
        )

    async def copy_lines(self, table: str, columns: str, lines: Sequence[str]) -> None:
        """COPY lines in the text format, account first; the quickest way in, for those who write it well."""
        if not lines:
            return
        await self._settle()
        named = ["account_id", *columns.split(", ")]
        # The driver takes bytes for the name of a file.
        data = memoryview(("\n".join(lines) + "\n").encode())
        await self._connection.copy_to_table(table, source=data, columns=named, format="text")

    async def redefine(self) -> None:
        """Lock the account's definitions for a change; call before reading what is to be changed.

        Waits for running writers; later ones wait for this transaction and then see the change.
        """
        await self.execute(catalogues.BUMP)
        if self._redefined:
            self.catalogue = await catalogues.load(self)
        else:
            # They were held still since `catalogue` was read: they stand as they are there, under a new version.
            self.catalogue = replace(self.catalogue, version=self.catalogue.version + 1)
        self._redefined = True

    async def reload(self) -> Catalogue:
        """Read the catalogue as this transaction has changed it."""
        self.catalogue = await catalogues.load(self)
        self._redefined = False
        return self.catalogue


def told(sql: str) -> str:
    """The text as asyncpg takes it (a plain str), once the listeners have heard of it."""
    for listener in on_statement:
        listener(sql)
    return sql.text if isinstance(sql, Statement) else sql
