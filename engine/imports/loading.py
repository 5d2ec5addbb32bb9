"""The short way for rows that make records, or change nothing: cells are read once for all rows that hold them.

New records are written by COPY. What is not so simple (a value that changes, anything wrong, a key twice) is left to
the commands, which find the words for it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from engine import values
from engine.imports.before import digest_of
from engine.imports.files import Row
from engine.imports.plan import Column, Doing, Plan
from engine.imports.tally import CREATED, UNCHANGED, Tally
from engine.problems import Problem
from engine.records.drafts import Form
from storage import fresh, import_marks, records, unique_values
from storage.catalogue import Catalogue
from storage.database import Transaction
from storage.fresh import Part
from storage.import_marks import Touched

# Distinct cells of a column that are remembered.
CELLS_KEPT = 50_000

# What stands in a cell: a value in the words of the tables, what is wrong with it, or nothing.
Read: TypeAlias = Part | Problem | None
# A row with its values and its key.
Sound: TypeAlias = tuple[Row, Sequence[Part], str]


class _Cells:
    """One column: reads its cells, each distinct one once for as long as it is remembered."""

    def __init__(self, column: Column, required: bool) -> None:
        self.index = column.index
        self.property_id = column.property.id
        # A row without a value here is not simple.
        self.required = required
        self._known: dict[str, Read] | None = None if column.property.is_unique else {}
        self._read = _Reader(column)

    def read(self, rows: Sequence[Row]) -> list[Read]:
        """What stands in these rows."""
        index, known, read = self.index, self._known, self._read
        cells = [row.cells[index] for row in rows]
        if known is None:
            # Hardly any comes again.
            return [read(cell) for cell in cells]
        new = set(cells).difference(known)
        if len(known) + len(new) > CELLS_KEPT:
            known.clear()
            new = set(cells)
        for cell in new:
            known[cell] = read(cell)
        return [known[cell] for cell in cells]


class Loader:
    """Makes records of the rows of one import that has one part, told apart by a unique property."""

    def __init__(self, plan: Plan, number: int) -> None:
        (part,) = plan.parts
        assert part.key is not None  # see `loader`
        self._plan = plan
        self._number = number
        self._part = part
        form = Form(part.object_type)
        required = {prop.name for prop in form.required}
        self._columns = [_Cells(column, column.property.name in required) for column in part.columns]
        self._key = [column.index for column in self._columns].index(part.key.index)
        self.possible = required <= {column.property.name for column in part.columns}
        self._unique = [column.property.id for column in part.columns if column.property.is_unique]
        # Whether what rows say can be told to be what records hold: 1 and true are not the same in JSON.
        self._comparable = part.doing is Doing.UPSERT and all(
            column.property.type != "JSON" for column in part.columns
        )
        self._key_property = self._columns[self._key].property_id

    async def load(self, tx: Transaction, rows: Sequence[Row], tally: Tally, *, failures: bool) -> list[Row]:
        """Make the records that are new beyond doubt; the other rows. Raises `Taken`."""
        sound, rest, blocked = self._sound(rows)
        known, found = await self._known(tx, sound, failures)
        new = sound
        if blocked or known:
            known |= blocked
            new = [one for one in sound if one[2] not in known]
            same = await self._same(
                tx,
                [(one, found[one[2]]) for one in sound if one[2] in found and one[2] not in blocked],
                tally,
            )
            left = known - same
            rest = sorted([*rest, *(one[0] for one in sound if one[2] in left)], key=lambda row: row.number)
        if new:
            await self._make(tx, new, tally)
        return rest

    def _sound(self, rows: Sequence[Row]) -> tuple[list[Sound], list[Row], set[str]]:
        """Rows in which all is well, with their values and keys; the others; and keys that those name.

        Whoever comes second in this batch needs the first one's outcome, and that one may be among the others.
        """
        read = [row for row in rows if row.problem is None]
        columns = [column.read(read) for column in self._columns]
        keys = [_key_of(one) for one in columns[self._key]]
        wrong = self._wrong(columns)
        if len(read) == len(rows) and not wrong and len(set(keys)) == len(keys) and None not in keys:
            # Nearly always.
            return list(zip(read, self._parts(columns), keys, strict=True)), [], set()  # type: ignore[arg-type]
        sound, blocked, seen = list[Sound](), set[str](), set[str]()
        for n, (row, parts, key) in enumerate(zip(read, self._parts(columns), keys, strict=True)):
            if key is None:
                continue
            if key in seen or n in wrong:
                blocked.add(key)
            else:
                sound.append((row, parts, key))
            seen.add(key)
        mine = {one[0].number for one in sound}
        return sound, [row for row in rows if row.number not in mine], blocked

    def _wrong(self, columns: Sequence[Sequence[Read]]) -> set[int]:
        """Which rows have something wrong, or lack what is required."""
        wrong = set[int]()
        for column, held in zip(columns, self._columns, strict=True):
            kinds = set(map(type, column))
            if kinds != {Part} and (held.required or any(issubclass(kind, Problem) for kind in kinds)):
                wrong |= {
                    n for n, one in enumerate(column)
                    if isinstance(one, Problem) or (one is None and held.required)
                }  # fmt: skip
        return wrong

    def _parts(self, columns: Sequence[Sequence[Any]]) -> Iterator[Sequence[Part]]:
        """The values of each row; of no use for those with something wrong."""
        if not any(type(None) in set(map(type, column)) for column in columns):
            return zip(*columns, strict=True)
        return ([one for one in row if one is not None] for row in zip(*columns, strict=True))

    async def _known(
        self, tx: Transaction, sound: Sequence[Sound], failures: bool
    ) -> tuple[set[str], dict[str, int]]:
        """The keys of rows that are not new beyond doubt: one of their unique values is taken, or came twice.

        And the records of keys that nothing else speaks against, where rows may update records.
        """
        taken: dict[tuple[int, str], str] = {}
        known, found = set[str](), dict[str, int]()
        if len(self._unique) == 1:
            # That is the key.
            taken = {(self._unique[0], key): key for _, _, key in sound}
        else:
            for _, parts, key in sound:
                for one in parts:
                    if one.key is not None and taken.setdefault(one.key, key) != key:
                        known |= {key, taken[one.key]}
        for property_id in self._unique:
            asked = [value for owner, value in taken if owner == property_id]
            holders = await unique_values.find(tx, property_id, asked)
            known |= {taken[property_id, value] for value in holders}
            if self._comparable and property_id == self._key_property:
                found = holders
        if failures:
            digests = {digest_of(self._part.name, key): key for _, _, key in sound}
            failed = {digests[one] for one in await import_marks.keys(tx, self._number, list(digests))}
            known |= failed
            found = {key: record for key, record in found.items() if key not in failed}
        return known, found

    async def _same(self, tx: Transaction, asked: Sequence[tuple[Sound, int]], tally: Tally) -> set[str]:
        """The keys of rows that say what their records hold already: those are noted, and done.

        What is merged, archived, or what an earlier row was about, is left to the commands.
        """
        if not asked:
            return set()
        ids = [record for _, record in asked]
        touched = await import_marks.touched(tx, self._number, ids)
        done: dict[str, tuple[int, int]] = {}
        for ((row, parts, key), record), held in zip(asked, await records.rows(tx, ids), strict=True):
            if record in touched or held is None or held.archived_at or held.merged_into_id is not None:
                continue
            properties = held.properties
            if held.object_type_id == self._part.object_type.id and all(
                [properties.get(one.name) == one.value for one in parts]
            ):
                done[key] = record, row.number
        if done:
            await import_marks.touch(
                tx, self._number, {one: Touched(row, None) for one, row in done.values()}
            )
            tally.all_did([row for _, row in done.values()], self._part.name, UNCHANGED)
        return set(done)

    async def _make(self, tx: Transaction, new: Sequence[Sound], tally: Tally) -> None:
        ids = await tx.new_ids(len(new))
        await fresh.insert(
            tx,
            self._part.object_type.id,
            [(record_id, parts) for record_id, (_, parts, _) in zip(ids, new, strict=True)],
        )
        made = [(record_id, row.number) for record_id, (row, _, _) in zip(ids, new, strict=True)]
        await import_marks.touch_made(tx, self._number, made)
        tally.all_did([row.number for row, _, _ in new], self._part.name, CREATED)


def _key_of(one: Read) -> str | None:
    return one.key[1] if isinstance(one, Part) and one.key is not None else None


class _Reader:
    """Reads a cell of one column."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._check = values.checker(column.property)

    def __call__(self, cell: str) -> Read:
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
    if part.doing is Doing.UPDATE or part.unique is None:
        return None
    if not part.object_type.active or catalogue.watched.get(part.object_type.id):
        return None
    made = Loader(plan, number)
    return made if made.possible else None
