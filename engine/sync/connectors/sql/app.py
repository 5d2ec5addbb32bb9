"""SQL databases as an app: settings, and how a connection is opened, so that it reaches what it may and no more."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import PurePath
from typing import Any, ClassVar

import psycopg
import pymysql
import sqlalchemy as sa
from psycopg.types.string import TextLoader
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url

from engine.outbox.addresses import refused
from engine.sync.categories import Category
from engine.sync.connectors.protocol import Capabilities, Disconnected, Rejected, Setting, Surroundings
from engine.sync.connectors.sql.connector import SqlConnector
from engine.sync.connectors.sql.tables import Choices
from engine.sync.connectors.sql.values import readable

# In seconds.
CONNECT, STATEMENT = 10, 120
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "sqlite": "sqlite+pysqlite",
}
# What may be said behind the "?" of an address: nothing that names a file of ours.
_QUERY = {
    "postgresql": {"sslmode", "host", "port", "application_name"},
    "mysql": {"ssl", "unix_socket"},
    "sqlite": set[str](),
}
# Moments and days come as texts: years beyond our calendar, "infinity" and "0000-00-00" spoil no page.
_TEXTS = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")
_TEXT_FIELDS = (FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP, FIELD_TYPE.TIME)


class SqlApp:
    """See `App`."""

    name: ClassVar[str] = "sql"
    title: ClassVar[str] = "SQL database"
    about: ClassVar[str] = (
        "Tables of a PostgreSQL, MySQL, MariaDB or SQLite database, each as a kind of record."
    )
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "url",
            "Address",
            "Like postgresql://user:password@host:5432/database, mysql://… or sqlite:////path/to/file.",
            secret=True,
        ),
        Setting(
            "schema", "Schema", "The schema of the tables; the database's usual one if empty.", required=False
        ),
        Setting(
            "updated_at",
            "Changed at",
            "The column with the moment of a row's last change, in tables that have one: changes are asked for by "
            "it. Tables without it are compared as a whole.",
            required=False,
            default="updated_at",
        ),
        Setting(
            "deleted_at",
            "Deleted at",
            "The column with the moment of a row's deletion, in tables whose rows are marked and stay.",
            required=False,
            default="deleted_at",
        ),
        Setting(
            "key_column",
            "Creation's key",
            "A text column with unique values for the keys of our creations, so that none is done twice. Not needed "
            "where the primary key is a text or a UUID.",
            required=False,
            default="relata_key",
        ),
        Setting(
            "overlap",
            "Longest transaction",
            "In seconds: changes that are committed so much later than their moment says are still found at once.",
            required=False,
            default="60",
        ),
    )
    # Of a table with a moment of change; tables say what they can do themselves.
    capabilities: ClassVar[Capabilities] = Capabilities(
        changes=True, conditional=True, page=2_000, batch=500, pace=timedelta(seconds=10)
    )

    def open(
        self, settings: Mapping[str, str], surroundings: Surroundings
    ) -> AbstractAsyncContextManager[SqlConnector]:
        """A connector with these settings. Raises Rejected where they cannot be right."""
        given = {each.name: (settings.get(each.name, each.default) or "").strip() for each in self.settings}
        url = _url(given["url"])
        try:
            overlap = timedelta(seconds=float(given["overlap"] or 0))
            if not timedelta(0) <= overlap <= timedelta(days=1):
                raise ValueError
        except (ValueError, OverflowError):
            raise Rejected(
                "The longest transaction is a number of seconds, at most a day.", Category.INVALID_VALUE
            ) from None
        choices = Choices(
            given["updated_at"] or None, given["deleted_at"] or None, given["key_column"] or None
        )
        return self._opened(url, given["schema"] or None, choices, overlap, surroundings)

    @asynccontextmanager
    async def _opened(
        self, url: URL, schema: str | None, choices: Choices, overlap: timedelta, surroundings: Surroundings
    ) -> AsyncIterator[SqlConnector]:
        address = None if surroundings.allow_private else await _looked_at(url)
        connector = SqlConnector(
            _engine(url, address),
            schema=schema,
            choices=choices,
            overlap=overlap,
            capabilities=self.capabilities,
        )
        try:
            yield connector
        finally:
            await connector.close()


APP = SqlApp()


def _url(text: str) -> URL:
    """Where the database is. Raises Rejected."""
    try:
        url = make_url(text)
        backend = url.drivername.split("+")[0]
        url = url.set(drivername=_DRIVERS[backend])
        if set(url.query) - _QUERY[_family(url)] or not url.database:
            raise ValueError
        if not all(isinstance(value, str) for value in url.query.values()):
            raise ValueError
    except (exc.ArgumentError, KeyError, ValueError, TypeError):
        raise Rejected(
            "The address must be like postgresql://user:password@host/database, mysql://… or sqlite:////path; "
            "behind a ? only sslmode, host, port and application_name, or ssl and unix_socket, are understood.",
            Category.INVALID_VALUE,
        ) from None
    if _family(url) == "sqlite" and not PurePath(url.database or "").is_absolute():
        raise Rejected(
            "The path of a SQLite file begins at the root, with four slashes in all: sqlite:////path/to/file.",
            Category.INVALID_VALUE,
        )
    return url


def _family(url: URL) -> str:
    name = url.get_backend_name()
    return "mysql" if name == "mariadb" else name


async def _looked_at(url: URL) -> str:
    """The address to connect to, which is everybody's. Raises Disconnected."""
    family = _family(url)
    told = Disconnected(
        "The database is on this machine or in a private network; see RELATA_SYNC_ALLOW_PRIVATE.",
        Category.MISSING_PERMISSION,
    )
    if family == "sqlite" or not url.host or {"host", "unix_socket"} & set(url.query):
        raise told
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise Disconnected(f"{url.host} has no address: {error}") from None
    addresses = [str(place[0]) for *_, place in found]
    if not addresses or any(refused(each) for each in addresses):
        raise told
    return addresses[0]


