"""What happens to associations when their records are archived, restored or merged."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from engine.associations.kinds import Kind, Kinds
from engine.associations.plan import Book, Full, PairKey, excluded, reached
from engine.associations.problems import AssociationRemoved, LabelRemoved, LabelsExclusive
from engine.associations.refusals import fillers, in_words
from engine.associations.writing import write
from engine.ids import encode
from engine.problems import Problem
from storage import associations
from storage.associations import Neighbour
from storage.database import Transaction
from storage.records import RecordRow

# Neighbours that one round of statements takes on; rounds follow each other until a hub is done.
CHUNK = 1_000


async def on_archive(tx: Transaction, rows: Sequence[RecordRow]) -> None:
    """Let records that are being archived no longer count with their neighbours; their associations stay.

    The records must be locked.
    """
    if rows:
        await associations.hide(tx, sorted(row.id for row in rows))


async def before_restore(tx: Transaction, ids: Sequence[int]) -> None:
    """Hold records with the neighbours that restoring may change; to be called before anything else is held.

    Whoever held the records first, and their neighbours afterwards, would sooner or later wait in a circle.
    """
    await associations.hold_around(tx, ids, _bound(Kinds(tx.catalogue)))


async def before_merge(tx: Transaction, survivor_id: int, merged_id: int) -> None:
    """Hold two records with all the neighbours that merging may change; to be called before anything else."""
    await associations.hold_around(tx, [survivor_id, merged_id], None)


async def on_restore(tx: Transaction, rows: Sequence[RecordRow]) -> dict[int, list[Problem]]:
    """Let restored records count again; what no longer fits limits, primary or exclusivity is removed.

    The records must be locked, and not archived any more. Returns the problems by record id.
    """
    if not rows:
        return {}
    kinds = Kinds(tx.catalogue)
    ids = sorted(row.id for row in rows)
    bound = _bound(kinds)
    await associations.lock_around(tx, ids)
    returning = _Returning(frozenset(ids), kinds)
    after = (0, 0, 0, 0)
    while page := await associations.returning(tx, ids, bound, after, CHUNK):
        for from_id, _, to_id, type_id, n in page:
            returning.take(from_id, to_id, kinds[type_id], n)
        after = page[-1][:4]
    await associations.show(tx, ids)
    return await _remove(tx, returning.refused, kinds)


def _bound(kinds: Kinds) -> list[int]:
    """The types under which an association may no longer fit."""
    rows = map(kinds.__getitem__, kinds.catalogue.association_types)
    return [
        kind.id
        for kind in rows
        if kind.limit is not None or kind.inverse_limit is not None or kind.group is not None
    ]


@dataclass(frozen=True, slots=True)
class _Refused:
    """An association type that a record does not get (back); the whole association if it is the plain type."""

    from_id: int
    to_id: int
    kind: Kind
    why: Full | LabelsExclusive


@dataclass(slots=True)
class _Returning:
    """Re-admits the associations of restored records one by one, in id order, as if each record came alone."""

    ids: frozenset[int]
    kinds: Kinds
    refused: list[_Refused] = field(default_factory=list)
    # (record, type) → how many are visible now, as far as known.
    counts: dict[PairKey, int] = field(default_factory=dict)
    _pair: PairKey = (0, 0)
    _beside: list[Kind] = field(default_factory=list)
    _gone: bool = False

    def take(self, from_id: int, to_id: int, kind: Kind, neighbours: int) -> None:
        """One association; `neighbours` is the counter at `to_id`. They come in key order, plain types first."""
        if to_id in self.ids and to_id > from_id:
            return  # It is told again when the second of the two comes back.
        if self._pair != (from_id, to_id):
            self._pair, self._beside, self._gone = (from_id, to_id), [], False
        if self._gone:
            return
        here, there = (from_id, kind.id), (to_id, kind.inverse_id)
        self.counts.setdefault(there, 0 if to_id in self.ids else neighbours)
        why = reached(from_id, to_id, kind, self.counts, self.kinds) or excluded(kind, self._beside)
        if why is not None:
            self.refused.append(_Refused(from_id, to_id, kind, why))
            self._gone = kind.name is None
            return
        self._beside.append(kind)
        self.counts[here] = self.counts.get(here, 0) + 1
        self.counts[there] += 1


async def _remove(tx: Transaction, refused: Sequence[_Refused], kinds: Kinds) -> dict[int, list[Problem]]:
    """Remove what was not re-admitted, and tell why, by restored record."""
    problems: dict[int, list[Problem]] = {}
    for start in range(0, len(refused), CHUNK):
        part = refused[start : start + CHUNK]
        await associations.hold(tx, {end for one in part for end in (one.from_id, one.to_id)})
        whole = [one for one in part if one.kind.name is None]
        keys = [(one.from_id, one.kind.to_object_type_id, one.to_id) for one in whole]
        types = dict(zip(keys, await associations.held(tx, keys), strict=True))
        book = Book({}, {}, {})
        for one in part:
            here = (one.from_id, one.kind.to_object_type_id, one.to_id)
            # The labels of an association that goes whole go with it; each is taken once.
            for type_id in types[here] if one.kind.name is None else [one.kind.id]:
                _enter(book, one.from_id, one.to_id, kinds[type_id], False, kinds)
        for one, problem in zip(part, await _told(tx, part, book, kinds), strict=True):
            problems.setdefault(one.from_id, []).append(problem)
        await write(tx, book.facts)
    return problems


async def _told(tx: Transaction, refused: Sequence[_Refused], book: Book, kinds: Kinds) -> list[Problem]:
    """The problem of each, in order."""
    filling = await fillers(tx, [one.why for one in refused if isinstance(one.why, Full)], book)
    problems: list[Problem] = []
    for one in refused:
        if isinstance(one.why, Full):
            why: Problem = in_words(one.why, filling[one.why.record_id, one.why.kind.id], kinds)
        else:
            why = one.why
        record, other = encode("record", one.from_id), encode("record", one.to_id)
        if one.kind.name is None:
            problems.append(
                AssociationRemoved(record=record, other=other, reason=why.message, cause=why.code)
            )
        else:
            label = one.kind.label
            problems.append(
                LabelRemoved(record=record, other=other, label=label, reason=why.message, cause=why.code)
            )
    return problems


def _enter(book: Book, from_id: int, to_id: int, kind: Kind, added: bool, kinds: Kinds) -> None:
    """Enter a fact that is told from `from_id`, at which `kind` stands."""
    if from_id < to_id:
        book.enter(from_id, to_id, kind, False, added)
    else:
        book.enter(to_id, from_id, kinds[kind.inverse_id], True, added)


async def on_merge(tx: Transaction, survivor: RecordRow, merged: RecordRow) -> list[Problem]:
    """Move the associations of `merged` to `survivor`, as far as they fit; returns the problems of the others.

    Both records must be locked and still count with their neighbours: `on_archive` is not called for
    `merged`, which has no associations afterwards. A hub's neighbours are moved in bounded rounds.
    """
    kinds = Kinds(tx.catalogue)
    problems: list[Problem] = []
    while moving := await associations.neighbours(tx, merged.id, CHUNK):
        records = await associations.hold(tx, {survivor.id, merged.id, *(one.id for one in moving)})
        keys = [(survivor.id, one.object_type_id, one.id) for one in moving]
        held = await associations.held(tx, keys)
        counts = await associations.lock_counts(tx, _involved(survivor.id, merged.id, moving, kinds))
        hidden = {one.id for one in moving if records[one.id].archived}
        book, refused = _move(survivor.id, merged.id, moving, held, counts, hidden, kinds)
        problems += await _told(tx, refused, book, kinds)
        await write(tx, book.facts, hidden)
    return problems


def _involved(survivor_id: int, merged_id: int, moving: Sequence[Neighbour], kinds: Kinds) -> set[PairKey]:
    """All counters that moving these neighbours may change."""
    keys: set[PairKey] = set()
    for one in moving:
        for type_id in one.type_ids:
            keys |= {(survivor_id, type_id), (merged_id, type_id), (one.id, kinds[type_id].inverse_id)}
    return keys


def _move(
    survivor_id: int,
    merged_id: int,
    moving: Sequence[Neighbour],
    held: Sequence[Sequence[int]],
    counts: Mapping[PairKey, int],
    hidden: Collection[int],
    kinds: Kinds,
) -> tuple[Book, list[_Refused]]:
    """What comes and goes so that `moving` become neighbours of the survivor, and what does not fit. Pure.

    `held[i]` are the types under which the survivor already has `moving[i]`. Archived neighbours come along
    unasked: whether they fit is seen when they are restored.
    """
    book = Book({}, {}, {})
    refused: list[_Refused] = []
    mine = {type_id: n for (record_id, type_id), n in counts.items() if record_id == survivor_id}
    for one, has in zip(moving, held, strict=True):
        for type_id in one.type_ids:
            _enter(book, merged_id, one.id, kinds[type_id], False, kinds)
        if one.id == survivor_id:
            continue
        beside = [kinds[type_id] for type_id in has]
        for type_id in one.type_ids:
            kind = kinds[type_id]
            if type_id in has:
                continue
            # The neighbour only exchanges one record for another: its own limits are not touched.
            if one.id not in hidden:
                n = mine.get(type_id, 0)
                full = Full(survivor_id, kind, n) if kind.limit is not None and n >= kind.limit else None
                why = full or excluded(kind, beside)
                if why is not None:
                    refused.append(_Refused(survivor_id, one.id, kind, why))
                    if kind.name is None:
                        break
                    continue
                mine[type_id] = n + 1
            beside.append(kind)
            _enter(book, survivor_id, one.id, kind, True, kinds)
    return book, refused
