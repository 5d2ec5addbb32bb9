"""A database, open: one connection in one thread of its own, so that no statement ever holds up anybody else."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from engine.sync.categories import Category
from engine.sync.connectors.asked import OnlyAsked
from engine.sync.connectors.protocol import (
    Capabilities,
    ConnectorError,
    Create,
    Delete,
    Disconnected,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    Rejected,
    RemoteObject,
    Retry,
    Written,
)
from engine.sync.connectors.sql import reading, writing
from engine.sync.connectors.sql.describing import bind
from engine.sync.connectors.sql.faults import fault
from engine.sync.connectors.sql.tables import Bound, Choices
from engine.sync.connectors.sql.values import Unfit

T = TypeVar("T")


class SqlConnector(OnlyAsked):
    """See `Connector`. Tables are looked at anew by `describe`, and where one is not known."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        schema: str | None,
        choices: Choices,
        overlap: timedelta,
        capabilities: Capabilities,
    ) -> None:
        self._engine = engine
        self._schema, self._choices = schema, choices
        self._overlap, self._capabilities = overlap, capabilities
        self._tables: dict[str, Bound] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync-sql")

    async def close(self) -> None:
        """Let go of the connection; a statement that still runs is not waited for."""
        self._thread.submit(self._engine.dispose)
        self._thread.shutdown(wait=False)

    async def check(self) -> str:
        """The database's name, and what it runs on."""

        def look(connection: sa.Connection) -> str:
            connection.execute(sa.select(1))
            version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
            name = (self._engine.url.database or "").rsplit("/", 1)[-1]
            return f"{name} ({connection.dialect.name} {version})"

        return await self._reads(look)

    async def describe(self) -> Sequence[RemoteObject]:
        """The tables that there are now, with a primary key of numbers, texts or UUIDs."""
        await self._reads(self._reflect)
        return [bound.object for bound in self._tables.values()]

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """Some rows. Raises CursorLost."""
        return await self._of_table(
            object_, lambda c, bound: reading.page(c, bound, phase, cursor, limit, self._overlap)
        )

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        """These rows, in the order asked; those that are not there come as `deleted`."""
        found = await self._of_table(object_, lambda c, bound: reading.some(c, bound, external_ids))
        return [found.get(each) or Item(each, deleted=True) for each in external_ids]

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        """For each value the rows that have it, without regard to case, in the order asked."""

        def look(connection: sa.Connection, bound: Bound) -> list[tuple[Item, ...]]:
            column = next((each for each in bound.columns if each.name == field_), None)
            if column is None or field_ not in bound.object.found_by:
                raise Rejected(f'Rows are not found by "{field_}".', Category.PROPERTY_NOT_FOUND, field_)
            plain = isinstance(column.column.type, sa.String)
            asked = {}
            for value in dict.fromkeys(values):
                try:
                    assert column.kind.write is not None
                    asked[value.lower()] = column.kind.write(value.lower() if plain else value)
                except Unfit:
                    continue
            found: dict[str, list[Item]] = {}
            for item in reading.having(connection, bound, column.column, [*asked.values()], loosely=plain):
                found.setdefault(str(item.fields[field_]).lower(), []).append(item)
            return [tuple(found.get(value.lower(), ())) for value in values]

        return await self._of_table(object_, look)

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """Do each op, or say why not, in the order asked."""
        if not ops:
            return []
        return await self._run(lambda: self._write(object_.name, ops))

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        """The row that a creation with this key made: by the key's column, or by the primary key that it gives."""

        def look(connection: sa.Connection, bound: Bound) -> Item | None:
            if bound.key is not None:
                return next(iter(reading.having(connection, bound, bound.key, [key], loosely=False)), None)
            if bound.chooses:
                external_id = str(bound.chosen(key))
                found = reading.some(connection, bound, [external_id]).get(external_id)
                return None if found is None or found.deleted else found
            return None

        return await self._of_table(object_, look)

    # --- in the thread ------------------------------------------------------------------------------------------

    async def _of_table(self, object_: RemoteObject, work: Callable[[sa.Connection, Bound], T]) -> T:
        return await self._reads(lambda connection: work(connection, self._table(connection, object_.name)))

    async def _reads(self, work: Callable[[sa.Connection], T]) -> T:
        def run() -> T:
            try:
                with self._engine.connect() as connection:
                    return work(connection)
            except exc.SQLAlchemyError as error:
                self._tables.clear()
                raise fault(error).of_all() from None

        return await self._run(run)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError as error:
            # The thread was told to end.
            raise Disconnected(f"The connection is closed: {error}") from None

    def _reflect(self, connection: sa.Connection) -> None:
        metadata = sa.MetaData()
        metadata.reflect(connection, schema=self._schema)
        dialect = connection.dialect.name
        tables = bind(metadata, dialect, self._choices, self._capabilities, _unique(connection, metadata))
        if dialect != "postgresql":
            _plain(metadata, dialect)
        self._tables = tables

    def _table(self, connection: sa.Connection, name: str) -> Bound:
        if name not in self._tables:
            self._reflect(connection)
        if name not in self._tables:
            raise Disconnected(f"There is no table {name} any more.", Category.MISSING_PERMISSION)
        return self._tables[name]

    def _write(self, name: str, ops: Sequence[Op]) -> list[Outcome]:
        """In one transaction; where it is refused at its end, each op in one of its own."""
        try:
            with self._engine.connect() as connection:
                bound = self._table(connection, name)
                connection.rollback()
                connection = connection.execution_options(writes=True)
                refused = _refused(bound, ops)
                wanted = [op for op in ops if id(op) not in refused]
                outcomes = iter(self._committed(connection, bound, wanted) if wanted else [])
                return [refused.get(id(op)) or next(outcomes) for op in ops]
        except exc.SQLAlchemyError as error:
            self._tables.clear()
            found = fault(error).of_all()
            if isinstance(found, Disconnected):
                raise found from None
            return [found] * len(ops)

    def _committed(self, connection: sa.Connection, bound: Bound, ops: Sequence[Op]) -> list[Outcome]:
        outcomes = writing.write(connection, bound, ops)
        try:
            connection.commit()
        except exc.SQLAlchemyError as error:
            found = fault(error)
            if found.lost:
                return [found.of_commit() if isinstance(each, Written) else each for each in outcomes]
            connection.rollback()
            if isinstance(found.error, Retry) or len(ops) == 1:
                return [found.error if isinstance(each, Written) else each for each in outcomes]
            return [outcome for op in ops for outcome in self._committed(connection, bound, [op])]
        return outcomes