def _engine(url: URL, address: str | None) -> sa.Engine:
    """One connection, made when it is needed, and made anew when it is gone."""
    make = {"postgresql": _postgresql, "mysql": _mysql, "sqlite": _sqlite}[_family(url)]
    return make(url, address)


def _pooled(url: URL, **more: Any) -> sa.Engine:
    # `pre_ping`: a connection that had been idle and is gone costs a new one, no failure.
    return sa.create_engine(
        url, poolclass=sa.QueuePool, pool_size=1, max_overflow=0, pool_pre_ping=True, **more
    )


def _postgresql(url: URL, address: str | None) -> sa.Engine:
    arguments: dict[str, Any] = {"connect_timeout": CONNECT, "prepare_threshold": None}
    if address is not None:
        # The name's certificate, at the address that was looked at.
        arguments["hostaddr"] = address
    engine = _pooled(url, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def prepare(connection: psycopg.Connection[Any], _: Any) -> None:
        for name in _TEXTS:
            connection.adapters.register_loader(name, TextLoader)
        was, connection.autocommit = connection.autocommit, True
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SET datestyle = 'ISO'")
        connection.execute(f"SET statement_timeout = '{STATEMENT}s'")
        connection.autocommit = was

    return engine


def _mysql(url: URL, address: str | None) -> sa.Engine:
    converters = {key: value for key, value in conversions.items() if key not in _TEXT_FIELDS}
    tls = ssl.create_default_context() if url.query.get("ssl") in ("on", "true", "1") else None
    options: dict[str, Any] = {
        "host": url.host or "localhost",
        "port": url.port or 3306,
        "user": url.username,
        "password": str(url.password or ""),
        "database": url.database,
        "unix_socket": url.query.get("unix_socket"),
        "charset": "utf8mb4",
        "connect_timeout": CONNECT,
        "read_timeout": STATEMENT,
        "write_timeout": STATEMENT,
        "local_infile": False,
        "conv": converters,
        "ssl": tls,
        "init_command": "SET SESSION time_zone = '+00:00', "
        "sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
    }
    options = {name: value for name, value in options.items() if value is not None}

    def connect() -> Any:
        connection = pymysql.connect(**options, defer_connect=True)
        connection.connect(_dialled(address or options["host"], options))
        return connection

    return _pooled(url.set(query={}), creator=connect)


def _dialled(host: str, options: Mapping[str, Any]) -> socket.socket:
    """A socket to the server: to the address that was looked at, and closed where nobody answers."""
    path = options.get("unix_socket")
    try:
        if path is None:
            return socket.create_connection((host, options["port"]), CONNECT)
        found = socket.socket(socket.AF_UNIX)
        try:
            found.settimeout(CONNECT)
            found.connect(path)
        except BaseException:
            found.close()
            raise
        return found
    except OSError as error:
        raise pymysql.err.OperationalError(2003, f"{host} cannot be reached: {error}") from None


def _sqlite(url: URL, _: str | None) -> sa.Engine:
    # Never makes a file: a path that is wrong is told, not filled.
    engine = _pooled(
        URL.create(url.drivername, database=f"file:{url.database}", query={"mode": "rw", "uri": "true"}),
        connect_args={"timeout": CONNECT},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.text_factory = readable
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A writer is alone from its first look on: a look that turns into a write may be refused.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
