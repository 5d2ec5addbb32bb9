"""Actions on associations and labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import associations, filters, ids
from engine.associations import Pair
from engine.batches import Mode
from engine.problems import Problem, Refused, UnknownObjectType
from engine.workflows.actions.handler import Batch, Handler, told
from engine.workflows.actions.properties import gone
from engine.workflows.advance import Done, Failed, Partly, Result
from engine.workflows.definition.actions import ApplyLabel
from storage import associations as stored_associations
from storage import records, walks
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow
from storage.database import Transaction
from storage.enrollments import EnrollmentRow
from storage.filters.tree import Filter
from storage.records import RecordRow

# How many pairs of records one transaction labels; an enrollment with more neighbours goes on in the next.
PAIRS_A_BATCH = 2_000


class NoLabel(Problem):
    """There is no label "{label}" from {object_type} to {to}; an action can apply: {known}."""


@dataclass(frozen=True, slots=True)
class BoundApplyLabel:
    """`ApplyLabel` with the label found; `plain` is the unlabelled type of the same pair."""

    action: ApplyLabel
    type: AssociationTypeRow
    plain: AssociationTypeRow
    where: Filter | None


def _bind_apply(action: ApplyLabel, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundApplyLabel:
    to = catalogue.by_name.get(action.to)
    if to is None:
        raise UnknownObjectType(name=action.to, path=("to",))
    label = catalogue.label(object_type.id, to.id, action.label)
    if label is None:
        known = [row.name for row in catalogue.between(object_type.id, to.id) if row.name is not None]
        raise NoLabel(
            label=action.label, object_type=object_type.name, to=to.name, known=known, path=("label",)
        )
    where = None
    if action.where is not None:
        try:
            where = filters.bind(action.where, to, catalogue)
        except Refused as refused:
            raise Refused([problem.at("where") for problem in refused.problems]) from None
    return BoundApplyLabel(action, label, catalogue.unlabelled(object_type.id, to.id), where)


async def _apply(batch: Batch, action: BoundApplyLabel) -> list[Result]:
    tx, standing = batch.tx, batch.standing
    # The batch's pairs are shared out evenly; who has fewer is done, who has more goes on next time.
    limit = max(PAIRS_A_BATCH // len(standing), 1)
    to_type = action.type.to_object_type_id
    pages = await walks.neighbours(
        tx,
        [(one.record_id, one.resume_after or 0) for one in standing],
        to_object_type_id=to_type,
        type_id=action.plain.id,
        limit=limit,
    )
    # Records are locked before anything is decided, all in id order: who is associated stays so.
    rows = await records.lock(
        tx, [one.record_id for one in standing] + [other for page in pages for other in page]
    )
    wanted = await _meeting(tx, action, {other for page in pages for other in page if _living(rows, other)})
    asked = [
        (one, other)
        for one, page in zip(standing, pages, strict=True)
        if _living(rows, one.record_id)
        for other in page
        if other in wanted
    ]
    held = await stored_associations.held(tx, [(one.record_id, to_type, other) for one, other in asked])
    still = [pair for pair, types in zip(asked, held, strict=True) if types]
    outcomes = await associations.add_labels(
        tx,
        [Pair(one.record_id, other, (action.action.label,)) for one, other in still],
        Mode.PER_ITEM,
        first_primary=False,
    )
    changes: dict[int, list[dict[str, Any]]] = {one.id: [] for one in standing}
    errors: dict[int, dict[str, Any]] = {}
    for (one, other), outcome in zip(still, outcomes, strict=True):
        if outcome.value is None:
            errors.setdefault(one.id, told(outcome.problem) | {"associated": ids.encode("record", other)})
        elif outcome.value.added:
            change = {"record": one.record_id, "associated": other, "label": action.action.label}
            changes[one.id].append(change)
    return [
        _labelled(one, rows[one.record_id], page, limit, tuple(changes[one.id]), errors.get(one.id))
        for one, page in zip(standing, pages, strict=True)
    ]


def _labelled(
    one: EnrollmentRow,
    row: RecordRow,
    page: Sequence[int],
    limit: int,
    changes: tuple[dict[str, Any], ...],
    error: dict[str, Any] | None,
) -> Result:
    if row.archived_at is not None:
        return gone(row)
    if len(page) == limit:
        return Partly(page[-1], changes, error)
    return Done(changes) if error is None else Failed(error, changes)


async def _meeting(tx: Transaction, action: BoundApplyLabel, others: set[int]) -> set[int]:
    if action.where is None or not others:
        return others
    (met,) = await filters.matches_many(
        tx, tx.catalogue, [(action.where, sorted(others), action.type.to_object_type_id)], now=tx.now
    )
    return {record_id for record_id, holds in met.items() if holds}


def _living(rows: dict[int, RecordRow], record_id: int) -> bool:
    return rows[record_id].archived_at is None


APPLY = Handler(_bind_apply, _apply)
