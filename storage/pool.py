"""Connections, each lent for as long as a block lasts: asyncpg's pool, with a short way for blocks that end well.

asyncpg's own release takes a task, a reset and more time than a small query. No statement of ours leaves anything in
a session, so a connection whose block ended well goes to the next one as it is. After any error (a cancelled
statement may still be running), and now and then to be renewed, it passes through asyncpg's hands, which settle that.
"""

import asyncio
from collections import deque
from typing import Any

import asyncpg

# After so many blocks asyncpg may look whether a connection is so old that it should be opened anew.
USES = 1_000


async def closed(held: Any) -> None:
    """Close a connection, or asyncpg's pool of them; where the server is gone, there is nothing to close in order."""
    try:
        await held.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        held.terminate()


class _Lease:
    """A connection that asyncpg's pool has lent to ours."""

    __slots__ = ("connection", "uses")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.uses = 0

    @property
    def good(self) -> bool:
        """Whether the connection stands, and nothing is left open on it."""
        try:
            return not self.connection.is_closed() and not self.connection.is_in_transaction()
        except asyncpg.InterfaceError:
            # It was lost, and asyncpg has taken it back already.
            return False


class Pool:
    """At most `size` connections of asyncpg's `pool`, which has as many and serves nobody else."""

    def __init__(self, pool: Any, size: int) -> None:
        self._pool = pool
        self._size = size
        # The one used last is lent first: what it needs is still in the caches of its processor.
        self._idle: list[_Lease] = []
        # Whoever waits is handed a lease, or (None) the place for one.
        self._waiting: deque[asyncio.Future[_Lease | None]] = deque()
        # Places that are taken: leases, and those that are being opened or settled.
        self._taken = 0
        self._closing = False

    @property
    def size(self) -> int:
        """How many connections there may be."""
        return self._size

    @property
    def busy(self) -> int:
        """How many of them are lent, or being opened."""
        return self._taken - len(self._idle)

    @property
    def waited_for(self) -> int:
        """How many wait for one."""
        return sum(not waiting.done() for waiting in self._waiting)

    def acquire(self) -> "Lent":
        """`async with` it: a connection for as long as the block lasts."""
        return Lent(self)

    async def fetch(self, sql: str, *args: Any) -> Any:
        """All rows of one statement."""
        async with self.acquire() as connection:
            return await connection.fetch(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first value of one statement."""
        async with self.acquire() as connection:
            return await connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> Any:
        """The status of one statement, or of several without arguments."""
        async with self.acquire() as connection:
            return await connection.execute(sql, *args)

    async def aclose(self) -> None:
        """Give asyncpg its connections: idle ones now, the others as their blocks end."""
        self._closing = True
        while self._idle:
            await self.settle(self._idle.pop())

    def idle(self) -> _Lease | None:
        """A lease at once, if one is there."""
        while self._idle:
            lease = self._idle.pop()
            if lease.good:
                return lease
            # Lost while nobody used it: nothing is left to be settled, and nobody waits while any is idle.
            self._taken -= 1
        return None

    async def wait(self) -> _Lease:
        """A lease, once there is one."""
        if self._taken < self._size:
            self._taken += 1
            return await self._open()
        future: asyncio.Future[_Lease | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            lease = await future
        except asyncio.CancelledError:
            # What was handed over just then goes on to the next.
            if future.done() and not future.cancelled():
                self._hand(future.result())
            raise
        return lease or await self._open()

    def give(self, lease: _Lease) -> bool:
        """Take back a lease whose block ended well; False: it has to be settled."""
        lease.uses += 1
        if lease.uses >= USES or self._closing or not lease.good:
            return False
        self._hand(lease)
        return True

    async def settle(self, lease: _Lease) -> None:
        """Give a connection back to asyncpg: it ends what still runs, and closes what is not good any more."""
        try:
            await self._pool.release(lease.connection)
        except asyncpg.InternalClientError:
            # Lost at that moment: asyncpg has taken it back already, and nothing is left to be settled.
            if lease.good:
                raise
        finally:
            self._hand(None)

    async def _open(self) -> _Lease:
        try:
            return _Lease(await self._pool.acquire())
        except BaseException:
            self._hand(None)
            raise

    def _hand(self, lease: _Lease | None) -> None:
        """Pass a lease, or the place for one, to whoever has waited longest."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(lease)
                return
        if lease is not None:
            self._idle.append(lease)
        else:
            self._taken -= 1


class Lent:
    """A connection for one block. Every query passes here: a generator would cost it more."""

    __slots__ = ("_lease", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Any:
        lease = self._lease = self._pool.idle() or await self._pool.wait()
        return lease.connection

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is not None or not self._pool.give(self._lease):
            await self._pool.settle(self._lease)
