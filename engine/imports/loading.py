"""The short way for rows that make records: cells are read once for all rows that hold them, and written by COPY.

What is not so simple (a known key, anything wrong, a key twice) is left to the commands, which find the words for it.
"""

from collections.abc import Sequence
from typing import Any

from engine import values
from engine.imports.before import digest_of
from engine.imports.files import Row
from engine.imports.plan import Column, Doing, Plan
from engine.imports.tally import CREATED, Tally
from engine.problems import Problem
from engine.records.drafts import Form
from storage import fresh, import_work, unique_values
from storage.catalogue import Catalogue
from storage.database import Transaction
from storage.fresh import Part

# Distinct cells of a column that are remembered.
CELLS_KEPT = 50_000


class Loader:
    """Makes records of the rows of one import that has one part, told apart by a unique property."""

    def __init__(self, plan: Plan, number: int) -> None:
        (part,) = plan.parts
        assert part.key is not None  # see `loader`
        self._plan = plan
        self._number = number
        self._part = part
        self._key = part.key.index
        form = Form(part.object_type)
        # (its place, what its cells are, how a new one is read)
        self._columns = [
            (column.index, dict[str, Part | Problem | None](), _Reader(column)) for column in part.columns
        ]
        names = {column.property.name for column in part.columns}
        self.possible = all(prop.name in names for prop in form.required)
        self._required = {prop.name for prop in form.required}
        self._unique = [column.property.id for column in part.columns if column.property.is_unique]

    async def load(self, tx: Transaction, rows: Sequence[Row], tally: Tally, *, failures: bool) -> list[Row]:
        """Make the records that are new beyond doubt; the other rows. Raises `Taken`."""
        rest, sound = list[Row](), list[tuple[Row, list[Part], str]]()
        seen = set[str]()
        for row in rows:
            parts, key = self._read(row)
            if key is not None and key not in seen and parts is not None:
                seen.add(key)
                sound.append((row, parts, key))
            else:
                if key is not None:
                    seen.add(key)
                rest.append(row)
        # Whoever comes second in this batch needs the first one's outcome, and that one may be among the rest.
        blocked = {key for row in rest if (key := self._read(row)[1]) is not None}
        blocked |= await self._known(tx, sound, failures)
        new = [one for one in sound if one[2] not in blocked]
        if len(new) < len(sound):
            rest = sorted(
                [*rest, *(one[0] for one in sound if one[2] in blocked)], key=lambda row: row.number
            )
        if new:
            await self._make(tx, new, tally)
        return rest

    def _read(self, row: Row) -> tuple[list[Part] | None, str | None]:
        """The values of a row (None: something is wrong with it), and its key if it has one."""
        if row.problem is not None:
            return None, None
        parts, key, wrong = list[Part](), None, False
        cells = row.cells
        for index, known, read in self._columns:
            cell = cells[index]
            try:
                one = known[cell]
            except KeyError:
                if len(known) >= CELLS_KEPT:
                    known.clear()
                one = known[cell] = read(cell)
            if one is None:
                continue
            if isinstance(one, Problem):
                wrong = True
            else:
                parts.append(one)
                if index == self._key and one.key is not None:
                    key = one.key[1]
        if wrong or (self._required and not self._required <= {one.name for one in parts}):
            return None, key
        return parts, key

    async def _known(
        self, tx: Transaction, sound: Sequence[tuple[Row, list[Part], str]], failures: bool
    ) -> set[str]:
        """The keys of rows that are not new beyond doubt: one of their unique values is taken, or came twice."""
        taken: dict[tuple[int, str], str] = {}
        known = set[str]()
        for _, parts, key in sound:
            for one in parts:
                if one.key is not None and taken.setdefault(one.key, key) != key:
                    known |= {key, taken[one.key]}
        for property_id in self._unique:
            asked = [value for owner, value in taken if owner == property_id]
            for value in await unique_values.find(tx, property_id, asked):
                known.add(taken[property_id, value])
        if failures:
            digests = {digest_of(self._part.name, key): key for _, _, key in sound}
            known |= {digests[one] for one in await import_work.keys(tx, self._number, list(digests))}
        return known

    async def _make(self, tx: Transaction, new: Sequence[tuple[Row, list[Part], str]], tally: Tally) -> None:
        ids = await tx.new_ids(len(new))
        await fresh.insert(
            tx,
            self._part.object_type.id,
            [(record_id, parts) for record_id, (_, parts, _) in zip(ids, new, strict=True)],
        )
        made = [(record_id, row.number) for record_id, (row, _, _) in zip(ids, new, strict=True)]
        await import_work.touch_made(tx, self._number, made)
        tally.rows |= dict.fromkeys((row.number for row, _, _ in new), CREATED)
        counts = tally.figures.setdefault(self._part.name, {})
        counts[CREATED] = counts.get(CREATED, 0) + len(new)


class _Reader:
    """Reads a cell of one column."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._check = values.checker(column.property)

    def __call__(self, cell: str) -> Part | Problem | None:
        prop = self._column.property
        try:
            value: Any = self._column.parse(cell)
            stored = None if value is None else self._check(value)
        except Problem as problem:
            return problem
        if stored is None:
            return None
        return fresh.part(prop, stored, values.canonical(prop, stored) if prop.is_unique else None)


def loader(plan: Plan, number: int, catalogue: Catalogue) -> Loader | None:
    """The short way for this plan, if it has one."""
    if len(plan.parts) != 1 or plan.links:
        return None
    part = plan.parts[0]
    if part.doing is Doing.UPDATE or part.key is None or part.key.property is None:
        return None
    if not part.object_type.active or catalogue.watched.get(part.object_type.id):
        return None
    made = Loader(plan, number)
    return made if made.possible else None
