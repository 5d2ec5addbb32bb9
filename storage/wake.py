"""Wake-ups: tell whoever waits that an account has news; they carry ids only, a poll guarantees the rest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import asyncpg

CHANNEL = "relata"
# After a first wake-up at once, later ones are gathered for this long.
GATHER_SECONDS = 0.005
RECONNECT_SECONDS = 1.0
# A notification holds at most 8,000 bytes.
ACCOUNTS_A_MESSAGE = 350


class Wake(Protocol):
    """Carries wake-ups between those who commit and those who wait."""

    def send(self, account_id: int) -> None:
        """Say that `account_id` has news. Never waits, never fails."""

    def listen(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call `listener` with the account of every wake-up; returns the call that ends it."""


class InProcess:
    """Wake-ups within one process."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[int], None]] = []

    def send(self, account_id: int) -> None:
        """See `Wake.send`."""
        for listener in list(self._listeners):
            listener(account_id)

    def listen(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """See `Wake.listen`."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


class Notify(InProcess):
    """Wake-ups between processes through PostgreSQL, on connections of their own.

    Never inside a writing transaction: a NOTIFY there takes a lock that all commits of the cluster share.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._pending: set[int] = set()
        self._news = asyncio.Event()

    def send(self, account_id: int) -> None:
        """Wake this process at once, and the others by notification."""
        super().send(account_id)
        self._pending.add(account_id)
        self._news.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Notify"]:
        """Send and listen until the block ends."""
        tasks = [asyncio.create_task(self._talk()), asyncio.create_task(self._hear())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _talk(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                async with _connection(self._url) as connection:
                    while True:
                        await self._news.wait()
                        self._news.clear()
                        pending, self._pending = sorted(self._pending), set()
                        for start in range(0, len(pending), ACCOUNTS_A_MESSAGE):
                            message = ",".join(map(str, pending[start : start + ACCOUNTS_A_MESSAGE]))
                            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, message)
                        await asyncio.sleep(GATHER_SECONDS)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self) -> None:
        def heard(connection: Any, _pid: int, _channel: str, payload: Any) -> None:
            for account_id in str(payload).split(","):
                InProcess.send(self, int(account_id))

        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                async with _connection(self._url) as connection:
                    lost = asyncio.Event()
                    connection.add_termination_listener(lambda _, lost=lost: lost.set())
                    await connection.add_listener(CHANNEL, heard)
                    await lost.wait()
            await asyncio.sleep(RECONNECT_SECONDS)


@contextlib.asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Any]:
    # A notification is a transaction of its own; nobody needs it after a crash, so nobody waits for the disk.
    settings = {"application_name": "relata wake", "synchronous_commit": "off"}
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        yield connection
    finally:
        connection.terminate()
