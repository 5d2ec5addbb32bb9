"""Associations from rows: both ends found, labels read, and all of a batch written by one command."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine import associations as commands
from engine import tables, values
from engine.associations import Pair
from engine.batches import Mode
from engine.ids import decode
from engine.imports.before import Before
from engine.imports.files import Row
from engine.imports.labels import Labels
from engine.imports.plan import End, Key, Link, Place, Plan
from engine.imports.problems import KeyMissing, UnknownKey
from engine.imports.tally import CREATED, UNCHANGED, UPDATED, Tally
from engine.problems import MalformedId, Problem
from engine.values import tidy
from storage import records, unique_values
from storage.catalogue import Catalogue
from storage.database import Transaction

# Under which associations are counted.
ASSOCIATIONS = "associations"


@dataclass(frozen=True, slots=True)
class _Keys:
    """What a cell names: one key as a whole, or several."""

    whole: str
    parts: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Everything that may be a key."""
        return (self.whole, *self.parts) if self.whole else ()


@dataclass(frozen=True, slots=True)
class _Named:
    """Whom a row names at one end: records, keys that nobody has, and whether some are of records to come."""

    ids: list[int]
    unknown: list[str] = field(default_factory=list)
    hoped: bool = False


_NOBODY = _Named([])


class Linking:
    """The associations of one batch."""

    def __init__(self, plan: Plan, catalogue: Catalogue) -> None:
        self._plan = plan
        self._labels = [
            Labels(catalogue, link.near.object_type.name, link.far.object_type.name) for link in plan.links
        ]
        # The labels that each row names, by link.
        self._named: list[dict[int, tuple[str, ...]]] = [{} for _ in plan.links]

    def read(self, row: Row, tally: Tally) -> None:
        """Look at the labels of a row, before any of its records is written."""
        for n, link in enumerate(self._plan.links):
            if link.labels_column is not None:
                names = self._labels[n].of(row.cells[link.labels_column.index])
                if isinstance(names, Problem):
                    tally.wrong_in(row, link.labels_column, names)
                else:
                    self._named[n][row.number] = names

    def _labels_of(self, n: int, link: Link, row: Row) -> tuple[str, ...] | Problem:
        known = self._named[n].get(row.number)
        if known is not None:
            return known
        return () if link.labels_column is None else self._labels[n].of(row.cells[link.labels_column.index])

    async def write(
        self,
        tx: Transaction,
        rows: Sequence[Row],
        ids: Mapping[str, Mapping[int, int]],
        before: Before,
        tally: Tally,
    ) -> list[tuple[int, int]]:
        """Associate what the rows name; the pairs to which something was added."""
        pairs: list[tuple[int, int]] = []
        for n, link in enumerate(self._plan.links):
            nears = await self._ends(tx, link.near, rows, ids, before)
            fars = await self._ends(tx, link.far, rows, ids, before)
            asked: list[tuple[Row, Pair]] = []
            for row in rows:
                near, far = nears.get(row.number, _NOBODY), fars.get(row.number, _NOBODY)
                labels = self._labels_of(n, link, row)
                self._missing(row, link, near, far, tally)
                if isinstance(labels, Problem):
                    self._refused(row, link, labels, tally)
                    continue
                names = tuple(dict.fromkeys((*link.labels, *labels))) if link.labels else labels
                asked += [(row, Pair(one, other, names)) for one in near.ids for other in far.ids]
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

    async def _ends(
        self,
        tx: Transaction,
        end: End,
        rows: Sequence[Row],
        ids: Mapping[str, Mapping[int, int]],
        before: Before,
    ) -> Mapping[int, _Named]:
        """Whom each row names at one end, by row number."""
        if end.part is not None:
            return {number: _Named([record]) for number, record in ids[end.part].items()}
        key = end.key
        assert key is not None  # an end is a part, or has a key
        cells = {row.number: _keys(row.cells[key.index]) for row in rows}
        if key.property is None:
            return await _by_id(tx, end, cells)
        canonical = {
            text: _canonical(key, text) for text in {one for keys in cells.values() for one in keys.all}
        }
        wanted = {text for text in canonical.values() if text is not None}
        found = await unique_values.find(tx, key.property.id, sorted(wanted))
        hoped = await before.awaited(tx, key.property, wanted - found.keys())
        named: dict[int, _Named] = {}
        known = found.keys() | hoped
        for number, keys in cells.items():
            # A key that holds the separator is one all the same, where somebody has it.
            whole = canonical.get(keys.whole)
            texts = [keys.whole] if whole in known else keys.parts
            if len(texts) == 1 and (only := canonical[texts[0]]) in found and only is not None:
                # Nearly always.
                named[number] = _Named([found[only]])
                continue
            named[number] = _Named(
                [found[text] for one in texts if (text := canonical[one]) is not None and text in found],
                [one for one in texts if canonical[one] not in known],
                any(canonical[one] in hoped for one in texts),
            )
        return named

    def _missing(self, row: Row, link: Link, near: _Named, far: _Named, tally: Tally) -> None:
        for named, end in ((near, link.near), (far, link.far)):
            if end.key is None:
                continue
            for text in named.unknown:
                problem = UnknownKey(
                    object_type=end.object_type.name, property=end.key.called(), value=tidy(text)
                )
                tally.wrong_in(row, end.key, problem)
            # A record without an association is a record.
            if not (named.ids or named.unknown or named.hoped or self._plan.parts):
                tally.wrong_in(row, end.key, KeyMissing(column=tidy(end.key.name)))

    def _refused(self, row: Row, link: Link, problem: Problem, tally: Tally) -> None:
        match problem.path[:1]:
            case ("fromId",) if link.near.key is not None:
                place: Place | None = link.near.key
            case ("toId",) if link.far.key is not None:
                place = link.far.key
            case _:
                place = link.labels_column
        if place is None:
            tally.wrong(row.number, problem)
        else:
            tally.wrong_in(row, place, problem)


async def _by_id(tx: Transaction, end: End, cells: Mapping[int, _Keys]) -> dict[int, _Named]:
    """The records of this type whose ids stand in the cells, by row number."""
    asked: dict[str, int] = {}
    for text in {text for keys in cells.values() for text in keys.parts}:
        with contextlib.suppress(MalformedId):
            asked[text] = decode("record", text)
    rows = await records.resolve(tx, list(asked.values()))
    found = {
        text: row.id
        for text, row in zip(asked, rows, strict=True)
        if row is not None and row.object_type_id == end.object_type.id
    }
    return {
        number: _Named(
            [found[text] for text in keys.parts if text in found],
            [text for text in keys.parts if text not in found],
        )
        for number, keys in cells.items()
    }


def _keys(cell: str) -> _Keys:
    text = cell.strip()
    if ";" not in text and "\\" not in text:
        return _Keys(text, (text,) if text else ())
    return _Keys(text, tuple(dict.fromkeys(tables.split(text))))


def _canonical(key: Key, text: str) -> str | None:
    """The text under which a key is kept; None where it is no value of the property."""
    assert key.property is not None  # ids are read otherwise
    assert key.parse is not None
    # The guard is of the cell, and gone by now.
    plain = key.property.type in ("STRING", "PHONE")
    try:
        value = values.normalize(key.property, values.parse(key.property, text) if plain else key.parse(text))
    except Problem:
        return None
    return None if value is None else values.canonical(key.property, value)
