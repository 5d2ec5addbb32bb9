"""Actions: what a whole batch of enrollments does to the account's own data, through the same commands as the API."""

from collections.abc import Sequence
from typing import Any, TypeAlias, assert_never

from engine import associations, filters, ids
from engine import records as record_commands
from engine.associations import Pair
from engine.batches import Mode
from engine.problems import Problem
from engine.workflows.advance import Done, Failed, Gone, Partly, Result
from engine.workflows.definition import BoundAction, BoundApplyLabel, BoundSetProperty, told
from storage import associations as stored_associations
from storage import records, walks
from storage.database import Transaction
from storage.enrollments import EnrollmentRow
from storage.records import RecordRow

# How many pairs of records one transaction labels; an enrollment with more neighbours goes on in the next.
PAIRS_A_BATCH = 2_000

Standings: TypeAlias = Sequence[EnrollmentRow]


async def carry_out(tx: Transaction, action: BoundAction, standing: Standings) -> list[Result]:
    """Carry out one action for enrollments of one workflow, in the order given.

    What cannot be done for one of them is its own result; an error of the database is everybody's.
    """
    match action:
        case BoundSetProperty():
            return await _set_property(tx, action, standing)
        case BoundApplyLabel():
            return await _apply_label(tx, action, standing)
        case _:
            assert_never(action)


async def _set_property(tx: Transaction, action: BoundSetProperty, standing: Standings) -> list[Result]:
    rows = await records.lock(tx, [one.record_id for one in standing])
    name = action.property.name
    live = [one for one in standing if rows[one.record_id].archived_at is None]
    outcomes = await record_commands.update(
        tx, [(one.record_id, {name: action.value}) for one in live], Mode.PER_ITEM
    )
    found: dict[int, Result] = {}
    for one, outcome in zip(live, outcomes, strict=True):
        old = rows[one.record_id].properties.get(name)
        if outcome.value is None:
            found[one.id] = Failed(_told(outcome.problem))
            continue
        new = outcome.value.properties.get(name)
        changed = {"record": one.record_id, "property": name, "old": old, "new": new}
        found[one.id] = Done(() if old == new else (changed,))
    return [found.get(one.id) or _gone(rows[one.record_id]) for one in standing]


async def _apply_label(tx: Transaction, action: BoundApplyLabel, standing: Standings) -> list[Result]:
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
            errors.setdefault(one.id, _told(outcome.problem) | {"associated": ids.encode("record", other)})
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
        return _gone(row)
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


def _gone(row: RecordRow) -> Gone:
    return Gone(merged=row.merged_into_id is not None)


def _told(problem: Problem | None) -> dict[str, Any]:
    assert problem is not None  # an outcome without a value has one
    return told(problem)
