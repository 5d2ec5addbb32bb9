"""Records from a file: each row is a record of one object type, known by a unique key; new ones are made."""

import itertools
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from engine.crew import Crew
from engine.imports import files
from engine.imports.binding import bind
from engine.imports.cutting import Size
from engine.imports.definitions import SAMPLE, define, match
from engine.imports.files import Table
from engine.imports.plan import Doing
from engine.imports.run import run_table
from engine.imports.running import Clock
from engine.imports.tally import Progress, Report
from engine.object_types import get
from engine.records.problems import ObjectTypeInactive
from storage.database import Actor, Database


async def records(
    db: Database,
    account_id: int,
    path: Path,
    *,
    object_type: str,
    key: str,
    clock: Clock,
    create: bool = False,
    columns: Mapping[str, str] | None = None,
    user_id: int | None = None,
    checking: bool = False,
    progress: Callable[[Progress], None] | None = None,
    crew: Crew | None = None,
    size: Size | None = None,
) -> Report:
    """Create or update a record of `object_type` for each row of the file at `path` (see `files`).

    `key` is the column of a unique property; `columns` names the property of columns that are called otherwise;
    `create` makes the object type and properties that are missing; `checking` only
    tells what would happen. Empty cells change nothing. What is wrong
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
        plan = {
            "parts": [
                {
                    "objectType": object_type,
                    "mode": Doing.UPSERT.value,
                    "key": key_column.name,
                    "columns": [{"column": one.name, "property": one.property.name} for one in found],
                }
            ]
        }
        return await run_table(
            db,
            account_id,
            table,
            bind(plan, table.header, catalogue),
            name=path.name,
            clock=clock,
            checking=checking,
            user_id=user_id,
            progress=progress,
            crew=crew,
            size=size,
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
