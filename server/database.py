"""The database of this process: a server of the operator's, or our own, started when needed; migrated, then open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from server import postgres
from server.settings import Settings
from storage.database import Database, connect
from storage.faults import fault
from storage.migrate import ServerTooOld, migrate
from storage.wake import Notify


class CannotOpen(Exception):
    """The database cannot be used; the message is for the operator."""


@contextlib.asynccontextmanager
async def address(settings: Settings) -> AsyncIterator[str]:
    """The URL of a running server, which runs at least as long as the block. Raises CannotOpen."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    server = await _started(settings)
    try:
        yield server.url()
    finally:
        # Returns when the server has stopped, if nobody else needs it.
        await asyncio.to_thread(server.close)


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database, migrated, with wake-ups from and to all other processes. Raises CannotOpen."""
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(address(settings))
        with _told_plainly(url):
            await migrate(url)
            wake = await stack.enter_async_context(Notify(url).running())
            database = await stack.enter_async_context(connect(url, size=settings.pool_size, wake=wake))
        yield database


async def migrated(settings: Settings) -> bool:
    """Bring the database up to date; whether there was anything to do. Raises CannotOpen."""
    async with address(settings) as url:
        with _told_plainly(url):
            return await migrate(url)


async def _started(settings: Settings) -> postgres.PostgresServer:
    starting = asyncio.ensure_future(
        asyncio.to_thread(postgres.start, settings.data_dir, bin_dir=settings.pg_bin)
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread goes on whatever we do: what it starts is ours to let go.
        with contextlib.suppress(postgres.CannotStart):
            (await starting).close()
        raise
    except postgres.CannotStart as error:
        raise CannotOpen(str(error)) from error


@contextlib.contextmanager
def _told_plainly(url: str) -> Iterator[None]:
    """What PostgreSQL refuses (wrong password, no such database), or that it cannot be reached, as CannotOpen."""
    try:
        yield
    except ServerTooOld as error:
        raise CannotOpen(str(error)) from error
    except Exception as error:
        if fault(error) is None and not hasattr(error, "sqlstate"):
            raise
        parts = urlsplit(url)
        where = f"The database {parts.path.lstrip('/')} at {parts.hostname or 'localhost'}"
        raise CannotOpen(f"{where} cannot be used: {error}") from error
