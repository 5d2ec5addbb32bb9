"""Enrolling and taking out by a call: a person's, a program's, or another workflow's action."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from engine import filters, ids
from engine.batches import Mode, Outcome, check_size
from engine.batches import settle as settled
from engine.evaluation.listening import Cause
from engine.filters.problems import WorkflowOfAnotherType
from engine.problems import NotFound, Problem
from engine.workflows import diagnosing, enrolling, leaving
from engine.workflows.enrolling import Decided
from engine.workflows.happenings import Happening
from engine.workflows.looking import Beside, Look, Seen
from engine.workflows.rules import Enters, Reason, StaysOut
from storage import records, standings
from storage import workflows as stored
from storage.database import Transaction
from storage.records import RecordRow
from storage.standings import Leaving

# What is kept of an enrollment by a call, in place of a trigger's kind.
CALLED = "manual"


class ActiveNow(Problem):
    """The record "{record}" is active in this workflow already."""


class WorkflowOff(Problem):
    """The workflow is off; turn it on, and then enroll."""


class Broken(Problem):
    """The workflow names what is not there any more, so nobody can be enrolled; its problems say what."""


class RecordNotThere(Problem):
    """The record "{record}" is archived; restore it first."""

    @property
    def code(self) -> str:
        """As the rules call it."""
        return Reason.RECORD_ARCHIVED.value


class Suppressed(Problem):
    """The record "{record}" meets what keeps it out of this workflow."""


class GoalMet(Problem):
    """The record "{record}" has met the goal of this workflow."""


class LoopGuard(Problem):
    """Too many workflow steps in a row led here; this is taken for a loop. An enrollment of "{record}" says so."""


_PROBLEMS: Mapping[Reason, type[Problem]] = {
    Reason.ACTIVE_NOW: ActiveNow,
    Reason.WORKFLOW_OFF: WorkflowOff,
    Reason.BROKEN: Broken,
    Reason.RECORD_ARCHIVED: RecordNotThere,
    Reason.SUPPRESSED: Suppressed,
    Reason.GOAL_MET: GoalMet,
    Reason.LOOP_GUARD: LoopGuard,
}


async def enroll(
    tx: Transaction, workflow_id: int, record_ids: Sequence[int], mode: Mode = Mode.PER_ITEM
) -> list[Outcome[int]]:
    """Enroll records, whatever the triggers say, in the order asked; the values are the enrollments.

    Always possible for a record that is not active, unless it is suppressed or has met the goal: the problems' codes
    are those of `engine.workflows.rules.Reason`. How many workflow steps led here is the actor's depth. Raises
    `NotFound` for the workflow, and `Refused` in atomic mode.
    """
    check_size(record_ids)
    object_type_id = _type(tx, workflow_id)
    await stored.hold(tx, [workflow_id])
    rows = await records.lock_survivors(tx, record_ids)
    problems = {one: _unfit(tx, workflow_id, object_type_id, one, rows.get(one)) for one in set(record_ids)}
    fit = sorted({rows[one].id for one, problem in problems.items() if problem is None})
    kept_out, begun = await _enter(tx, workflow_id, fit)
    outcomes: list[Outcome[int]] = []
    for record_id in record_ids:
        problem = problems[record_id]
        if problem is None:
            number = rows[record_id].id
            # Named twice, it is enrolled once.
            reason = kept_out.get(number, Reason.ACTIVE_NOW)
            if number in begun:
                outcomes.append(Outcome(begun[number]))
                continue
            problem = _PROBLEMS[reason](record=ids.encode("record", record_id))
        outcomes.append(Outcome(None, problem))
    return settled(outcomes, mode)


async def unenroll(tx: Transaction, workflow_id: int, record_ids: Sequence[int]) -> list[Outcome[bool]]:
    """Take records out of a workflow, in the order asked; the value says whether the record was active in it.

    Raises `NotFound` for the workflow.
    """
    check_size(record_ids)
    _type(tx, workflow_id)
    led = dict(zip(record_ids, await records.resolve(tx, record_ids), strict=True))
    survivors = {row.id for row in led.values() if row is not None}
    active = await standings.active_of(tx, survivors, [workflow_id]) if survivors else []
    if tx.actor.source == "WORKFLOW":
        error = {"code": "UNENROLLED_BY_WORKFLOW", "message": "A workflow's action took it out."}
    else:
        error = {"code": "UNENROLLED_BY_HAND", "message": "It was taken out by hand."}
    left = await leaving.end(tx, [Leaving(one, "UNENROLLED", error) for one, _, _ in sorted(active)])
    gone = {row.record_id for row in left}
    return [
        Outcome(None, NotFound(kind="record", name=ids.encode("record", one)))
        if (row := led[one]) is None
        else Outcome(row.id in gone)
        for one in record_ids
    ]


def _type(tx: Transaction, workflow_id: int) -> int:
    found = tx.catalogue.workflows.get(workflow_id)
    if found is None:
        name = ids.encode("workflow", workflow_id)
        raise NotFound(kind="workflow", name=name, path=("workflowId",))
    return found


def _unfit(
    tx: Transaction, workflow_id: int, object_type_id: int, record_id: int, row: RecordRow | None
) -> Problem | None:
    name = ids.encode("record", record_id)
    if row is None:
        return NotFound(kind="record", name=name)
    if row.object_type_id != object_type_id:
        types = tx.catalogue.object_types
        return WorkflowOfAnotherType(
            workflow=ids.encode("workflow", workflow_id),
            of=types[object_type_id].name,
            object_type=types[row.object_type_id].name,
        )
    return None if row.archived_at is None else RecordNotThere(record=name)


async def _enter(
    tx: Transaction, workflow_id: int, record_ids: Sequence[int]
) -> tuple[dict[int, Reason], dict[int, int]]:
    """{record: why it stays out} and {record: its new enrollment}. The records, and the workflow, are held."""
    if not record_ids:
        return {}, {}
    actor = tx.actor
    told: dict[str, Any] = {
        "kind": "WORKFLOW" if actor.source == "WORKFLOW" else "MANUAL",
        "source": actor.source,
        "sourceId": actor.source_id,
    }
    if actor.user_id is not None:
        told["user"] = actor.user_id
    cause = Cause(told, tx.now, actor.depth, tx.catalogue.version)
    prepared = await enrolling.prepare(tx, {workflow_id: dict.fromkeys(record_ids, cause)}, called=True)
    if not prepared.looks:
        return dict.fromkeys(record_ids, await _shut(tx, workflow_id)), {}
    (look,) = prepared.looks
    answers = await filters.foreseen(tx, tx.catalogue, prepared.asked(), now=tx.now)
    look.take(iter(answers))
    beside = Beside(tx.now, ZoneInfo(tx.catalogue.time_zone), {}, {})
    kept_out: dict[int, Reason] = {}
    decided = Decided()
    for record_id in record_ids:
        seen = look.again(look.seen(record_id, beside), called=True, living=True, depth=cause.depth)
        _note(decided, kept_out, look, seen, cause)
    begun = await enrolling.settle(tx, decided)
    return kept_out, {new.record_id: enrollment_id for enrollment_id, new in begun if new.error is None}


def _note(decided: Decided, kept_out: dict[int, Reason], look: Look, seen: Seen, cause: Cause) -> None:
    pair = (look.workflow.id, seen.record_id)
    match seen.verdict:
        case StaysOut(reason):
            kept_out[seen.record_id] = reason
        case Enters(_, _, loop) as enters:
            if loop is not None:
                kept_out[seen.record_id] = Reason.LOOP_GUARD
            reason_told = {"trigger": None, "type": CALLED, **cause.told}
            by = Happening(-1, cause)
            decided.entries.append(enrolling.entry(look.workflow, seen.record_id, reason_told, by, enters))
            decided.trees[pair] = {"triggers": [], "called": diagnosing.encoded(cause.told)}
            if look.conditions.met_anew:
                decided.states[pair] = seen.held
            if look.conditions.timed and (seen.until is not None or seen.record_id in look.since):
                decided.checks[pair] = seen.until


async def _shut(tx: Transaction, workflow_id: int) -> Reason:
    """Why nobody can be enrolled."""
    found = await stored.running(tx, [workflow_id])
    return Reason.BROKEN if found and found[0].enabled else Reason.WORKFLOW_OFF
