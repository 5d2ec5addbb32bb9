"""Labelled relations from a file: each row names two records by unique keys, and the labels between them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from engine.crew import Crew
from engine.imports import files
from engine.imports.binding import bind
from engine.imports.cutting import Size
from engine.imports.labels import create_missing
from engine.imports.plan import RECORD_ID
from engine.imports.problems import ColumnMissing, KeyNotUnique
from engine.imports.run import run_table
from engine.imports.running import Clock
from engine.imports.tally import Progress, Report
from engine.object_types import get
from engine.problems import NotFound
from engine.values import tidy
from storage.catalogue import ObjectTypeRow
from storage.database import Database


async def associations(
    db: Database,
    account_id: int,
    path: Path,
    *,
    from_type: str,
    from_key: str,
    to_type: str,
    to_key: str,
    clock: Clock,
    from_column: str | None = None,
    to_column: str | None = None,
    labels_column: str | None = None,
    create_labels: Sequence[tuple[str, str | None]] = (),
    user_id: int | None = None,
    checking: bool = False,
    progress: Callable[[Progress], None] | None = None,
    crew: Crew | None = None,
    size: Size | None = None,
) -> Report:
    """Associate two records, under labels, for each row of the file at `path`.

    Without column names the first column holds `from_key` of a record of `from_type`, the second `to_key` of one
    of `to_type` (unique properties, or `id`), and the column `labels`, if there is one, the labels; other columns
    are not read. Labels are texts or internal names that stand at the `from` record, separated by `;` (`\\;`
    within a label).
    `create_labels` are (text, text of the other direction or None) of labels to make where they are missing.
    What is there already stays. Raises `Problem` where the file as a whole cannot be imported.
    """
    with files.opened(path) as table:
        catalogue = await db.catalogue(account_id)
        _check_key(get(catalogue, from_type), from_key)
        _check_key(get(catalogue, to_type), to_key)
        near = _column(table.header, from_column, 0)
        far = _column(table.header, to_column, 1)
        if labels_column is None and "labels" in table.header:
            labels_column = "labels"
        if labels_column is not None:
            _column(table.header, labels_column, 2)
        await create_missing(db, account_id, from_type, to_type, create_labels, clock(), user_id)
        plan = {
            "associations": [
                {
                    "from": {"objectType": from_type, "property": from_key, "column": near},
                    "to": {"objectType": to_type, "property": to_key, "column": far},
                    "labelsColumn": labels_column,
                }
            ]
        }
        return await run_table(
            db,
            account_id,
            table,
            bind(plan, table.header, await db.catalogue(account_id)),
            name=path.name,
            clock=clock,
            checking=checking,
            user_id=user_id,
            progress=progress,
            crew=crew,
            size=size,
        )


def _check_key(object_type: ObjectTypeRow, name: str) -> None:
    """Raise where neither a unique property nor the records' ids are called so."""
    prop = object_type.live(name)
    if prop is None and name != RECORD_ID:
        raise NotFound(kind=f"property of {object_type.name}", name=tidy(name))
    if prop is not None and not prop.is_unique:
        raise KeyNotUnique(property=name, object_type=object_type.name)


def _column(header: Sequence[str], name: str | None, index: int) -> str:
    """The name of a column; where none is given, of the one at `index`."""
    if name is None and index < len(header):
        return header[index]
    if name is None or name not in header:
        wanted = ("from", "to", "labels")[index] if name is None else name
        raise ColumnMissing(column=tidy(wanted), columns=[tidy(each) for each in header])
    return name
