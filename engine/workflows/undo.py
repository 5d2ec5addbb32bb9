"""Undoing an enrollment: what its steps changed is taken back, the last first, where nobody has changed it since.

Once only: whoever asks again is told what was done then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import ids
from engine.problems import NotFound, Problem
from engine.workflows import leaving
from engine.workflows.undoing import ENDED, Change, Undoing, family, runs
from storage import enrollment_pages, enrollments, records, retries, undoing
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.enrollments import EnrollmentRow, StepRow
from storage.standings import Leaving

# The line of history that tells of it has this in place of an action's id.
ACTION, OUTCOME = "undo", "UNDONE"
# One transaction holds all that it changes.
CHANGES_LIMIT = 10_000


class UndoTooLarge(Problem):
    """The enrollment has made {count} changes, and at most {limit} can be undone at once. Its history lists them."""


@dataclass(frozen=True, slots=True)
class Undone:
    """The enrollment as it is now, and `lines`: what became of each change, the last one first.

    Each is `{"undone": the change, "step": number, "status", "reason", "current"}`, as histories keep it. `status` is
    UNDONE, ALREADY (it was as before), CONFLICT (it is left as it is) or IMPOSSIBLE. `before`: it had been done before.
    """

    row: EnrollmentRow
    lines: Sequence[Mapping[str, Any]]
    before: bool


async def undo(tx: Transaction, enrollment_id: int) -> Undone:
    """Undo what an enrollment has changed; one that is active ends first. Raises `NotFound` and `UndoTooLarge`."""
    held = await retries.lock(tx, [enrollment_id])
    if not held:
        name = ids.encode("enrollment", enrollment_id)
        raise NotFound(kind="enrollment", name=name, path=("enrollmentId",))
    (row,) = held
    (steps,) = await enrollment_pages.steps(tx, [enrollment_id])
    if row.undone_at is not None:
        return Undone(row, next(step.changes for step in steps if step.outcome == OUTCOME), True)
    changes = [Change(step.n, step.at, told) for step in steps for told in step.changes]
    changes = [one for one in reversed(changes) if family(one)]
    if len(changes) > CHANGES_LIMIT:
        raise UndoTooLarge(count=len(changes), limit=CHANGES_LIMIT, path=("enrollmentId",))
    if row.status == "ACTIVE":
        await leaving.end(tx, [Leaving(row.id, "UNENROLLED", ENDED)])
    await _take_back(tx, changes)
    lines = [_line(one) for one in changes]
    await enrollments.insert_steps(tx, [StepRow(row.id, row.steps, ACTION, tx.now, OUTCOME, lines, None)])
    await undoing.note(tx, row.id)
    details = {"enrollment": row.id, "step": row.steps}
    object_type_id = tx.catalogue.workflows.get(row.workflow_id)
    tx.happened(Event(EventKind.ENROLLMENT_UNDONE, object_type_id, row.record_id, row.workflow_id, details))
    (after,) = await retries.lock(tx, [enrollment_id])
    return Undone(after, lines, False)


async def _take_back(tx: Transaction, changes: Sequence[Change]) -> None:
    until: dict[int, datetime] = {}
    for one in changes:
        for key in ("record", "associated", "created"):
            if isinstance(number := one.told.get(key), int):
                until[number] = max(until.get(number, one.at), one.at)
    made = [one.told["created"] for one in changes if "created" in one.told]
    rows = await records.rows(tx, made) if made else []
    taking = Undoing(tx, until, {found.id: found for found in rows if found is not None})
    for run in runs(changes):
        await taking.undo(run)


def _line(one: Change) -> dict[str, Any]:
    line: dict[str, Any] = {"undone": dict(one.told), "step": one.step, "status": one.status}
    if one.reason is not None:
        line["reason"] = one.reason
    if one.current is not None:
        line["current"] = one.current
    return line
