"""Enrolling records in other workflows, and taking them out: the enrolled one, or those associated with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import ids
from engine.batches import BATCH_LIMIT, Mode, Outcome
from engine.filters.problems import UnknownWorkflow, WorkflowOfAnotherType
from engine.problems import MalformedId, at
from engine.values import tidy
from engine.workflows.actions import targets
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.tally import Tally
from engine.workflows.advance import Done, Ends, Failed, Partly, Result
from engine.workflows.definition.actions import EnrollIn, Unenroll
from storage import enrollment_pages, records, standings
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.enrollments import EnrollmentRow
from storage.records import RecordRow

UNENROLLED = "UNENROLLED"
# Why a record may stay out without anything being wrong.
KEPT_OUT = ("SUPPRESSED", "GOAL_MET")
ALREADY = "ACTIVE_NOW"


@dataclass(frozen=True, slots=True)
class BoundEnrolling:
    """A workflow (None: this very one), and whom it is about (None: the enrolled ones)."""

    workflow_id: int | None
    of: targets.BoundAssociated | None


def _bind(action: EnrollIn | Unenroll, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundEnrolling:
    of = None
    if action.of is not None:
        with at("of"):
            of = targets.bind(action.of, object_type, catalogue)
    about = object_type if of is None else of.to
    if action.workflow is None:
        number, kind = None, object_type.id
    else:
        with at("workflow"):
            number, kind = _workflow(action.workflow, catalogue)
    if kind != about.id:
        raise WorkflowOfAnotherType(
            workflow=tidy(action.workflow or "this one"),
            of=catalogue.object_types[kind].name,
            object_type=about.name,
            path=("workflow",),
        )
    return BoundEnrolling(number, of)


def _workflow(text: str, catalogue: Catalogue) -> tuple[int, int]:
    """Its number, and its object type."""
    try:
        number = ids.decode("workflow", text)
    except MalformedId:
        raise UnknownWorkflow(workflow=tidy(text)) from None
    kind = catalogue.workflows.get(number)
    if kind is None:
        raise UnknownWorkflow(workflow=tidy(text))
    return number, kind


@dataclass(frozen=True, slots=True)
class Meant:
    """Whom each enrollment of a batch is about, their records as they stand, and where each goes on."""

    records: Sequence[Sequence[int]]
    rows: Mapping[int, RecordRow]
    after: Sequence[int | None]


async def _meant(batch: Batch, bound: BoundEnrolling) -> Meant:
    standing = batch.standing
    if bound.of is not None:
        found = await targets.find(batch.tx, standing, bound.of)
        after = [found.goes_on(n) for n in range(len(standing))]
        return Meant(found.chosen, found.rows, after)
    rows = await records.lock(batch.tx, [one.record_id for one in standing])
    own = [[one.record_id] if targets.living(rows, one.record_id) else [] for one in standing]
    return Meant(own, rows, [None] * len(standing))


# --- enrolling ----------------------------------------------------------------------------------------------


async def _enroll(batch: Batch, bound: BoundEnrolling) -> list[Result]:
    # Enrolling reads definitions, whose check reads this.
    from engine.workflows import by_hand

    tx, standing = batch.tx, batch.standing
    assert bound.workflow_id is not None  # enrolling names its workflow
    meant = await _meant(batch, bound)
    tally = Tally(standing, meant.rows)
    # Whom several want in, the first one brings in.
    first: dict[int, EnrollmentRow] = {}
    for one, several in zip(standing, meant.records, strict=True):
        for record_id in several:
            first.setdefault(record_id, one)
    wanted = sorted(first)
    for start in range(0, len(wanted), BATCH_LIMIT):
        part = wanted[start : start + BATCH_LIMIT]
        outcomes = await by_hand.enroll(tx, bound.workflow_id, part, Mode.PER_ITEM)
        for record_id, outcome in zip(part, outcomes, strict=True):
            _note(tally, first[record_id], record_id, bound.workflow_id, outcome)
    return await _ended(batch, tally.results(meant.after))


def _note(tally: Tally, one: EnrollmentRow, record_id: int, workflow_id: int, outcome: Outcome[int]) -> None:
    line: dict[str, Any] = {"record": record_id, "workflow": workflow_id}
    if outcome.problem is None:
        tally.changed(one, line | {"enrollment": outcome.value, "change": "ENROLLED"})
    elif outcome.problem.code in KEPT_OUT:
        tally.changed(one, line | {"change": "KEPT_OUT", "reason": outcome.problem.code})
    elif outcome.problem.code != ALREADY:
        tally.refused(one, outcome.problem, record_id)


async def _ended(batch: Batch, results: list[Result]) -> list[Result]:
    """The results of those whose own enrollment goes on; the other workflow may have ended it, and told so."""
    found = await enrollment_pages.by_ids(batch.tx, [one.id for one in batch.standing])
    return [
        result
        if row is None or row.status == "ACTIVE" or not isinstance(result, Done | Partly | Failed)
        else Ends(row.status, result.changes, row.error, told=True)
        for row, result in zip(found, results, strict=True)
    ]


# --- taking out ---------------------------------------------------------------------------------------------


async def _unenroll(batch: Batch, bound: BoundEnrolling) -> list[Result]:
    from engine.workflows import by_hand

    tx, standing = batch.tx, batch.standing
    workflow_id = batch.workflow_id if bound.workflow_id is None else bound.workflow_id
    meant = await _meant(batch, bound)
    tally = Tally(standing, meant.rows)
    # In the order of their enrollments: who is taken out before its turn does nothing more.
    own = {one.record_id: one for one in standing} if workflow_id == batch.workflow_id else {}
    out: set[int] = set()
    first: dict[int, EnrollmentRow] = {}
    for one, several in zip(standing, meant.records, strict=True):
        if one.id in out:
            continue
        for record_id in several:
            if (other := own.get(record_id)) is None:
                first.setdefault(record_id, one)
            elif other.id not in out:
                out.add(other.id)
                tally.changed(one, _left(record_id, workflow_id, other.id))
    wanted = sorted(first)
    for start in range(0, len(wanted), BATCH_LIMIT):
        part = wanted[start : start + BATCH_LIMIT]
        active = {row[2]: row[0] for row in await standings.active_of(tx, part, [workflow_id])}
        outcomes = await by_hand.unenroll(tx, workflow_id, part)
        for record_id, outcome in zip(part, outcomes, strict=True):
            if outcome.value:
                tally.changed(first[record_id], _left(record_id, workflow_id, active.get(record_id)))
    return [
        Ends(UNENROLLED, result.changes)
        if one.id in out and isinstance(result, Done | Partly | Failed)
        else result
        for one, result in zip(standing, tally.results(meant.after), strict=True)
    ]


def _left(record_id: int, workflow_id: int, enrollment_id: int | None) -> dict[str, Any]:
    return {
        "record": record_id,
        "workflow": workflow_id,
        "enrollment": enrollment_id,
        "change": UNENROLLED,
    }


ENROLL = Handler(_bind, _enroll)
UNENROLL = Handler(_bind, _unenroll)
