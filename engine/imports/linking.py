"""Associations from rows: both ends found, labels read, and all of a batch written by one command."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from engine import associations as commands
from engine import values
from engine.associations import Pair
from engine.batches import Mode
from engine.ids import decode
from engine.imports.files import Row
from engine.imports.labels import Labels
from engine.imports.plan import RECORD_ID, End, Key, Link, Plan
from engine.imports.problems import KeyMissing, UnknownKey
from engine.imports.tally import CREATED, UNCHANGED, UPDATED, Tally
from engine.problems import MalformedId, Problem
from engine.values import tidy
from storage import records, unique_values
from storage.database import Transaction

# Under which associations are counted.
ASSOCIATIONS = "associations"


class Awaiting(Protocol):
    """Knows keys of records that a check does not make, and a run would."""

    async def among(self, object_type_id: int, property_id: int, keys: Iterable[str]) -> set[str]: ...


class Linking:
    """The associations of one batch."""

    def __init__(self, plan: Plan, labels: Sequence[Labels]) -> None:
        self._plan = plan
        self._labels = labels
        # The labels that each row names, by link.
        self._named: list[dict[int, tuple[str, ...]]] = [{} for _ in plan.links]

    def read(self, row: Row, tally: Tally) -> None:
        """Look at the labels of a row, before any of its records is written."""
        for n, link in enumerate(self._plan.links):
            if link.labels_column is not None:
                index, column = link.labels_column
                names = self._labels[n].of(row.cells[index])
                if isinstance(names, Problem):
                    tally.wrong(row.number, names, column, row.cells[index])
                else:
                    self._named[n][row.number] = names

    def _labels_of(self, n: int, link: Link, row: Row) -> tuple[str, ...] | Problem:
        known = self._named[n].get(row.number)
        if known is not None:
            return known
        return () if link.labels_column is None else self._labels[n].of(row.cells[link.labels_column[0]])

    async def write(
        self,
        tx: Transaction,
        rows: Sequence[Row],
        ids: Mapping[str, Mapping[int, int]],
        awaiting: Awaiting | None,
        tally: Tally,
    ) -> list[tuple[int, int]]:
        """Associate what the rows name; the pairs to which something was added."""
        pairs: list[tuple[int, int]] = []
        for n, link in enumerate(self._plan.links):
            from_ids, hoped = await self._ids(tx, link.near, rows, ids, awaiting)
            to_ids, also = await self._ids(tx, link.far, rows, ids, awaiting)
            asked: list[tuple[Row, Pair]] = []
            for row in rows:
                from_id, to_id = from_ids.get(row.number), to_ids.get(row.number)
                labels = self._labels_of(n, link, row)
                if isinstance(labels, Problem):
                    awaited = row.number in hoped or row.number in also
                    if not awaited and (from_id is None or to_id is None):
                        self._missing(row, link, from_id, to_id, tally)
                    self._refused(row, link, labels, tally)
                elif from_id is not None and to_id is not None:
                    names = tuple(dict.fromkeys((*link.labels, *labels))) if link.labels else labels
                    asked.append((row, Pair(from_id, to_id, names)))
                elif row.number not in hoped and row.number not in also:
                    self._missing(row, link, from_id, to_id, tally)
            outcomes = await commands.associate(tx, [pair for _, pair in asked], Mode.PER_ITEM)
            for (row, _), outcome in zip(asked, outcomes, strict=True):
                if outcome.value is None:
                    for problem in outcome.problems:
                        self._refused(row, link, problem, tally)
                    continue
                done = outcome.value
                whole = len(done.added) == len(done.type_ids)
                what = UNCHANGED if not done.added else CREATED if whole else UPDATED
                # Among records, an association is a change of theirs.
                told = UPDATED if self._plan.parts and what == CREATED else what
                tally.did(row.number, ASSOCIATIONS, told)
                if done.added:
                    pairs.append((done.from_id, done.to_id))
        return pairs

    async def _ids(
        self,
        tx: Transaction,
        end: End,
        rows: Sequence[Row],
        ids: Mapping[str, Mapping[int, int]],
        awaiting: Awaiting | None,
    ) -> tuple[Mapping[int, int], set[int]]:
        """The record of each row at one end, and the rows whose record is yet to be made; by row number."""
        if end.part is not None:
            return ids[end.part], set()
        key = end.key
        assert key is not None  # an end is a part, or has a key
        if key.property is None:
            return await _by_id(tx, end, {row.number: row.cells[key.index] for row in rows}), set()
        keys = {row.number: text for row in rows if (text := _key(key, row.cells[key.index])) is not None}
        found = await unique_values.find(tx, key.property.id, sorted(set(keys.values())))
        hoped = set[str]()
        if awaiting is not None:
            rest = set(keys.values()) - found.keys()
            hoped = await awaiting.among(end.object_type.id, key.property.id, rest)
        return (
            {number: found[text] for number, text in keys.items() if text in found},
            {number for number, text in keys.items() if text in hoped},
        )

    def _missing(self, row: Row, link: Link, from_id: int | None, to_id: int | None, tally: Tally) -> None:
        for found, end in ((from_id, link.near), (to_id, link.far)):
            if found is not None or end.key is None:
                continue
            cell = row.cells[end.key.index]
            if cell.strip():
                name = RECORD_ID if end.key.property is None else end.key.property.name
                problem: Problem = UnknownKey(
                    object_type=end.object_type.name, property=name, value=tidy(cell.strip())
                )
            elif self._plan.parts:
                # A record without an association is a record.
                continue
            else:
                problem = KeyMissing(column=tidy(end.key.name))
            tally.wrong(row.number, problem, end.key.name, cell)

    def _refused(self, row: Row, link: Link, problem: Problem, tally: Tally) -> None:
        match problem.path[:1]:
            case ("fromId",) if link.near.key is not None:
                place: tuple[int, str] | None = (link.near.key.index, link.near.key.name)
            case ("toId",) if link.far.key is not None:
                place = (link.far.key.index, link.far.key.name)
            case _:
                place = link.labels_column
        if place is None:
            tally.wrong(row.number, problem)
        else:
            tally.wrong(row.number, problem, place[1], row.cells[place[0]])


async def _by_id(tx: Transaction, end: End, cells: Mapping[int, str]) -> dict[int, int]:
    """The records of this type whose ids stand in the cells, by row number."""
    asked: dict[int, int] = {}
    for number, cell in cells.items():
        with contextlib.suppress(MalformedId):
            asked[number] = decode("record", cell.strip())
    found = await records.resolve(tx, list(asked.values()))
    return {
        number: row.id
        for number, row in zip(asked, found, strict=True)
        if row is not None and row.object_type_id == end.object_type.id
    }


def _key(key: Key, cell: str) -> str | None:
    """The canonical key in a cell; None where it is empty, or no value of the property."""
    assert key.property is not None  # ids are read otherwise
    assert key.parse is not None
    try:
        value = values.normalize(key.property, key.parse(cell))
    except Problem:
        return None
    return None if value is None else values.canonical(key.property, value)
