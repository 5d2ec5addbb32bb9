"""The door to PostgreSQL: a pool, and what this process remembers of accounts. What it lends is of storage.session."""

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from storage import catalogue as catalogues
from storage.catalogue import Catalogue
from storage.changes import append
from storage.ids import Ids
from storage.pool import Lent, Pool, closed
from storage.remembering import Remembering
from storage.session import Actor, Queryable, Reader, Row, Single, Transaction, on_statement, told
from storage.statements import Statement
from storage.wake import InProcess, Wake

# Whoever has a database has it to run something on.
__all__ = [
    "AccountMissing",
    "Actor",
    "Database",
    "Queryable",
    "Reader",
    "Row",
    "Single",
    "Transaction",
    "connect",
    "on_statement",
]

# How many accounts' catalogues one process keeps.
CATALOGUES_KEPT = 256

SESSION = {
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "auto",
    "timezone": "UTC",
    "application_name": "relata",
}
# A pooler knows these, and gives them back to whoever has a session at the moment.
POOLED = ("timezone", "application_name")


class _Reading(Lent):
    """A reader for as long as the block lasts."""

    __slots__ = ("_account_id",)

    def __init__(self, pool: Pool, account_id: int) -> None:
        super().__init__(pool)
        self._account_id = account_id

    async def __aenter__(self) -> Reader:
        return Reader(await super().__aenter__(), self._account_id)


class _Singly(Lent):
    """A `Single` for as long as the block lasts."""

    __slots__ = ("_account_id", "_ids")

    def __init__(self, pool: Pool, account_id: int, ids: Ids) -> None:
        super().__init__(pool)
        self._account_id = account_id
        self._ids = ids

    async def __aenter__(self) -> Single:
        return Single(await super().__aenter__(), self._account_id, self._ids)


@dataclass(slots=True)
class Database:
    """A pool of connections, and what this process remembers about its accounts."""

    pool: Pool
    ids: Ids
    wake: Wake
    # Where it is (a PostgreSQL URI, perhaps with a password): for processes that are to open it themselves.
    url: str = field(default="", repr=False)
    # PostgreSQL itself, where `url` leads to a pooler that lends its connections in turns.
    direct: str | None = field(default=None, repr=False)
    _catalogues: OrderedDict[int, Catalogue] = field(default_factory=OrderedDict)

    def read(self, account_id: int) -> "_Reading":
        """`async with` it: a connection to read with; one statement sees one snapshot."""
        return _Reading(self.pool, account_id)

    @contextlib.asynccontextmanager
    async def snapshot(self, account_id: int) -> AsyncIterator[Reader]:
        """A connection on which all statements see one and the same snapshot."""
        async with self._snapshot() as connection:
            yield Reader(connection, account_id)

    @contextlib.asynccontextmanager
    async def remembered_snapshot(self, account_id: int) -> AsyncIterator[Remembering]:
        """The same, for one batch: no record is read twice."""
        async with self._snapshot() as connection:
            yield Remembering(connection, account_id)

    @contextlib.asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Any]:
        async with (
            self.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    def single(self, account_id: int) -> "_Singly":
        """`async with` it: each statement is a transaction of its own; who writes with one tells of it in the same."""
        return _Singly(self.pool, account_id, self.ids)

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
        if tx.changes or tx.events or tx.news:
            self.wake.send(account_id)

    async def ping(self) -> None:
        """Ask the database for a sign of life; raises what is wrong with it."""
        await self.pool.fetchval("SELECT 1")

    def remembered(self, account_id: int) -> Catalogue | None:
        """The account's definitions as this process last saw them, if it did: asks nobody."""
        return self._catalogues.get(account_id)

    async def catalogue(self, account_id: int, version: int | None = None) -> Catalogue:
        """The account's definitions. Raises `AccountMissing`.

        `version`: the one that was read a moment ago, together with what is looked at now; no need to ask for it.
        """
        remembered = self._catalogues.get(account_id)
        if version is not None and remembered is not None and remembered.version == version:
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
        return await self.pool.fetch(told(statement), *args)  # type: ignore[no-any-return]


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
    """Nothing to reset but an open transaction, which asyncpg sees itself: no statement leaves session state."""


@contextlib.asynccontextmanager
async def _lending(url: str, size: int, sessions: Mapping[str, str]) -> AsyncIterator[Any]:
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=_prepare,
        reset=_keep,
        server_settings=sessions,
        max_inactive_connection_lifetime=0,
        statement_cache_size=1000,
        max_cached_statement_lifetime=0,
    )
    try:
        yield pool
    finally:
        await closed(pool)


@contextlib.asynccontextmanager
async def connect(
    url: str, *, size: int = 10, wake: Wake | None = None, direct: str | None = None
) -> AsyncIterator[Database]:
    """Open a pool of up to `size` connections to `url` (a PostgreSQL URI), and close it afterwards.

    `direct`: PostgreSQL itself, where `url` leads to a pooler that lends its connections in turns, and carries
    statements (`storage.pooling`).
    """
    sessions = SESSION if direct is None else {name: SESSION[name] for name in POOLED}
    async with (
        _lending(url, size, sessions) as lending,
        contextlib.aclosing(Pool(lending, size)) as pool,
        # A transaction under way waits for its ids: it would hold what the pooler has to lend.
        contextlib.aclosing(Ids(direct or url)) as ids,
    ):
        yield Database(pool, ids, wake or InProcess(), url, direct)
