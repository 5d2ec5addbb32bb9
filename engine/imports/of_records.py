"""Records from a file: each row is a record of one object type, known by a unique key; new ones are made."""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from engine import records as commands
from engine import values
from engine.batches import Mode
from engine.imports import files
from engine.imports.definitions import SAMPLE, Column, define, match
from engine.imports.files import Row, Table
from engine.imports.problems import DuplicateInFile, KeyMissing
from engine.imports.run import Progress, Report, RowError, Tally, run
from engine.object_types import get
from engine.problems import Problem
from engine.records.problems import ObjectTypeInactive
from storage.database import Actor, Database, Transaction

# Rows a transaction: statements stay short, and what is lost when one is tried again stays little.
BATCH = 2_000


async def records(
    db: Database,
    account_id: int,
    path: Path,
    *,
    object_type: str,
    key: str,
    clock: Callable[[], datetime],
    create: bool = False,
    columns: Mapping[str, str] | None = None,
    user_id: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Create or update a record of `object_type` for each row of the CSV file (perhaps gzipped) at `path`.

    `key` is the column of a unique property; `columns` names the property of columns that are called otherwise;
    `create` makes the object type and properties that are missing. Empty cells change nothing. What is wrong
    with a row is in the report and kept with the import; the other rows are in. Raises `Problem` and `Refused`
    where the file as a whole cannot be imported: then nothing has happened.
    """
    mapping = dict(columns or {})
    with files.opened(path) as table:
        if create:
            await _define(db, account_id, path, table, object_type, key, mapping, clock(), user_id)
        catalogue = await db.catalogue(account_id)
        wanted = get(catalogue, object_type)
        if not wanted.active:
            raise ObjectTypeInactive(object_type=object_type)
        found, key_column = match(wanted, table.header, key, mapping)
        writer = _Writer(object_type, found, key_column)
        return await run(
            db,
            account_id,
            table,
            writer.write,
            name=path.name,
            kind="RECORDS",
            mapping={
                "objectType": object_type,
                "key": key_column.property.name,
                "columns": {column.name: column.property.name for column in found},
            },
            clock=clock,
            user_id=user_id,
            batch_size=BATCH,
            progress=progress,
        )


async def _define(
    db: Database,
    account_id: int,
    path: Path,
    table: Table,
    object_type: str,
    key: str,
    mapping: Mapping[str, str],
    now: datetime,
    user_id: int | None,
) -> None:
    # The sample is read from a second opening of the file, since rows are read once.
    with files.opened(path) as peeked:
        sample = list(itertools.islice(peeked.batches(SAMPLE), 1))
    async with db.transaction(account_id, now=now, actor=Actor("IMPORT", None, user_id), defining=True) as tx:
        made = await define(tx, object_type, table.header, key, sample[0] if sample else [], mapping)
        # A file that cannot be imported leaves no definitions behind.
        match(made, table.header, key, mapping)


class _Writer:
    """Writes batches of rows, and remembers the keys that it has seen: a digest and a row number for each."""

    def __init__(self, object_type: str, columns: Sequence[Column], key: Column) -> None:
        self._object_type = object_type
        self._columns = columns
        self._key = key
        self._seen: dict[bytes, int] = {}

    async def write(self, tx: Transaction, rows: list[Row], tally: Tally) -> None:
        object_type = get(tx.catalogue, self._object_type)
        asked = [(row, given) for row in rows if (given := self._read(row, tally)) is not None]
        outcomes = await commands.upsert(
            tx, object_type, self._key.property.name, [given for _, given in asked], Mode.PER_ITEM
        )
        for (row, _), outcome in zip(asked, outcomes, strict=True):
            if outcome.value is None:
                tally.errors += [self._error(row, problem) for problem in outcome.problems]
            elif outcome.value.created:
                tally.created += 1
            elif outcome.value.row.updated_at == tx.now:
                tally.updated += 1
            else:
                tally.unchanged += 1

    def _read(self, row: Row, tally: Tally) -> dict[str, Any] | None:
        """The properties that a row gives; None where it has no key of its own."""
        given = {
            column.property.name: value
            for column in self._columns
            if (value := values.parse(column.property, row.cells[column.index])) is not None
        }
        cell = row.cells[self._key.index]
        if self._key.property.name not in given:
            problem: Problem = KeyMissing(column=values.tidy(self._key.name))
        elif (first := self._first(given[self._key.property.name], row.number)) != row.number:
            problem = DuplicateInFile(value=values.tidy(cell), first=first)
        else:
            return given
        tally.errors.append(RowError.of(row.number, problem, self._key.name, cell))
        return None

    def _first(self, value: Any, number: int) -> int:
        """The row in which this key stood first. The same row may ask again when its batch is tried again."""
        canonical = values.canonical(self._key.property, value)
        digest = hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        return self._seen.setdefault(digest, number)

    def _error(self, row: Row, problem: Problem) -> RowError:
        # The path of a problem with a value ends with the property's name.
        name = problem.path[-1] if problem.path else None
        column = next((column for column in self._columns if column.property.name == name), None)
        if column is None:
            return RowError.of(row.number, problem)
        return RowError.of(row.number, problem, column.name, row.cells[column.index])
