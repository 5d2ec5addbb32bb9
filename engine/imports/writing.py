"""A batch of rows, written through the same commands as everything else: the records of each part, then associations.

A row with anything wrong that can be seen before writing is left out whole.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import records as commands
from engine import values
from engine.batches import Mode, Outcome
from engine.ids import decode
from engine.imports.before import Awaited, Before, Entry
from engine.imports.binding import bind
from engine.imports.files import Row
from engine.imports.labels import Labels
from engine.imports.linking import Linking
from engine.imports.loading import Loader, loader
from engine.imports.plan import Doing, Key, Part, Plan
from engine.imports.problems import KeyMissing, UnknownKey
from engine.imports.tally import CREATED, UNCHANGED, UPDATED, Tally
from engine.problems import MalformedId, Problem
from storage import import_marks, records, unique_values
from storage.catalogue import Catalogue
from storage.database import Transaction
from storage.import_marks import Touched


class Standing:
    """A plan as it stands under the account's definitions, with the short way for it; batches under way share it."""

    def __init__(self, document: Any, header: Sequence[str], number: int) -> None:
        self._document = document
        self._header = header
        self._number = number
        self._known: tuple[int, Plan, Loader | None] | None = None

    def under(self, catalogue: Catalogue) -> tuple[Plan, Loader | None]:
        """The plan, and the short way if it has one. Raises `Refused` where it no longer fits."""
        known = self._known
        if known is None or known[0] != catalogue.version:
            plan = bind(self._document, self._header, catalogue)
            known = self._known = catalogue.version, plan, loader(plan, self._number, catalogue)
        return known[1:]


