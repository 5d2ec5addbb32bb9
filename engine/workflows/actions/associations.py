"""The action that associates records because their values are equal."""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import associations
from engine.associations import Pair
from engine.batches import Mode
from engine.problems import Problem, at
from engine.workflows.actions import equality, targets
from engine.workflows.actions.equality import BoundEquality
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.order import Order, Writes, in_order, order_of
from engine.workflows.actions.tally import Tally, of_pair
from engine.workflows.advance import Postponed, Result
from engine.workflows.definition.actions import CreateAssociations
from engine.workflows.definition.parts import Matching
from engine.workflows.triggers import bind_where
from storage import equal_values, records
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.database import Transaction
from storage.enrollments import EnrollmentRow
from storage.filters.tree import Filter
from storage.records import RecordRow

# Where no index helps, records are read page by page, so many pages a transaction.
PAGE = 10_000
PAGES_A_BATCH = 10


class NegatedMatch(Problem):
    """Records are associated because their values are equal; `negated` goes with labels."""


@dataclass(frozen=True, slots=True)
class BoundCreate:
    """`CreateAssociations` with what it names."""

    to: ObjectTypeRow
    match: BoundEquality
    labels: tuple[str, ...]
    where: Filter | None
    order: Order


@dataclass(frozen=True, slots=True)
class Candidates:
    """For each enrollment the records that may match, rising; behind which one it goes on (None: those were all)."""

    ids: Sequence[Sequence[int]]
    after: Sequence[int | None]


def _bind(action: CreateAssociations, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundCreate:
    to = targets.bind_type(action.to, catalogue)
    with at("match"):
        if action.match.negated:
            raise NegatedMatch(path=("negated",))
        match = equality.bind(action.match, object_type, to)
    if action.label is not None:
        targets.bind_label(action.label, object_type, to, catalogue)
    where = bind_where(action.where, to, catalogue)
    pair = [*catalogue.between(object_type.id, to.id), *catalogue.between(to.id, object_type.id)]
    writes = Writes(
        type_ids=frozenset(row.id for row in pair), object_type_ids=frozenset((object_type.id, to.id))
    )
    order = order_of(writes, [(where, to.id)], catalogue)
    return BoundCreate(to, match, () if action.label is None else (action.label,), where, order)


async def _create(batch: Batch, bound: BoundCreate) -> list[Result]:
    async def touched(standing: Sequence[EnrollmentRow]) -> Sequence[Collection[int]]:
        rows = await _own(batch.tx, standing)
        return (await _candidates(batch.tx, bound, standing, rows)).ids

    async def work(some: Batch) -> list[Result]:
        return await _round(some, bound)

    return await in_order(batch, bound.order, touched, work)


async def _round(batch: Batch, bound: BoundCreate) -> list[Result]:
    tx, standing = batch.tx, batch.standing
    before = await _own(tx, standing)
    found = await _candidates(tx, bound, standing, before)
    rows = await records.lock(tx, [*before, *(other for ids in found.ids for other in ids)])
    pairs = [
        (one, other)
        for one, ids in zip(standing, found.ids, strict=True)
        if targets.living(rows, one.record_id)
        for other in ids
        if other != one.record_id and targets.living(rows, other) and _equal(bound.match, rows, one, other)
    ]
    met = await targets.meeting(tx, bound.where, {other for _, other in pairs}, bound.to.id)
    asked = [(one, other) for one, other in pairs if other in met]
    tally = Tally(standing, rows)
    if asked:
        wanted = [Pair(one.record_id, other, bound.labels) for one, other in asked]
        outcomes = await associations.associate(tx, wanted, Mode.PER_ITEM)
        for (one, other), outcome in zip(asked, outcomes, strict=True):
            if outcome.value is None:
                tally.refused(one, outcome.problem, other)
            else:
                tally.changed(one, *of_pair(one.record_id, other, outcome.value, tx.catalogue))
    results = tally.results(found.after)
    name = bound.match.own.name
    # Whose value became another one before it was held has not been looked for yet.
    return [
        result
        if before[one.record_id].properties.get(name) == rows[one.record_id].properties.get(name)
        else Postponed(tx.now)
        for one, result in zip(standing, results, strict=True)
    ]


async def _own(tx: Transaction, standing: Sequence[EnrollmentRow]) -> dict[int, RecordRow]:
    found = await records.rows(tx, [one.record_id for one in standing])
    return {row.id: row for row in found if row is not None}


def _equal(match: BoundEquality, rows: Mapping[int, RecordRow], one: EnrollmentRow, other: int) -> bool:
    own = rows[one.record_id].properties.get(match.own.name)
    return match.holds(own, rows[other].properties.get(match.other.name))


async def _candidates(
    tx: Transaction, bound: BoundCreate, standing: Sequence[EnrollmentRow], rows: Mapping[int, RecordRow]
) -> Candidates:
    limit = max(targets.PAIRS_A_BATCH // len(standing), 1)
    values = [rows[one.record_id].properties.get(bound.match.own.name) for one in standing]
    if bound.match.matching is Matching.EXACT:
        return await _by_index(tx, bound, standing, values, limit)
    return await _by_page(tx, bound, standing, values, limit)


async def _by_index(
    tx: Transaction, bound: BoundCreate, standing: Sequence[EnrollmentRow], values: Sequence[Any], limit: int
) -> Candidates:
    """One statement for all distinct values; of several choices the first leads to those that have all."""
    places: dict[tuple[Any, int], int] = {}
    asked: list[tuple[Any, int] | None] = []
    for one, value in zip(standing, values, strict=True):
        first = value[0] if isinstance(value, list) and value else value
        place = None if first is None or first == [] else (first, one.resume_after or 0)
        asked.append(place)
        if place is not None:
            places.setdefault(place, len(places))
    found = await equal_values.holders(tx, bound.match.other, list(places), limit) if places else []
    ids = [[] if place is None else found[places[place]] for place in asked]
    return Candidates(ids, [some[-1] if len(some) == limit else None for some in ids])


async def _by_page(
    tx: Transaction, bound: BoundCreate, standing: Sequence[EnrollmentRow], values: Sequence[Any], limit: int
) -> Candidates:
    """All values of the property are read, some pages at a time, and each is looked up among those of the batch."""
    keys = [bound.match.key(value) for value in values]
    found: dict[Hashable, list[int]] = {key: [] for key in keys if key is not None}
    afters = [one.resume_after or 0 for one in standing]
    last = min((after for key, after in zip(keys, afters, strict=True) if key is not None), default=0)
    reached: int | None = last if found else None
    wanted = {text.strip() for key in found for text in ([key] if isinstance(key, str) else _choices(key))}
    within = bound.match.matching is Matching.EMAIL_DOMAIN
    for _ in range(PAGES_A_BATCH):
        if reached is None:
            break
        page = await equal_values.scan(tx, bound.match.other, reached, PAGE, wanted, within=within)
        for record_id, value in page.values:
            key = bound.match.key(value)
            if key in found:
                found[key].append(record_id)
        reached = page.last
    ids, on = [], []
    for key, after in zip(keys, afters, strict=True):
        mine = [] if key is None else [one for one in found[key] if one > after][:limit]
        ids.append(mine)
        full = mine[-1] if len(mine) == limit else None
        # Who began further on than this round came goes on from there.
        further = None if key is None or reached is None else max(reached, after)
        on.append(full if full is not None else further)
    return Candidates(ids, on)


def _choices(key: Hashable) -> Iterator[str]:
    """The texts of which a key is made, where values are several choices."""
    if isinstance(key, frozenset):
        yield from key


CREATE = Handler(_bind, _create)
