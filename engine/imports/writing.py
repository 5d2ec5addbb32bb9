"""A batch of rows, written by the same commands as everything else: the records of each part, then associations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine import records as commands
from engine.batches import Mode, Outcome
from engine.imports.before import Before, Known
from engine.imports.binding import bind
from engine.imports.entries import Entry, read, tell, tell_unknown
from engine.imports.files import Row
from engine.imports.linking import Linking
from engine.imports.loading import Loader, loader
from engine.imports.plan import Doing, Part, Plan
from engine.imports.tally import CREATED, UNCHANGED, UPDATED, Tally
from storage import import_marks, records, unique_values
from storage.catalogue import Catalogue, PropertyRow
from storage.database import Transaction
from storage.import_marks import Touched
from storage.records import RecordRow

T = TypeVar("T")


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
    """Writes one batch of an import, as often as it is tried.

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
        linking = Linking(self.plan, tx.catalogue)
        sound, entries = read(self.plan, rows, linking.read, tally)
        ids: dict[str, dict[int, int]] = {}
        failed = set[int]()
        for part in self.plan.parts:
            mine = [entry for entry in entries[part.name] if entry.row.number not in failed]
            ids[part.name] = await self._part(tx, part, mine, tally)
            failed |= {entry.row.number for entry in mine} - ids[part.name].keys()
        if self.plan.links:
            rest = [row for row in sound if row.number not in failed]
            pairs = await linking.write(tx, rest, ids, self.before, tally)
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

    # --- parts ---------------------------------------------------------------------------------------------------

    async def _part(
        self, tx: Transaction, part: Part, entries: Sequence[Entry], tally: Tally
    ) -> dict[int, int]:
        """Write the records of a part; {row: record}."""
        known = await self._known(tx, part, entries)
        fit = await self.before.first(tx, part, entries, known, tally)
        if part.doing is Doing.UPDATE or part.by_ids:
            return await self._update(tx, part, fit, known, tally)
        if part.doing is Doing.CREATE or part.unique is None:
            ids = await self._create(tx, part, fit, tally)
            await self._touch_new(tx, ids)
            return ids
        return await self._upsert(tx, part, part.unique, fit, known, tally)

    async def _known(self, tx: Transaction, part: Part, entries: Sequence[Entry]) -> Known:
        """What is there already of what these entries name."""
        found: dict[str | int, int] = {}
        if part.unique is not None:
            wanted = sorted({entry.key for entry in entries if isinstance(entry.key, str)})
            found.update(await unique_values.find(tx, part.unique.id, wanted))
        elif part.by_ids:
            found.update(await self._numbered(tx, part, entries))
        if not found or self.checking:
            return Known(found, {})
        return Known(found, await import_marks.touched(tx, self.number, found.values()))

    async def _create(
        self, tx: Transaction, part: Part, entries: Sequence[Entry], tally: Tally
    ) -> dict[int, int]:
        """Make a record of each entry; {row: record}."""
        ids: dict[int, int] = {}
        asked = [entry.given for entry in entries]
        made = await commands.create(tx, part.object_type, asked, Mode.PER_ITEM)
        for entry, outcome in zip(entries, made, strict=True):
            if (record := self._done(part, entry, outcome, tally)) is not None:
                ids[entry.row.number] = record.id
                tally.did(entry.row.number, part.name, CREATED)
        return ids

    async def _upsert(
        self,
        tx: Transaction,
        part: Part,
        unique: PropertyRow,
        entries: Sequence[Entry],
        known: Known,
        tally: Tally,
    ) -> dict[int, int]:
        """Update the records that have these unique values, and make the others; {row: record}."""
        asked = [entry.given for entry in entries]
        outcomes = await commands.upsert(tx, part.object_type, unique.name, asked, Mode.PER_ITEM)
        ids: dict[int, int] = {}
        fresh: dict[int, int] = {}
        for entry, outcome in zip(entries, outcomes, strict=True):
            if (upserted := self._done(part, entry, outcome, tally)) is None:
                continue
            record, number = upserted.row, entry.row.number
            ids[number] = record.id
            if upserted.created:
                fresh[number] = record.id
                tally.did(number, part.name, CREATED)
            else:
                tally.did(number, part.name, _changed(tx, record))
        await self._touch(tx, entries, ids, fresh, known)
        return ids

    async def _update(
        self, tx: Transaction, part: Part, entries: Sequence[Entry], known: Known, tally: Tally
    ) -> dict[int, int]:
        """Update what is there; by record ids, rows without one make records where they may; {row: record}."""
        asked, changes, new = list[Entry](), list[tuple[int, dict[str, Any]]](), list[Entry]()
        for entry in entries:
            if entry.key is None:
                new.append(entry)
            elif entry.key in known.records:
                asked.append(entry)
                changes.append((known.records[entry.key], entry.given))
            else:
                tell_unknown(part, entry, tally)
        ids: dict[int, int] = {}
        for entry, outcome in zip(asked, await commands.update(tx, changes, Mode.PER_ITEM), strict=True):
            if (record := self._done(part, entry, outcome, tally)) is not None:
                ids[entry.row.number] = record.id
                tally.did(entry.row.number, part.name, _changed(tx, record))
        fresh = await self._create(tx, part, new, tally) if new else {}
        ids |= fresh
        await self._touch(tx, entries, ids, fresh, known)
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

    async def _touch_new(self, tx: Transaction, ids: Mapping[int, int]) -> None:
        if ids and not self.checking:
            await import_marks.touch_new(tx, self.number, [(record, row) for row, record in ids.items()])

    async def _touch(
        self,
        tx: Transaction,
        entries: Sequence[Entry],
        ids: Mapping[int, int],
        fresh: Mapping[int, int],
        known: Known,
    ) -> None:
        """Note which records rows were about."""
        if self.checking:
            return
        if not self.plan.repeats:
            new = {row: record for row, record in fresh.items() if record not in known.touched}
            await self._touch_new(tx, new)
            rest = {
                record: Touched(row, None)
                for row, record in ids.items()
                if row not in new and record not in known.touched
            }
        else:
            rest = {}
            for entry in entries:
                record = ids.get(entry.row.number)
                if record is None:
                    continue
                before = rest.get(record) or known.touched.get(record) or Touched(entry.row.number, ())
                names = dict.fromkeys((*(before.given or ()), *entry.given))
                rest[record] = Touched(before.row, tuple(names))
        if rest:
            await import_marks.touch(tx, self.number, rest)

    def _done(self, part: Part, entry: Entry, outcome: Outcome[T], tally: Tally) -> T | None:
        """What came of an entry; None where it was refused, and that is told."""
        for problem in outcome.problems:
            tell(part, entry, problem, tally)
        if outcome.value is None:
            self.before.failed(part, entry)
        return outcome.value


def _changed(tx: Transaction, record: RecordRow) -> str:
    return UPDATED if record.updated_at == tx.now else UNCHANGED
