"""Actions on labels of records that are associated already: apply, update, remove."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from engine import associations
from engine.associations import AssociationResult, Pair
from engine.batches import Mode, Outcome
from engine.problems import Problem, at
from engine.workflows.actions import equality, targets
from engine.workflows.actions.equality import BoundEquality
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.order import Order, Writes, in_order, order_of
from engine.workflows.actions.tally import Tally, of_pair
from engine.workflows.actions.targets import BoundAssociated, Found
from engine.workflows.advance import Result
from engine.workflows.definition.actions import ApplyLabel, RemoveLabels, UpdateLabels
from engine.workflows.triggers import bind_where
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.database import Transaction
from storage.enrollments import EnrollmentRow
from storage.filters.tree import Filter, Reach

Outcomes: TypeAlias = list[Outcome[AssociationResult]]
# What is done to pairs of an enrolled record and an associated one.
Command: TypeAlias = Callable[[Transaction, Sequence[tuple[int, int]]], Awaitable[Outcomes]]


class NothingToRemove(Problem):
    """Name the labels to remove; without labels, say that the association is removed (`withAssociation`)."""


class SameLabel(Problem):
    """The label "{label}" cannot be updated to itself."""


@dataclass(frozen=True, slots=True)
class BoundLabels:
    """One of these actions: which associated records, on which conditions, and the command for the pairs."""

    of: BoundAssociated
    own_where: Filter | None
    match: BoundEquality | None
    command: Command
    order: Order


def _bound(
    action: ApplyLabel | UpdateLabels | RemoveLabels,
    object_type: ObjectTypeRow,
    catalogue: Catalogue,
    reach: Reach,
    to: ObjectTypeRow,
    command: Command,
) -> BoundLabels:
    where = bind_where(action.where, to, catalogue)
    own_where = bind_where(action.own_where, object_type, catalogue, "ownWhere")
    match = None
    if action.match is not None:
        with at("match"):
            match = equality.bind(action.match, object_type, to)
    # Any label of the pair may come or go, `primary` among them, and that both ways.
    pair = [*catalogue.between(object_type.id, to.id), *catalogue.between(to.id, object_type.id)]
    writes = Writes(
        type_ids=frozenset(row.id for row in pair), object_type_ids=frozenset((object_type.id, to.id))
    )
    order = order_of(writes, [(where, to.id), (own_where, object_type.id)], catalogue)
    return BoundLabels(BoundAssociated(to, reach, where), own_where, match, command, order)


def _bind_apply(action: ApplyLabel, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundLabels:
    to = targets.bind_type(action.to, catalogue)
    targets.bind_label(action.label, object_type, to, catalogue)

    async def add(tx: Transaction, pairs: Sequence[tuple[int, int]]) -> Outcomes:
        named = [Pair(*pair, (action.label,)) for pair in pairs]
        return await associations.add_labels(tx, named, Mode.PER_ITEM, first_primary=False)

    reach = targets.bind_reach(None, object_type, to, catalogue)
    return _bound(action, object_type, catalogue, reach, to, add)


def _bind_update(action: UpdateLabels, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundLabels:
    to = targets.bind_type(action.to, catalogue)
    targets.bind_label(action.label, object_type, to, catalogue)
    targets.bind_label(action.new_label, object_type, to, catalogue, "newLabel")
    if action.label == action.new_label:
        raise SameLabel(label=action.label, path=("newLabel",))

    async def update(tx: Transaction, pairs: Sequence[tuple[int, int]]) -> Outcomes:
        named = [Pair(*pair, (action.label, action.new_label)) for pair in pairs]
        return await associations.update_labels(tx, named, Mode.PER_ITEM, replace=action.replace)

    reach = targets.bind_reach((action.label,), object_type, to, catalogue)
    bound = _bound(action, object_type, catalogue, reach, to, update)
    if object_type.id == to.id and bound.order is Order.FREE:
        # Two enrolled records may be each other's: what one of them updates, the other one looks at.
        return replace(bound, order=Order.SHARED)
    return bound


def _bind_remove(action: RemoveLabels, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundLabels:
    to = targets.bind_type(action.to, catalogue)
    if not action.labels and not action.with_association:
        raise NothingToRemove(path=("labels",))
    reach = targets.bind_reach(action.labels, object_type, to, catalogue)

    async def remove(tx: Transaction, pairs: Sequence[tuple[int, int]]) -> Outcomes:
        if not action.labels:
            return await associations.dissociate(tx, [Pair(*pair) for pair in pairs], Mode.PER_ITEM)
        named = [Pair(*pair, action.labels) for pair in pairs]
        return await associations.remove_labels(
            tx, named, Mode.PER_ITEM, with_association=action.with_association
        )

    return _bound(action, object_type, catalogue, reach, to, remove)


async def _carry_out(batch: Batch, bound: BoundLabels) -> list[Result]:
    async def touched(standing: Sequence[EnrollmentRow]) -> Sequence[Collection[int]]:
        return (await targets.pages_of(batch.tx, standing, bound.of.reach))[0]

    async def work(some: Batch) -> list[Result]:
        return await _round(some, bound)

    return await in_order(batch, bound.order, touched, work)


async def _round(batch: Batch, bound: BoundLabels) -> list[Result]:
    tx, standing = batch.tx, batch.standing
    found = await targets.find(tx, standing, bound.of)
    owners = {one.record_id for one in standing if targets.living(found.rows, one.record_id)}
    owners = await targets.meeting(tx, bound.own_where, owners, batch.object_type.id)
    asked = [
        (one, other)
        for one, others in zip(standing, found.chosen, strict=True)
        if one.record_id in owners
        for other in others
        if bound.match is None or _matching(bound.match, found, one, other)
    ]
    tally = Tally(standing, found.rows)
    if asked:
        outcomes = await bound.command(tx, [(one.record_id, other) for one, other in asked])
        for (one, other), outcome in zip(asked, outcomes, strict=True):
            if outcome.value is None:
                tally.refused(one, outcome.problem, other)
            else:
                tally.changed(one, *of_pair(one.record_id, other, outcome.value, tx.catalogue))
    # Who does not meet the condition need not be asked about the others.
    return tally.results(
        [found.goes_on(n) if one.record_id in owners else None for n, one in enumerate(standing)]
    )


def _matching(match: BoundEquality, found: Found, one: EnrollmentRow, other: int) -> bool:
    own = found.rows[one.record_id].properties.get(match.own.name)
    return match.holds(own, found.rows[other].properties.get(match.other.name))


APPLY = Handler(_bind_apply, _carry_out)
UPDATE = Handler(_bind_update, _carry_out)
REMOVE = Handler(_bind_remove, _carry_out)
