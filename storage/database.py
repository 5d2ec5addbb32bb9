"""The door to PostgreSQL: a pool, reads without ceremony, and transactions that tell what they changed."""

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias

import asyncpg
import orjson

from storage import catalogue as catalogues
from storage import holding as holds
from storage.catalogue import Catalogue
from storage.changes import AssociationChanges, AssociationEvents, Change, Event, append
from storage.holding import Held
from storage.ids import Ids
from storage.statements import Statement
from storage.wake import InProcess, Wake

Row: TypeAlias = asyncpg.Record

# Told every distinct text that is run; tests read them all and hold them to the house rules.
on_statement: list[Callable[[str], None]] = []

# How many accounts' catalogues one process keeps.
CATALOGUES_KEPT = 256

SESSION = {
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "auto",
    "timezone": "UTC",
    "application_name": "relata",
}


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
        return await self._connection.fetch(_told(sql), self.account_id, *args)  # type: ignore[no-any-return]

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """The first row of `sql`, if any."""
        return await self._connection.fetchrow(_told(sql), self.account_id, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first value of the first row of `sql`."""
        return await self._connection.fetchval(_told(sql), self.account_id, *args)

    async def execute(self, sql: str, *args: Any) -> int:
        """Run `sql`; the number of rows that it touched."""
        status: str = await self._connection.execute(_told(sql), self.account_id, *args)
        return int(status.rsplit(" ", 1)[-1]) if status[-1].isdigit() else 0


class Reader(_Session):
    """Reads of one account, each statement on its own snapshot."""

    __slots__ = ()


# A write that waits. It is told whether it is the transaction's last, and then answers whether it has appended what
# the transaction noted.
Pending: TypeAlias = Callable[[bool], Awaitable[bool]]


class Transaction(_Session):
    """One transaction of one account, owned by whoever opened it. Nobody below commits.

    What it did is noted with `changed` and `happened`, and written with its last statement.
    """

    __slots__ = ("_database", "_held", "_pending", "actor", "catalogue", "changes", "events", "now")

    def __init__(
        self, database: "Database", connection: Any, account_id: int, now: datetime, actor: Actor
    ) -> None:
        super().__init__(connection, account_id)
        self._database = database
        self.now = now
        self.actor = actor
        self.catalogue: Catalogue
        self.changes: list[Change | AssociationChanges] = []
        self.events: list[Event | AssociationEvents] = []
        self._pending: Pending | None = None
        self._held: tuple[frozenset[int], dict[int, Held]] | None = None

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
        return await self._database.ids.take(self.account_id, n)

    def changed(self, change: Change | AssociationChanges) -> None:
        """Queue a change for the evaluators."""
        self.changes.append(change)

    def happened(self, event: Event | AssociationEvents) -> None:
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
            del self.changes[noted[0] :], self.events[noted[1] :]
            raise

    async def copy(self, table: str, columns: Sequence[str], records: Sequence[tuple[Any, ...]]) -> None:
        """COPY rows into a table; `account_id` is put in front of each."""
        await self._settle()
        await self._connection.copy_records_to_table(
            table, columns=["account_id", *columns], records=[(self.account_id, *row) for row in records]
        )

    async def redefine(self) -> None:
        """Lock the account's definitions for a change; call before reading what is to be changed.

        Waits for running writers; later ones wait for this transaction and then see the change.
        """
        await self.execute(catalogues.BUMP)
        self.catalogue = await catalogues.load(self)

    async def reload(self) -> Catalogue:
        """Read the catalogue as this transaction has changed it."""
        self.catalogue = await catalogues.load(self)
        return self.catalogue


class _Reading:
    """A connection for as long as the block lasts. Every query passes here: a generator would cost it more."""

    __slots__ = ("_account_id", "_acquired")

    def __init__(self, pool: Any, account_id: int) -> None:
        self._acquired = pool.acquire()
        self._account_id = account_id

    async def __aenter__(self) -> Reader:
        return Reader(await self._acquired.__aenter__(), self._account_id)

    async def __aexit__(self, *error: object) -> None:
        await self._acquired.__aexit__(*error)


def _told(sql: str) -> str:
    """The text as asyncpg takes it (a plain str), once the listeners have heard of it."""
    for listener in on_statement:
        listener(sql)
    return sql.text if isinstance(sql, Statement) else sql


@dataclass(slots=True)
class Database:
    """A pool of connections, and what this process remembers about its accounts."""

    pool: Any
    ids: Ids
    wake: Wake
    _catalogues: OrderedDict[int, Catalogue] = field(default_factory=OrderedDict)

    def read(self, account_id: int) -> "_Reading":
        """`async with` it: a connection to read with; one statement sees one snapshot."""
        return _Reading(self.pool, account_id)

    @contextlib.asynccontextmanager
    async def snapshot(self, account_id: int) -> AsyncIterator[Reader]:
        """A connection on which all statements see one and the same snapshot."""
        async with (
            self.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Reader(connection, account_id)

    @contextlib.asynccontextmanager
    async def transaction(
        self,
        account_id: int,
        *,
        now: datetime,
        actor: Actor,
        defining: bool = False,
        holding: Iterable[int] = (),
    ) -> AsyncIterator[Transaction]:
        """A writing transaction. Commits at the end of the block, after its changes and events.

        Holds the account's definitions still: `tx.catalogue` is what stands until the commit. `defining` holds
        them alone from the start, for transactions that will call `redefine`: two that both began by sharing
        would wait for each other. `holding` are records that the first command will hold: they are held at once.
        """
        async with self.pool.acquire() as connection:
            async with connection.transaction():
                tx = Transaction(self, connection, account_id, now, actor)
                if records := frozenset(holding):
                    version = await tx.hold(records)
                else:
                    version = await tx.fetchval(catalogues.HOLD_ALONE if defining else catalogues.HOLD)
                if version is None:
                    raise AccountMissing(account_id)
                tx.catalogue = self._remembered(account_id, version) or await catalogues.load(tx)
                held = tx.catalogue
                yield tx
                await append(tx)
            # Only what was committed is remembered; after a change of definitions the next reader loads them.
            if tx.catalogue is held:
                self._remember(held)
        if tx.changes or tx.events:
            self.wake.send(account_id)

    async def ping(self) -> None:
        """Ask the database for a sign of life; raises what is wrong with it."""
        await self.pool.fetchval("SELECT 1")

    async def catalogue(self, account_id: int, *, fresh: bool = True) -> Catalogue:
        """The account's definitions; with `fresh=False` as this process last saw them, without asking.

        Raises `AccountMissing`.
        """
        remembered = self._catalogues.get(account_id)
        if remembered is not None and not fresh:
            return remembered
        async with self.read(account_id) as reader:
            version = await reader.fetchval(catalogues.VERSION)
            if version is None:
                raise AccountMissing(account_id)
            if remembered is None or remembered.version != version:
                remembered = await catalogues.load(reader)
                self._remember(remembered)
        return remembered

    def _remembered(self, account_id: int, version: int) -> Catalogue | None:
        known = self._catalogues.get(account_id)
        return known if known is not None and known.version == version else None

    def _remember(self, catalogue: Catalogue) -> None:
        self._catalogues[catalogue.account_id] = catalogue
        self._catalogues.move_to_end(catalogue.account_id)
        while len(self._catalogues) > CATALOGUES_KEPT:
            self._catalogues.popitem(last=False)

    async def spanning(self, statement: Statement, *args: Any) -> list[Row]:
        """Run a statement that spans accounts on purpose (claiming due work, signing in by account name)."""
        return await self.pool.fetch(_told(statement), *args)  # type: ignore[no-any-return]


class AccountMissing(Exception):
    """No such account. Operators see it; clients never do, since a key names its account."""


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        schema="pg_catalog",
        format="binary",
    )


async def _keep(_connection: Any) -> None:
    """Nothing to reset: no statement leaves session state, so a release need not cost a round trip."""


@contextlib.asynccontextmanager
async def connect(url: str, *, size: int = 10, wake: Wake | None = None) -> AsyncIterator[Database]:
    """Open a pool of up to `size` connections to `url` (a PostgreSQL URI), and close it afterwards."""
    async with (
        asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            init=_prepare,
            reset=_keep,
            server_settings=SESSION,
            max_inactive_connection_lifetime=0,
            statement_cache_size=1000,
            max_cached_statement_lifetime=0,
        ) as pool,
        contextlib.aclosing(Ids(url)) as ids,
    ):
        yield Database(pool, ids, wake or InProcess())
