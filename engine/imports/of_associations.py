"""Labelled relations from a file: each row names two records by unique keys, and the labels between them."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine import associations as commands
from engine import labels as labels_of
from engine import values
from engine.associations import Pair
from engine.batches import Mode
from engine.imports import files
from engine.imports.files import Row
from engine.imports.problems import (
    AmbiguousLabel,
    ColumnMissing,
    KeyMissing,
    KeyNotUnique,
    UnknownKey,
    UnknownLabel,
)
from engine.imports.run import Progress, Report, RowError, Tally, run
from engine.object_types import get
from engine.problems import NotFound, Problem
from engine.values import tidy
from storage import unique_values
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.database import Actor, Database, Transaction

BATCH = 2_000

# `;` separates labels; `\;` is one within a label, `\\` a backslash.
PART = re.compile(r"((?:\\[;\\]|[^;])*)(?:;|\Z)")
ESCAPABLE = re.compile(r"([;\\])")
ESCAPED = re.compile(r"\\([;\\])")


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
    of `to_type`, and the column `labels`, if there is one, the labels; other columns are not read. Labels
    are texts or internal names that stand at the `from` record, separated by `;` (`\\;` within a label).
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
        await _create_labels(db, account_id, near, far, create_labels, clock(), user_id)
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


async def _create_labels(
    db: Database,
    account_id: int,
    near: End,
    far: End,
    wanted: Sequence[tuple[str, str | None]],
    now: datetime,
    user_id: int | None,
) -> None:
    if not wanted:
        return
    async with db.transaction(account_id, now=now, actor=Actor("IMPORT", None, user_id), defining=True) as tx:
        await tx.redefine()
        for text, inverse in wanted:
            known = Labels(tx.catalogue, near.object_type, far.object_type)
            if isinstance(known.of(ESCAPABLE.sub(r"\\\1", text)), UnknownLabel):
                await labels_of.create(
                    tx, near.object_type, far.object_type, label=text, inverse_label=inverse
                )


def split_labels(cell: str) -> list[str]:
    """The labels in a cell, in order, without spaces around them."""
    parts = (ESCAPED.sub(r"\1", part).strip() for part in PART.findall(cell))
    return [part for part in parts if part]


class Labels:
    """Finds the labels from one object type to another by internal name or by text."""

    def __init__(self, catalogue: Catalogue, from_type: str, to_type: str) -> None:
        self._types = (from_type, to_type)
        near, far = catalogue.by_name[from_type], catalogue.by_name[to_type]
        self._texts: dict[str, list[str]] = defaultdict(list)
        self._names: set[str] = set()
        for row in catalogue.between(near.id, far.id):
            if row.name is not None:
                self._names.add(row.name)
                self._texts[(row.label or row.name).casefold()].append(row.name)
        self._cells: dict[str, tuple[str, ...] | Problem] = {}

    def of(self, cell: str) -> tuple[str, ...] | Problem:
        """The internal names that a cell names, or what is wrong with one of them."""
        known = self._cells.get(cell)
        if known is None:
            try:
                known = tuple(dict.fromkeys(self._name(label) for label in split_labels(cell)))
            except Problem as problem:
                known = problem
            # Cells repeat: a file has few combinations of labels. Wrong ones may be many.
            if len(self._cells) < BATCH:
                self._cells[cell] = known
        return known

    def _name(self, label: str) -> str:
        if label in self._names:
            return label
        names = self._texts.get(label.casefold(), [])
        from_type, to_type = self._types
        if len(names) > 1:
            raise AmbiguousLabel(label=tidy(label), from_type=from_type, to_type=to_type, names=names)
        if not names:
            known = sorted(self._names) or "none"
            raise UnknownLabel(label=tidy(label), from_type=from_type, to_type=to_type, known=known)
        return names[0]


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
        prop = _unique(get(tx.catalogue, end.object_type), end.property)
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


def _key(prop: PropertyRow, cell: str) -> str | None:
    """The canonical key in a cell; None where it is empty, or no value of the property."""
    try:
        value = values.normalize(prop, values.parse(prop, cell))
    except Problem:
        return None
    return None if value is None else values.canonical(prop, value)


def _unique(object_type: ObjectTypeRow, name: str) -> PropertyRow:
    prop = object_type.live(name)
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
