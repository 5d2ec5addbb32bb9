"""One after the other, or all at once: what one enrollment's action does may be what the next one's looks at.

The result of a batch equals its enrollments' actions carried out one after the other, in order. Commands see to that
for what they write; but a filter that looks at what the same action writes must be asked anew each time.
"""

import enum
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from engine import filters
from engine.workflows.actions.handler import Batch
from engine.workflows.advance import Postponed, Result
from storage import records
from storage.catalogue import Catalogue
from storage.enrollments import EnrollmentRow
from storage.filters.tree import Filter

# How many rounds one transaction takes; who is left over comes again, as if nothing had been.
ROUNDS = 50


class Order(enum.Enum):
    """How far enrollments of one batch get in each other's way."""

    # What is written is not looked at.
    FREE = enum.auto()
    # Those that share a record go one after the other.
    SHARED = enum.auto()
    # What is looked at lies further away: all go one after the other.
    ALONE = enum.auto()


@dataclass(frozen=True, slots=True)
class Writes:
    """What an action writes: properties of an object type, or association types."""

    property_ids: frozenset[int] = frozenset()
    type_ids: frozenset[int] = frozenset()
    object_type_ids: frozenset[int] = frozenset()


def order_of(writes: Writes, read: Iterable[tuple[Filter | None, int]], catalogue: Catalogue) -> Order:
    """The order that filters, each on records of an object type, ask for."""
    found = Order.FREE
    for where, object_type_id in read:
        if where is None:
            continue
        for reference in filters.references(where, object_type_id, catalogue):
            match reference.kind:
                case "PROPERTY":
                    hit = reference.id in writes.property_ids
                case "CHANGED":
                    hit = bool(writes.property_ids) and reference.id in writes.object_type_ids
                case "ASSOCIATION":
                    hit = reference.id in writes.type_ids
                case "CONNECTED":
                    hit = bool(writes.type_ids) and reference.id in writes.object_type_ids
                case _:
                    hit = False
            if hit:
                if reference.path:
                    return Order.ALONE
                found = Order.SHARED
    return found


async def in_order(
    batch: Batch,
    order: Order,
    touched: Callable[[Sequence[EnrollmentRow]], Awaitable[Sequence[Collection[int]]]],
    work: Callable[[Batch], Awaitable[list[Result]]],
) -> list[Result]:
    """Carry out `work` in rounds of enrollments that do not get in each other's way.

    `touched` tells which records each enrollment concerns, its own left out.
    """
    standing = batch.standing
    if order is Order.FREE or len(standing) == 1:
        return await work(batch)
    shared = await touched(standing)
    concerned = [{one.record_id, *others} for one, others in zip(standing, shared, strict=True)]
    # All at once, in id order: what a round holds, no other round waits for.
    await records.lock(batch.tx, [record_id for ids in concerned for record_id in ids])
    rounds = [[one] for one in standing] if order is Order.ALONE else _rounds(standing, concerned)
    found: dict[int, Result] = {}
    for some in rounds[:ROUNDS]:
        results = await work(replace(batch, standing=some))
        found |= {one.id: result for one, result in zip(some, results, strict=True)}
    return [found.get(one.id, Postponed(batch.tx.now)) for one in standing]


def _rounds(
    standing: Sequence[EnrollmentRow], concerned: Sequence[Collection[int]]
) -> list[list[EnrollmentRow]]:
    """Each enrollment in the first round after all earlier ones with which it shares a record."""
    last: dict[int, int] = {}
    rounds: list[list[EnrollmentRow]] = []
    for one, ids in zip(standing, concerned, strict=True):
        n = max((last.get(record_id, -1) for record_id in ids), default=-1) + 1
        if n == len(rounds):
            rounds.append([])
        rounds[n].append(one)
        last |= dict.fromkeys(ids, n)
    return rounds