@dataclass(slots=True)
class Writer:
    """Writes batches of one import, one at a time.

    `checking`: nothing is to stay, so what was met before is found by keys alone.
    """

    standing: Standing
    number: int
    checking: bool = False
    # Whether rows of earlier batches may have failed.
    failures: bool = False
    # Whether new records may be made the short way.
    short: bool = True
    plan: Plan = field(init=False)
    before: Before = field(init=False)
    _loader: Loader | None = field(init=False, default=None)

    async def write(self, tx: Transaction, rows: Sequence[Row], tally: Tally) -> None:
        """Write the rows, and note in the tally what became of each."""
        self.plan, self._loader = self.standing.under(tx.catalogue)
        self.before = Before(self.plan, self.number, self.checking, self.failures)
        if self.short and not self.checking:
            rows = await self._load(tx, rows, tally)
        sound = []
        for row in rows:
            if row.problem is None:
                sound.append(row)
            else:
                tally.wrong(row.number, row.problem, row.column, row.value)
        linking = Linking(self.plan, [Labels(tx.catalogue, *names) for names in _ends(self.plan)])
        sound, entries = self._read(sound, linking, tally)
        ids: dict[str, dict[int, int]] = {}
        failed = set[int]()
        for part in self.plan.parts:
            mine = [entry for entry in entries[part.name] if entry.row.number not in failed]
            ids[part.name] = await self._part(tx, part, mine, tally)
            failed |= {entry.row.number for entry in mine} - ids[part.name].keys()
        if self.plan.links:
            rest = [row for row in sound if row.number not in failed]
            pairs = await linking.write(
                tx, rest, ids, Awaited(tx, self.before) if self.checking else None, tally
            )
            if pairs and not self.checking:
                await import_marks.pair(tx, self.number, pairs)
        if not self.checking:
            await self.before.keep(tx)
            self.failures = self.failures or self.before.failures

    async def _load(self, tx: Transaction, rows: Sequence[Row], tally: Tally) -> Sequence[Row]:
        """Make what is new the short way, where there is one; the rows that are left."""
        if self._loader is None:
            return rows
        return await self._loader.load(tx, rows, tally, failures=self.failures)

    # --- reading -------------------------------------------------------------------------------------------------

    def _read(
        self, rows: Sequence[Row], linking: Linking, tally: Tally
    ) -> tuple[list[Row], dict[str, list[Entry]]]:
        """The rows in which nothing is wrong as far as can be told by looking at them, with what they give."""
        entries: dict[str, list[Entry]] = {part.name: [] for part in self.plan.parts}
        several = len(self.plan.parts) + len(self.plan.links) > 1
        checks = {
            part.name: {column.property.name: values.checker(column.property) for column in part.columns}
            for part in self.plan.parts
        }
        sound = []
        for row in rows:
            found, before = list[tuple[str, Entry]](), len(tally.errors)
            for part in self.plan.parts:
                entry = self._entry(part, row, tally)
                if entry is not None:
                    found.append((part.name, entry))
                    if several:
                        self._check(part, entry, checks[part.name], tally)
            if self.plan.links and self.plan.parts:
                linking.read(row, tally)
            if len(tally.errors) == before:
                sound.append(row)
                for name, entry in found:
                    entries[name].append(entry)
        return sound, entries

    def _entry(self, part: Part, row: Row, tally: Tally) -> Entry | None:
        """What a row gives to a part; None where it says nothing of it, or has no key."""
        cells = row.cells
        given = {
            column.property.name: value
            for column in part.columns
            if (value := column.parse(cells[column.index])) is not None
        }
        key = part.key
        if key is None:
            if given:
                return Entry(row, given)
            if not self.plan.repeats:
                tally.wrong(row.number, KeyMissing(column=values.tidy(part.columns[0].name)))
            return None
        cell = cells[key.index]
        if key.property is None:
            return self._by_id(part, key, Entry(row, given), cell, tally)
        value = given.get(key.property.name)
        if value is None:
            if given or not self.plan.repeats:
                tally.wrong(row.number, KeyMissing(column=values.tidy(key.name)), key.name, cell)
            return None
        if isinstance(value, str) and not values.storable(value):
            # No record has it, and the database cannot be asked for it.
            self._unfit(row, key, value, tally)
            return None
        return Entry(row, given, values.canonical(key.property, value))

    def _unfit(self, row: Row, key: Key, value: str, tally: Tally) -> None:
        assert key.property is not None  # ids are read otherwise
        try:
            values.normalize(key.property, value)
        except Problem as problem:
            tally.wrong(row.number, problem, key.name, row.cells[key.index])

    def _by_id(self, part: Part, key: Key, entry: Entry, cell: str, tally: Tally) -> Entry | None:
        if not cell.strip():
            if part.doing is Doing.UPSERT and entry.given:
                return entry
            if entry.given or not self.plan.repeats:
                tally.wrong(entry.row.number, KeyMissing(column=values.tidy(key.name)), key.name, cell)
            return None
        try:
            entry.key = decode("record", cell.strip())
        except MalformedId as problem:
            tally.wrong(entry.row.number, problem, key.name, cell)
            return None
        return entry

    def _check(self, part: Part, entry: Entry, checks: Mapping[str, values.Check], tally: Tally) -> None:
        """Rows of several records are checked before any of them is written."""
        for name, value in entry.given.items():
            try:
                checks[name](value)
            except Problem as problem:
                self._told(part, entry, problem, tally)

    # --- parts ---------------------------------------------------------------------------------------------------

    async def _part(
        self, tx: Transaction, part: Part, entries: Sequence[Entry], tally: Tally
    ) -> dict[int, int]:
        """Write the records of a part; {row: record}."""
        key = part.key
        found: dict[str | int, int] = {}
        if key is not None and key.property is not None:
            wanted = sorted({entry.key for entry in entries if isinstance(entry.key, str)})
            found.update(await unique_values.find(tx, key.property.id, wanted))
        elif key is not None:
            found = await self._numbered(tx, part, entries)
        touched = await self._touched(tx, found.values())
        entries = await self.before.first(tx, part, entries, found, touched, tally)
        if part.doing is Doing.UPDATE or (key is not None and key.property is None):
            return await self._update(tx, part, entries, found, touched, tally)
        asked = [entry.given for entry in entries]
        ids: dict[int, int] = {}
        if part.doing is Doing.CREATE or key is None or key.property is None:
            made = await commands.create(tx, part.object_type, asked, Mode.PER_ITEM)
            for entry, outcome in zip(entries, made, strict=True):
                if self._fine(part, entry, outcome, tally) and outcome.value is not None:
                    ids[entry.row.number] = outcome.value.id
                    tally.did(entry.row.number, part.name, CREATED)
            await self._touch_new(tx, ids)
            return ids
        outcomes = await commands.upsert(tx, part.object_type, key.property.name, asked, Mode.PER_ITEM)
        fresh: dict[int, int] = {}
        for entry, upserted in zip(entries, outcomes, strict=True):
            if not self._fine(part, entry, upserted, tally) or upserted.value is None:
                continue
            row, number = upserted.value.row, entry.row.number
            ids[number] = row.id
            if upserted.value.created:
                fresh[number] = row.id
                tally.did(number, part.name, CREATED)
            else:
                tally.did(number, part.name, UPDATED if row.updated_at == tx.now else UNCHANGED)
        await self._touch(tx, entries, ids, fresh, touched)
        return ids

    async def _update(
        self,
        tx: Transaction,
        part: Part,
        entries: Sequence[Entry],
        found: Mapping[str | int, int],
        touched: Mapping[int, Touched],
        tally: Tally,
    ) -> dict[int, int]:
        """Update what is there; by record ids, rows without one make records where they may."""
        asked, new = list[Entry](), list[Entry]()
        for entry in entries:
            if entry.key is None:
                new.append(entry)
            elif entry.key in found:
                asked.append(entry)
            else:
                self._unknown(part, entry, tally)
        ids: dict[int, int] = {}
        changes = [(found[entry.key], entry.given) for entry in asked if entry.key is not None]
        for entry, outcome in zip(asked, await commands.update(tx, changes, Mode.PER_ITEM), strict=True):
            if self._fine(part, entry, outcome, tally) and outcome.value is not None:
                ids[entry.row.number] = outcome.value.id
                what = UPDATED if outcome.value.updated_at == tx.now else UNCHANGED
                tally.did(entry.row.number, part.name, what)
        fresh: dict[int, int] = {}
        given = [entry.given for entry in new]
        made = await commands.create(tx, part.object_type, given, Mode.PER_ITEM) if new else []
        for entry, outcome in zip(new, made, strict=True):
            if self._fine(part, entry, outcome, tally) and outcome.value is not None:
                fresh[entry.row.number] = outcome.value.id
                tally.did(entry.row.number, part.name, CREATED)
        ids |= fresh
        await self._touch(tx, entries, ids, fresh, touched)
        return ids

    async def _numbered(self, tx: Transaction, part: Part, entries: Sequence[Entry]) -> dict[str | int, int]:
        """The records of this type that ids lead to."""
        asked = [entry.key for entry in entries if isinstance(entry.key, int)]
        rows = await records.resolve(tx, asked)
        return {
            number: row.id
            for number, row in zip(asked, rows, strict=True)
            if row is not None and row.object_type_id == part.object_type.id
        }

    def _unknown(self, part: Part, entry: Entry, tally: Tally) -> None:
        assert part.key is not None  # only what is looked up can be unknown
        name = "id" if part.key.property is None else part.key.property.name
        cell = entry.row.cells[part.key.index]
        problem = UnknownKey(
            object_type=part.object_type.name, property=name, value=values.tidy(cell.strip())
        )
        tally.wrong(entry.row.number, problem, part.key.name, cell)

    async def _touched(self, tx: Transaction, ids: Collection[int]) -> dict[int, Touched]:
        if self.checking or not ids:
            return {}
        return await import_marks.touched(tx, self.number, ids)

    async def _touch_new(self, tx: Transaction, ids: Mapping[int, int]) -> None:
        if ids and not self.checking:
            await import_marks.touch_new(tx, self.number, [(record, row) for row, record in ids.items()])

    async def _touch(
        self,
        tx: Transaction,
        entries: Sequence[Entry],
        ids: Mapping[int, int],
        fresh: Mapping[int, int],
        touched: Mapping[int, Touched],
    ) -> None:
        """Note which records rows were about."""
        if self.checking:
            return
        if not self.plan.repeats:
            new = {row: record for row, record in fresh.items() if record not in touched}
            await self._touch_new(tx, new)
            rest = {
                record: Touched(row, None)
                for row, record in ids.items()
                if row not in new and record not in touched
            }
        else:
            rest = {}
            for entry in entries:
                record = ids.get(entry.row.number)
                if record is None:
                    continue
                known = rest.get(record) or touched.get(record) or Touched(entry.row.number, ())
                names = dict.fromkeys((*(known.given or ()), *entry.given))
                rest[record] = Touched(known.row, tuple(names))
        if rest:
            await import_marks.touch(tx, self.number, rest)

    # --- what is told --------------------------------------------------------------------------------------------

    def _fine(self, part: Part, entry: Entry, outcome: Outcome[Any], tally: Tally) -> bool:
        for problem in outcome.problems:
            self._told(part, entry, problem, tally)
        if outcome.value is None:
            self.before.failed(part, entry)
        return outcome.value is not None

    def _told(self, part: Part, entry: Entry, problem: Problem, tally: Tally) -> None:
        # The path of a problem with a value ends with the property's name.
        name = problem.path[-1] if problem.path else None
        column = next((column for column in part.columns if column.property.name == name), None)
        if column is None:
            tally.wrong(entry.row.number, problem)
        else:
            cell = entry.row.cells[column.index]
            tally.wrong(entry.row.number, column.told(problem, cell), column.name, cell)


def _ends(plan: Plan) -> list[tuple[str, str]]:
    return [(link.near.object_type.name, link.far.object_type.name) for link in plan.links]
