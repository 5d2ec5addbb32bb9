"""Labelled relations from a file: each row names two records by unique keys, and the labels between them."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine import associations as commands
from engine import values
from engine.associations import Pair
from engine.batches import Mode
from engine.ids import decode
from engine.imports import files
from engine.imports.files import Row
from engine.imports.labels import Labels, create_missing
from engine.imports.problems import (
    ColumnMissing,
    KeyMissing,
    KeyNotUnique,
    UnknownKey,
)
from engine.imports.run import Progress, Report, RowError, Tally, run
from engine.object_types import get
from engine.problems import MalformedId, NotFound, Problem
from engine.values import tidy
from storage import records, unique_values
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.database import Database, Transaction

BATCH = 2_000
# Instead of a property: the ids under which the API knows records.
RECORD_ID = "id"


@dataclass(frozen=True, slots=True)
class End:
    """One end of the relations: where its key stands in a row, and of which property it is a value."""

    index: int
    column: str
    object_type: str
    property: str


async def associations(
    db: Database,
    account_id: int,
    path: Path,
    *,
    from_type: str,
    from_key: str,
    to_type: str,
    to_key: str,
    clock: Callable[[], datetime],
    from_column: str | None = None,
    to_column: str | None = None,
    labels_column: str | None = None,
    create_labels: Sequence[tuple[str, str | None]] = (),
    user_id: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Associate two records, under labels, for each row of the CSV file (perhaps gzipped) at `path`.

    Without column names the first column holds `from_key` of a record of `from_type`, the second `to_key` of one
    of `to_type` (unique properties, or `id`), and the column `labels`, if there is one, the labels; other columns
    are not read. Labels are texts or internal names that stand at the `from` record, separated by `;` (`\\;`
    within a label).
    `create_labels` are (text, text of the other direction or None) of labels to make where they are missing.
    What is there already stays. Raises `Problem` where the file as a whole cannot be imported.
    """
    with files.opened(path) as table:
        catalogue = await db.catalogue(account_id)
        _unique(get(catalogue, from_type), from_key)
        _unique(get(catalogue, to_type), to_key)
        near = End(*_column(table.header, from_column, 0), from_type, from_key)
        far = End(*_column(table.header, to_column, 1), to_type, to_key)
        if labels_column is None and "labels" in table.header:
            labels_column = "labels"
        labels = None if labels_column is None else _column(table.header, labels_column, 2)
        await create_missing(db, account_id, from_type, to_type, create_labels, clock(), user_id)
        writer = _Writer(near, far, labels)
        return await run(
            db,
            account_id,
            table,
            writer.write,
            name=path.name,
            kind="ASSOCIATIONS",
            mapping={
                "from": {"objectType": from_type, "key": from_key, "column": near.column},
                "to": {"objectType": to_type, "key": to_key, "column": far.column},
                "labels": labels_column,
            },
            clock=clock,
            user_id=user_id,
            batch_size=BATCH,
            progress=progress,
        )


