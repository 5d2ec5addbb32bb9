"""Leaving a workflow before its end: for what a record is like, because it is gone, or because somebody says so."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from engine.evaluation.listening import WORKFLOW
from engine.evaluation.telling import tell
from engine.workflows import published
from engine.workflows.rules import Reason
from storage import outbox, records, standings
from storage.changes import ChangeKind, Event, EventKind, QueuedChange
from storage.database import Transaction
from storage.enrollments import Entry
from storage.standings import Leaving, LeftRow

GONE = (ChangeKind.ARCHIVED, ChangeKind.MERGED)

# What histories say of it.
_WORDS = {
    Reason.RECORD_ARCHIVED: "The record was archived.",
    Reason.SUPPRESSED: "The record came to meet what keeps it out.",
    Reason.TRIGGER_NOT_MET: "The record no longer meets the triggers.",
}


def because(reason: Reason) -> dict[str, Any]:
    """Why an enrollment ended, as histories keep it."""
    return {"code": reason.value, "message": _WORDS[reason]}


async def end(tx: Transaction, leaving: Sequence[Leaving]) -> list[LeftRow]:
    """End enrollments and tell of it; what they have asked for outside is not wanted any more."""
    left = await standings.leave(tx, leaving)
    if not left:
        return []
    errors = {one.enrollment_id: one.error for one in leaving}
    types = tx.catalogue.workflows
    moved: dict[int, list[int]] = defaultdict(list)
    for row in left:
        details: dict[str, Any] = {"enrollment": row.id, "status": row.status}
        if errors[row.id] is not None:
            details["error"] = errors[row.id]
        tx.happened(
            Event(EventKind.UNENROLLED, types.get(row.workflow_id), row.record_id, row.workflow_id, details)
        )
        moved[row.workflow_id].append(row.record_id)
    await outbox.cancel(tx, [row.id for row in left])
    told = {
        one: [(ChangeKind.ENROLLMENT_MOVED, types[one], ids)] for one, ids in moved.items() if one in types
    }
    await tell(tx, WORKFLOW, told, max(row.depth for row in left))
    return left


async def gone(tx: Transaction, changes: Sequence[QueuedChange]) -> None:
    """Let records that are archived or merged away leave all workflows, those that are off as well."""
    touched = sorted({change.record_id for change in changes if change.kind in GONE})
    if not touched:
        return
    active = await standings.active_of(tx, touched)
    if not active:
        return
    rows = {row.id: row for row in await records.rows(tx, touched) if row is not None}
    leaving = []
    for enrollment_id, _, record_id in active:
        row = rows[record_id]
        # What holds now decides: it may have come back.
        if row.merged_into_id is not None:
            error = {"code": "RECORD_MERGED", "message": "The record was merged into another."}
            leaving.append(Leaving(enrollment_id, "MERGED", error))
        elif row.archived_at is not None:
            leaving.append(Leaving(enrollment_id, "UNENROLLED", because(Reason.RECORD_ARCHIVED)))
    await end(tx, leaving)


async def others(tx: Transaction, entered: Sequence[Entry]) -> None:
    """Let those who have entered a workflow leave the others that it says."""
    by_workflow: dict[int, set[int]] = defaultdict(set)
    for one in entered:
        by_workflow[one.workflow_id].add(one.record_id)
    keys = sorted(
        {(one.workflow_id, one.revision, tx.catalogue.workflows[one.workflow_id]) for one in entered}
    )
    found = await published.definitions_of(tx, tx.catalogue, keys) if keys else []
    leaving: dict[int, Leaving] = {}
    for (workflow_id, _, _), (_, _, conditions, _) in zip(keys, found, strict=True):
        if conditions is None or conditions.leaves == ():
            continue
        error = {
            "code": "ENROLLED_ELSEWHERE",
            "message": "The record was enrolled in a workflow that ends this.",
        }
        for enrollment_id, other, _ in await standings.active_of(
            tx, by_workflow[workflow_id], conditions.leaves
        ):
            if other != workflow_id:
                leaving[enrollment_id] = Leaving(enrollment_id, "UNENROLLED", error)
    await end(tx, [leaving[one] for one in sorted(leaving)])
