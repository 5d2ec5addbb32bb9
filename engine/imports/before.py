"""Rows about a record that earlier rows were about: duplicates, or more of the same; within a batch and before it."""

import contextlib
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import values
from engine.imports.entries import Entry
from engine.imports.plan import Part, Plan
from engine.imports.problems import ConflictInFile, DuplicateInFile
from engine.imports.tally import Tally
from engine.problems import Problem
from storage import import_marks, records
from storage.catalogue import PropertyRow
from storage.database import Transaction
from storage.import_marks import Touched


@dataclass(frozen=True, slots=True)
class Known:
    """The records that keys lead to, and of which of them earlier rows have been."""

    records: Mapping[str | int, int]
    touched: Mapping[int, Touched]


class Before:
    """What a batch knows of the rows before it. Records tell of rows that went well; keys are kept of the others."""

    def __init__(self, plan: Plan, number: int, checking: bool, failures: bool) -> None:
        self._plan = plan
        self._number = number
        self._checking = checking
        self.failures = failures
        # What is to be remembered of this batch: digests of keys with their first rows.
        self.met: dict[bytes, int] = {}

    def failed(self, part: Part, entry: Entry) -> None:
        """A row was refused: the first row of a key counts all the same."""
        if entry.key is not None and not self._checking:
            self.met.setdefault(digest_of(part.name, entry.key), entry.row.number)

    async def keep(self, tx: Transaction) -> None:
        """Remember the keys of this batch."""
        if self.met:
            self.failures = True
            await import_marks.add_keys(tx, self._number, self.met)

    async def first(
        self,
        tx: Transaction,
        part: Part,
        entries: Sequence[Entry],
        known: Known,
        tally: Tally,
    ) -> list[Entry]:
        """The entries that may be written: the first about each record, and later ones that do not contradict it."""
        if part.key is None:
            return list(entries)
        first: dict[str | int, int] = {}
        given: dict[str | int, dict[str, Any]] = {}
        earlier = await self._earlier(tx, part, entries)
        if self._plan.repeats:
            given = await self._given(tx, known)
        fit = []
        for entry in entries:
            key = entry.key
            if key is None:
                fit.append(entry)
                continue
            before = first.get(key) or earlier.get(key)
            touched = known.touched.get(known.records.get(key, 0))
            if before is None and touched is not None:
                before = touched.row
            if before is None or before >= entry.row.number:
                first[key] = entry.row.number
                given[key] = {**given.get(key, {}), **_normal(part, entry.given)}
                fit.append(entry)
            elif not self._plan.repeats:
                cell = entry.row.cells[part.key.index]
                problem: Problem = DuplicateInFile(value=values.tidy(cell), first=before)
                tally.wrong_in(entry.row, part.key, problem)
            elif self._agrees(part, entry, given.setdefault(key, {}), before, tally):
                fit.append(entry)
        return fit

    def _agrees(self, part: Part, entry: Entry, given: dict[str, Any], before: int, tally: Tally) -> bool:
        """Whether a later row says nothing else of a record than the rows before it did."""
        mine = _normal(part, entry.given)
        for column in part.columns:
            name = column.property.name
            key = part.key is not None and column.property is part.key.property
            if not key and name in mine and name in given and mine[name] != given[name]:
                problem = ConflictInFile(first=before, held=values.shown(given[name]))
                tally.wrong_in(entry.row, column, problem)
                return False
        given.update({name: value for name, value in mine.items() if name not in given})
        return True

    async def _given(self, tx: Transaction, known: Known) -> dict[str | int, dict[str, Any]]:
        """What rows of earlier batches gave to the records of these keys: what those hold now."""
        met = {key: record for key, record in known.records.items() if record in known.touched}
        rows = await records.rows(tx, list(met.values())) if met else []
        given: dict[str | int, dict[str, Any]] = {}
        for (key, record), row in zip(met.items(), rows, strict=True):
            names = known.touched[record].given or ()
            if row is not None:
                given[key] = {name: row.properties[name] for name in names if name in row.properties}
        return given

    async def _earlier(self, tx: Transaction, part: Part, entries: Sequence[Entry]) -> dict[str | int, int]:
        """The rows of earlier batches in which keys stood that no record tells of: in a check, or where they failed."""
        if not self._checking and not self.failures:
            return {}
        digests: dict[bytes, str | int] = {}
        for entry in entries:
            if entry.key is not None:
                digest = digest_of(part.name, entry.key)
                digests[digest] = entry.key
                if self._checking:
                    self.met.setdefault(digest, entry.row.number)
        met = await import_marks.keys(tx, self._number, list(digests)) if digests else {}
        return {digests[digest]: row for digest, row in met.items()}

    async def awaited(self, tx: Transaction, unique: PropertyRow, keys: Collection[str]) -> set[str]:
        """In a check: those of the keys under which a row of the file, up to this batch, would make a record."""
        if not self._checking:
            return set()
        digests = {
            digest_of(part.name, key): key
            for part in self._plan.parts
            if part.unique is not None and part.unique.id == unique.id
            for key in keys
        }
        met = await import_marks.keys(tx, self._number, list(digests)) if digests else {}
        return {key for digest, key in digests.items() if digest in met or digest in self.met}


def digest_of(part: str, key: str | int) -> bytes:
    """Under which a key is remembered."""
    text = f"{part}\0{key}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=12).digest()


def _normal(part: Part, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they would be kept; those that are wrong are left to the command."""
    kept = {}
    for column in part.columns:
        name = column.property.name
        if name in given:
            with contextlib.suppress(Problem):
                kept[name] = values.normalize(column.property, given[name])
    return kept