class _Writer:
    """Writes batches of rows."""

    def __init__(self, near: End, far: End, labels: tuple[int, str] | None) -> None:
        self._near = near
        self._far = far
        self._labels = labels

    async def write(self, tx: Transaction, rows: list[Row], tally: Tally) -> None:
        from_ids = await self._ids(tx, self._near, rows)
        to_ids = await self._ids(tx, self._far, rows)
        labels = Labels(tx.catalogue, self._near.object_type, self._far.object_type)
        asked: list[tuple[Row, Pair]] = []
        for row in rows:
            from_id, to_id = from_ids.get(row.number), to_ids.get(row.number)
            names = labels.of(row.cells[self._labels[0]]) if self._labels is not None else ()
            if from_id is None or to_id is None or isinstance(names, Problem):
                tally.errors += self._wrong(row, from_id, to_id, names)
            else:
                asked.append((row, Pair(from_id, to_id, names)))
        outcomes = await commands.associate(tx, [pair for _, pair in asked], Mode.PER_ITEM)
        for (row, _), outcome in zip(asked, outcomes, strict=True):
            if outcome.value is None:
                tally.errors += [self._error(row, problem) for problem in outcome.problems]
            elif not outcome.value.added:
                tally.unchanged += 1
            elif len(outcome.value.added) == len(outcome.value.type_ids):
                tally.created += 1
            else:
                tally.updated += 1

    async def _ids(self, tx: Transaction, end: End, rows: Sequence[Row]) -> dict[int, int]:
        """The record of each row at one end, by row number; none where the key is unknown."""
        object_type = get(tx.catalogue, end.object_type)
        prop = _unique(object_type, end.property)
        if prop is None:
            return await _by_id(tx, object_type, {row.number: row.cells[end.index] for row in rows})
        keys = {row.number: key for row in rows if (key := _key(prop, row.cells[end.index])) is not None}
        found: Mapping[str, int] = await unique_values.find(tx, prop.id, sorted(set(keys.values())))
        return {number: found[key] for number, key in keys.items() if key in found}

    def _wrong(
        self, row: Row, from_id: int | None, to_id: int | None, names: tuple[str, ...] | Problem
    ) -> list[RowError]:
        errors = []
        for found, end in ((from_id, self._near), (to_id, self._far)):
            cell = row.cells[end.index]
            if found is None:
                problem: Problem = KeyMissing(column=tidy(end.column))
                if cell.strip():
                    problem = UnknownKey(
                        object_type=end.object_type, property=end.property, value=tidy(cell.strip())
                    )
                errors.append(RowError.of(row.number, problem, end.column, cell))
        if isinstance(names, Problem) and self._labels is not None:
            index, column = self._labels
            errors.append(RowError.of(row.number, names, column, row.cells[index]))
        return errors

    def _error(self, row: Row, problem: Problem) -> RowError:
        match problem.path[:1]:
            case ("fromId",):
                place: tuple[int, str] | None = (self._near.index, self._near.column)
            case ("toId",):
                place = (self._far.index, self._far.column)
            case _:
                place = self._labels
        if place is None:
            return RowError.of(row.number, problem)
        return RowError.of(row.number, problem, place[1], row.cells[place[0]])


async def _by_id(tx: Transaction, object_type: ObjectTypeRow, cells: Mapping[int, str]) -> dict[int, int]:
    """The records of this type whose ids stand in the cells, by row number."""
    asked: dict[int, int] = {}
    for number, cell in cells.items():
        with contextlib.suppress(MalformedId):
            asked[number] = decode("record", cell.strip())
    found = await records.resolve(tx, list(asked.values()))
    return {
        number: row.id
        for number, row in zip(asked, found, strict=True)
        if row is not None and row.object_type_id == object_type.id
    }


def _key(prop: PropertyRow, cell: str) -> str | None:
    """The canonical key in a cell; None where it is empty, or no value of the property."""
    try:
        value = values.normalize(prop, values.parse(prop, cell))
    except Problem:
        return None
    return None if value is None else values.canonical(prop, value)


def _unique(object_type: ObjectTypeRow, name: str) -> PropertyRow | None:
    """The unique property that tells records apart; None for their ids."""
    prop = object_type.live(name)
    if prop is None and name == RECORD_ID:
        return None
    if prop is None:
        raise NotFound(kind=f"property of {object_type.name}", name=tidy(name))
    if not prop.is_unique:
        raise KeyNotUnique(property=name, object_type=object_type.name)
    return prop


def _column(header: Sequence[str], name: str | None, index: int) -> tuple[int, str]:
    """Where a column stands, and its name; without a name it is the one at `index`."""
    if name is None and index < len(header):
        return index, header[index]
    if name is None or name not in header:
        wanted = ("from", "to", "labels")[index] if name is None else name
        raise ColumnMissing(column=tidy(wanted), columns=[tidy(each) for each in header])
    return header.index(name), name
