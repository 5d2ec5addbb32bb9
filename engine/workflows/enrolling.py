"""Enrolling whom a change lets in: which candidates are to be examined, and what comes of the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.evaluation.listening import WORKFLOW, Candidates, Cause
from engine.evaluation.telling import tell
from engine.filters.foreseeing import Foreseen
from engine.filters.matching import Asked
from engine.workflows import published
from engine.workflows.published import Published
from storage import enrollments
from storage.changes import ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.enrollments import Entry

# So many workflow steps in a row, each the cause of the next, are taken for a loop.
DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Enrolling:
    """The workflows that are on, each with the records that it may enroll and why."""

    found: Candidates
    running: Sequence[Published]
    wanted: Mapping[int, Sequence[int]]

    def asked(self) -> list[Asked]:
        """The filters to be answered, trigger by trigger."""
        return published.asked([(workflow, self.wanted[workflow.id]) for workflow in self.running])


async def prepare(tx: Transaction, found: Candidates) -> Enrolling:
    """Leave out whom a workflow has enrolled before, and workflows that are off or broken."""
    if not found:
        return Enrolling({}, (), {})
    pairs = [(workflow_id, record_id) for workflow_id in found for record_id in found[workflow_id]]
    known = await enrollments.entered(tx, pairs)
    wanted: dict[int, list[int]] = {}
    for workflow_id, record_id in sorted(set(pairs) - known):
        wanted.setdefault(workflow_id, []).append(record_id)
    running = await published.load(tx, tx.catalogue, list(wanted)) if wanted else []
    usable = [workflow for workflow in running if workflow.enabled and workflow.filters is not None]
    return Enrolling(found, usable, wanted)


async def settle(tx: Transaction, enrolling: Enrolling, answers: Sequence[Mapping[int, Foreseen]]) -> None:
    """Enroll the records for which a trigger holds; `answers` are those to `asked`."""
    if not enrolling.running:
        return
    entries = [
        entry(workflow, record_id, trigger, enrolling.found[workflow.id][record_id])
        for workflow, matched in zip(
            enrolling.running, published.first_met(enrolling.running, answers), strict=True
        )
        for record_id, trigger in matched.items()
        # A walk that outlived a turning off and on again tells of what was before.
        if enrolling.found[workflow.id][record_id].version >= workflow.enabled_version
    ]
    await begin(tx, entries, {workflow.id: workflow.object_type_id for workflow in enrolling.running})


def entry(workflow: Published, record_id: int, trigger: int, cause: Cause) -> Entry:
    """The enrollment of a record that meets trigger number `trigger`; stopped at once where it goes in circles."""
    reason = {"trigger": trigger, **cause.told}
    if cause.depth < DEEPEST:
        return Entry(workflow.id, workflow.revision, record_id, cause.depth, reason)
    error = {
        "code": "LOOP_GUARD",
        "message": f"{cause.depth} workflow steps in a row led here; this is taken for a loop.",
    }
    return Entry(workflow.id, workflow.revision, record_id, cause.depth, reason, "FAILED", error)


async def begin(tx: Transaction, entries: Sequence[Entry], object_types: dict[int, int]) -> int:
    """Begin enrollments and tell of them; how many are new. `object_types` are the workflows' own."""
    begun = await enrollments.enter(tx, entries)
    for enrollment_id, new in begun:
        payload: dict[str, Any] = {
            "enrollment": enrollment_id,
            "revision": new.revision,
            "reason": new.reason,
        }
        if new.error is not None:
            payload["error"] = new.error
        tx.happened(
            Event(
                EventKind.ENROLLED if new.error is None else EventKind.ENROLLMENT_FAILED,
                object_types[new.workflow_id],
                new.record_id,
                new.workflow_id,
                payload,
            )
        )
    entered: dict[int, list[int]] = {}
    for _, new in begun:
        entered.setdefault(new.workflow_id, []).append(new.record_id)
    moved = {
        one: [(ChangeKind.ENROLLMENT_MOVED, object_types[one], records)] for one, records in entered.items()
    }
    await tell(tx, WORKFLOW, moved, max((new.depth for _, new in begun), default=0))
    return len(begun)