def _refused(bound: Bound, ops: Sequence[Op]) -> dict[int, ConnectorError]:
    """{op: why} of those that are not for this table at all."""
    found: dict[int, ConnectorError] = {}
    for op in ops:
        if isinstance(op, Create) and not bound.object.creatable:
            found[id(op)] = Rejected(
                f"{bound.object.name} has a column that needs a value which no field can hold.",
                Category.REQUIRED_FIELD_MISSING,
            )
        elif isinstance(op, Delete) and not bound.object.deletable:
            found[id(op)] = Rejected("Rows of this table are not deleted.", Category.PROPERTY_READ_ONLY)
    return found


def _unique(connection: sa.Connection, metadata: sa.MetaData) -> dict[str, list[str]]:
    """{table: unique columns}: SQLite tells of them by their indexes, whatever words they were made with."""
    if connection.dialect.name != "sqlite":
        return {}
    inspector = sa.inspect(connection)
    return {
        table.name: [
            str(index["column_names"][0])
            for index in inspector.get_indexes(table.name, table.schema, include_auto_indexes=True)
            if index["unique"]
            and len(index["column_names"]) == 1
            and not index.get("dialect_options", {}).get("sqlite_where")
        ]
        for table in metadata.tables.values()
    }


def _plain(metadata: sa.MetaData, dialect: str) -> None:
    """Columns whose values go to the driver as they are: what the library makes of them is more than we need."""
    for table in metadata.tables.values():
        for column in table.columns:
            if column.primary_key:
                # SQLite says that its row ids may be empty, which they never are.
                column.nullable = False
            if dialect == "sqlite" and not isinstance(column.type, sa.String | sa.Integer):
                column.type = sa.types.NullType()
            elif isinstance(column.type, sa.Enum):
                column.type = sa.String()
