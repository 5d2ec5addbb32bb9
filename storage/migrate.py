"""Bring a database's tables up to this code; one cheap question where there is nothing to do.

Most processes that ask find nothing to do: what migrates is imported where there is something, as that would be a
third of what a short command takes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage import pooling

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection
    from sqlalchemy.engine import URL

MIGRATIONS = Path(__file__).parent / "migrations"

# Two processes that start together: one migrates, the other waits and finds nothing to do.
MIGRATION_LOCK = 7_305_428_611


class ServerTooOld(Exception):
    """The PostgreSQL server is older than 16."""


class DatabaseTooNew(Exception):
    """The database was migrated by a newer version of this code."""


def configuration(connection: "Connection | None" = None) -> "Config":
    """Alembic's configuration; there is no alembic.ini."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest migration of this code."""
    return max(known())


def known() -> set[str]:
    """All migrations of this code: their files' names begin with them."""
    return {file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")}


async def migrate(url: str) -> bool:
    """Run what is missing on the database at `url`; True where there was something to do.

    Raises `ServerTooOld`, `DatabaseTooNew`, `pooling.InTurns`, and what asyncpg raises where the server cannot be
    reached.
    """
    async with pooling.opened(url) as connection:
        # The lock below would stay with a session that belongs to somebody else by then.
        if await pooling.in_turns(connection, url):
            raise pooling.InTurns
        if connection.get_server_version().major < 16:
            raise ServerTooOld(
                f"PostgreSQL 16 or newer is needed; this server is {connection.get_server_version()}"
            )
        current = await _current(connection)
        if current == head():
            return False
        if current is not None and current not in known():
            raise DatabaseTooNew(
                f"it is of a newer version of Relata (migration {current}; this one knows those up to {head()}). "
                "Migrations go forward only: run that version, or restore what was saved before it"
            )
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        if await _current(connection) == head():
            return False
        await _migrate(url)
        return True


async def _migrate(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine(sqlalchemy_url(url), poolclass=NullPool)
    async with engine.connect() as migrating:
        await migrating.run_sync(_upgrade)
    await engine.dispose()


async def _current(connection: Any) -> str | None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    return await connection.fetchval("SELECT version_num FROM alembic_version")  # type: ignore[no-any-return]


def _upgrade(connection: "Connection") -> None:
    from alembic import command

    command.upgrade(configuration(connection), "head")
    connection.commit()


def sqlalchemy_url(url: str) -> "URL":
    """A PostgreSQL URI as SQLAlchemy's asyncpg dialect takes it."""
    from sqlalchemy.engine import make_url

    return make_url(url).set(drivername="postgresql+asyncpg")
