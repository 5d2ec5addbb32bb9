"""The database of this process: a server of the operator's, or our own, started when needed; migrated, then open."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from server import postgres
from server.settings import Settings
from storage.database import Database, connect
from storage.faults import Away, away, fault, unreadable
from storage.migrate import DatabaseTooNew, ServerTooOld, migrate
from storage.pooling import InTurns, Unprepared, check
from storage.wake import Notify

T = TypeVar("T")

# Between two attempts to reach a database that is away.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
# How long the start of our own server is told of as what it is, and not as something to look at.
STARTING_SECONDS = 30.0

# The standard library's, not structlog's: commands do not set logging up, and what they print is their answer.
log = logging.getLogger("relata.database")

IN_TURNS = (
    "a pooler there lends its connections in turns (transaction mode). Set RELATA_DIRECT_URL to the address of"
    " PostgreSQL itself: migrations and listening need sessions of their own"
)
UNPREPARED = (
    "the pooler there does not carry prepared statements from one session to another. PgBouncer does from 1.21 on,"
    " where max_prepared_statements is not 0; or let DATABASE_URL lead to PostgreSQL itself"
)
COMPILES = (
    "PostgreSQL compiles statements (jit), which takes it longer than to run ours, and the pooler does not let us turn"
    " it off: ALTER ROLE ... SET jit = off"
)


class CannotOpen(Exception):
    """The database cannot be used; the message is for the operator."""


@contextlib.asynccontextmanager
async def address(settings: Settings) -> AsyncIterator[str]:
    """The URL of a running server, which runs at least as long as the block. Raises CannotOpen."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    holding = _Holding(settings, await _started(settings))
    keeping = asyncio.create_task(holding.keep())
    try:
        # It stays the same, whoever starts the server.
        yield holding.server.url()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        # Returns when the server has stopped, if nobody else needs it.
        await asyncio.to_thread(holding.server.close)


@dataclass(slots=True)
class _Holding:
    """Our own server, for as long as it is needed: should its warden be killed, another one is hired."""

    settings: Settings
    server: postgres.PostgresServer

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await _readable(self.server)
            log.warning("the process that watches over PostgreSQL is gone; another one is started")
            pause = FIRST_PAUSE
            # It may go again at once: whatever ended it is given time.
            await asyncio.sleep(pause)
            while True:
                try:
                    started = await _started(self.settings)
                    break
                except CannotOpen as error:
                    log.error("PostgreSQL cannot be started, and is tried again: %s", error)
                    pause = min(pause * 2, LONGEST_PAUSE)
                    await asyncio.sleep(pause)
            gone, self.server = self.server, started
            gone.close()


async def _readable(server: postgres.PostgresServer) -> None:
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(server.fileno(), gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(server.fileno())


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database, migrated, with wake-ups from and to all other processes. Raises CannotOpen."""
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(address(settings))
        direct = _direct(settings, url)
        itself = direct or url
        with _told_plainly(itself):
            await _once_there(lambda: migrate(itself), settings)
        wake = await stack.enter_async_context(Notify(itself).running())

        async def opening() -> Database:
            if direct is not None and await check(url):
                log.warning("%s", COMPILES)
            pool = connect(url, size=settings.pool_size, wake=wake, direct=direct)
            return await stack.enter_async_context(pool)

        with _told_plainly(url):
            database = await _once_there(opening, settings)
        yield database


async def migrated(settings: Settings) -> bool:
    """Bring the database up to date; whether there was anything to do. Raises CannotOpen."""
    async with address(settings) as url:
        itself = _direct(settings, url) or url
        with _told_plainly(itself):
            return await _once_there(lambda: migrate(itself), settings)


def _direct(settings: Settings, url: str) -> str | None:
    """PostgreSQL itself, where the operator says that a pooler is between."""
    return None if settings.database_url is None or settings.direct_url == url else settings.direct_url


async def _once_there(work: Callable[[], Awaitable[T]], settings: Settings) -> T:
    """The outcome of `work`, begun again as long as the server is away.

    A server that says that it starts or recovers is waited for; one that cannot be reached, for the time that the
    settings say, counted anew whenever it has been heard of. Raises what `work` has last raised.
    """
    loop = asyncio.get_running_loop()
    patience, pause = settings.database_seconds, FIRST_PAUSE
    gone_since: float | None = None
    while True:
        try:
            return await work()
        except Exception as error:
            match away(error):
                case Away.BUSY:
                    gone_since, how_long = None, "as long as it takes"
                case Away.UNREACHABLE:
                    gone_since = loop.time() if gone_since is None else gone_since
                    left = gone_since + patience - loop.time()
                    if left <= 0:
                        raise
                    how_long = f"{left:.0f} more seconds"
                case None:
                    raise
            log.warning("the database is waited for, %s: %s", how_long, error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _started(settings: Settings) -> postgres.PostgresServer:
    told = threading.Event()
    began = time.monotonic()

    def waiting(words: str) -> None:
        # That a server starts is nothing to look at, also where others keep the machine busy. Its recovery may be.
        late = time.monotonic() - began > STARTING_SECONDS
        level = logging.WARNING if late else logging.INFO
        log.log(level, "the database is waited for, as long as it takes: %s", words)

    starting = asyncio.ensure_future(
        asyncio.to_thread(
            postgres.start,
            settings.data_dir,
            bin_dir=settings.pg_bin,
            waiting=waiting,
            wanted=lambda: not told.is_set(),
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread goes on whatever we do: what it starts is ours to let go.
        told.set()
        with contextlib.suppress(postgres.CannotStart):
            (await starting).close()
        raise
    except postgres.CannotStart as error:
        raise CannotOpen(str(error)) from error


@contextlib.contextmanager
def _told_plainly(url: str) -> Iterator[None]:
    """What PostgreSQL refuses (wrong password, no such database), or that it cannot be reached, as CannotOpen."""
    parts = urlsplit(url)
    where = f"The database {parts.path.lstrip('/')} at {parts.hostname or 'localhost'}"
    try:
        yield
    except ServerTooOld as error:
        raise CannotOpen(str(error)) from error
    except DatabaseTooNew as error:
        raise CannotOpen(f"{where} cannot be used: {error}.") from error
    except InTurns as error:
        raise CannotOpen(f"{where} cannot be used: {IN_TURNS}.") from error
    except Unprepared as error:
        raise CannotOpen(f"{where} cannot be used: {UNPREPARED}.") from error
    except Exception as error:
        if fault(error) is None and not hasattr(error, "sqlstate") and not unreadable(error):
            raise
        raise CannotOpen(f"{where} cannot be used: {error}") from error
