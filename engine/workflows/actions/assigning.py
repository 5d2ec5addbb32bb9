"""Writing one property for a whole batch: whose, in which order, and what came of it for each enrollment."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine import records as record_commands
from engine.batches import Mode
from engine.problems import NotFound, Problem, at
from engine.values import checker, same
from engine.workflows.actions import targets
from engine.workflows.actions.handler import Batch
from engine.workflows.actions.order import Order, Writes, in_order, order_of
from engine.workflows.actions.tally import Tally
from engine.workflows.actions.targets import BoundAssociated, Found
from engine.workflows.advance import Result
from engine.workflows.definition.parts import Associated
from storage import records
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.database import Transaction
from storage.enrollments import EnrollmentRow

# What a record's value is to be, of what it is now; an action may have nothing to say to some enrollments (None).
New: TypeAlias = Callable[[Any], Any]
News: TypeAlias = Sequence[New | None]


class NotWritable(Problem):
    """The property "{property}" is calculated or read-only: an action cannot set it."""


class ValueRequired(Problem):
    """The property "{property}" must have a value: an action cannot clear it."""


class UniqueProperty(Problem):
    """The values of "{property}" must be unique: an action cannot give one value to many records."""


@dataclass(frozen=True, slots=True)
class BoundWrite:
    """What all three have: which property of whose is written, and in which order enrollments go."""

    property: PropertyRow
    of: BoundAssociated | None
    order: Order


# --- what is named ------------------------------------------------------------------------------------------


def live(object_type: ObjectTypeRow, name: str, *path: str | int) -> PropertyRow:
    """The property of a type that is called `name`."""
    found = object_type.live(name)
    if found is None:
        raise NotFound(kind=f"property of {object_type.name}", name=name, path=path)
    return found


def writable(object_type: ObjectTypeRow, name: str, key: str) -> PropertyRow:
    prop = live(object_type, name, key)
    if prop.read_only or prop.calculated:
        raise NotWritable(property=prop.name, path=(key,))
    return prop


def associated(
    of: Associated | None, key: str, object_type: ObjectTypeRow, catalogue: Catalogue
) -> BoundAssociated | None:
    if of is None:
        return None
    with at(key):
        return targets.bind(of, object_type, catalogue)


def write_of(prop: PropertyRow, of: BoundAssociated | None, catalogue: Catalogue) -> BoundWrite:
    order = Order.FREE
    if of is not None:
        order = order_of(writes(prop), [(of.where, of.to.id)], catalogue)
    return BoundWrite(prop, of, order)


def writes(prop: PropertyRow) -> Writes:
    return Writes(property_ids=frozenset((prop.id,)), object_type_ids=frozenset((prop.object_type_id,)))


def later(write: BoundWrite, *orders: Order) -> BoundWrite:
    """The same in the strictest of these orders."""
    return BoundWrite(write.property, write.of, max((write.order, *orders), key=lambda order: order.value))


# --- what is written ----------------------------------------------------------------------------------------


async def write_in_order(
    batch: Batch, write: BoundWrite, work: Callable[[Batch], Awaitable[list[Result]]]
) -> list[Result]:
    async def touched(standing: Sequence[EnrollmentRow]) -> Sequence[Collection[int]]:
        if write.of is None:
            return [()] * len(standing)
        return (await targets.pages_of(batch.tx, standing, write.of.reach))[0]

    return await in_order(batch, write.order, touched, work)


async def find(batch: Batch, write: BoundWrite, also: Iterable[int] = ()) -> Found:
    """The records that are written for each enrollment, held together with the enrolled ones and those in `also`."""
    if write.of is not None:
        return await targets.find(batch.tx, batch.standing, write.of, also)
    own = [one.record_id for one in batch.standing]
    rows = await records.lock(batch.tx, [*own, *also])
    mine = [[record_id] if targets.living(rows, record_id) else [] for record_id in own]
    return Found(rows, mine, mine, len(own) + 1)


async def written(batch: Batch, write: BoundWrite, found: Found, news: News) -> list[Result]:
    """Write the new values, one after the other where several enrollments write to one record."""
    prop, rows = write.property, found.rows
    check = checker(prop)
    tally = Tally(batch.standing, rows)
    now: dict[int, Any] = {}
    asked: list[tuple[EnrollmentRow, int, Any]] = []
    for one, others, new in zip(batch.standing, found.chosen, news, strict=True):
        if new is None or not targets.living(rows, one.record_id):
            continue
        for record_id in others:
            held = now.get(record_id, rows[record_id].properties.get(prop.name))
            try:
                wanted = new(held)
                if held is not None and type(wanted) is type(held) and same(prop, held, wanted):
                    continue
                value = check(wanted)
            except Problem as problem:
                tally.refused(one, problem, record_id)
            else:
                now[record_id] = value
                asked.append((one, record_id, value))
    await _update(batch.tx, prop, asked, found, tally)
    return tally.results([found.goes_on(n) for n in range(len(batch.standing))])


async def _update(
    tx: Transaction,
    prop: PropertyRow,
    asked: Sequence[tuple[EnrollmentRow, int, Any]],
    found: Found,
    tally: Tally,
) -> None:
    """One command for all, which takes several inputs about one record in their order."""
    if not asked:
        return
    outcomes = await record_commands.update(
        tx, [(record_id, {prop.name: value}) for _, record_id, value in asked], Mode.PER_ITEM, held=found.rows
    )
    now: dict[int, Any] = {}
    for (one, record_id, value), outcome in zip(asked, outcomes, strict=True):
        if outcome.value is None:
            tally.refused(one, outcome.problem, record_id)
            continue
        old = now.get(record_id, found.rows[record_id].properties.get(prop.name))
        now[record_id] = value
        if not same(prop, old, value):
            tally.changed(one, {"record": record_id, "property": prop.name, "old": old, "new": value})
