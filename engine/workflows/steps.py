"""The stepper: moves whole batches of due enrollments, each batch's effects, history and moves in one transaction."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.evaluation import telling
from engine.evaluation.listening import WORKFLOW
from engine.problems import Problem, Refused
from engine.workflows import published, windows
from engine.workflows.actions import HANDLERS, Batch, bind, carry_out, told
from engine.workflows.advance import (
    Crashed,
    Failed,
    Gone,
    Partly,
    Plan,
    Postponed,
    Result,
    Skipped,
    Transition,
    advance,
    complete,
)
from engine.workflows.definition import Node, OnError
from engine.workflows.definition.values import Timing
from engine.workflows.lanes import Again, Lanes, not_again
from storage import due, enrollments, records, step_lines, walks
from storage import workflows as stored
from storage.changes import ChangeKind, EnrollmentEvents, EventKind
from storage.database import Actor, Database, Transaction
from storage.enrollments import DueGroup, EnrollmentRow
from storage.faults import Fault, fault
from storage.workflows import RunningRow

BATCH = 1_000
# How many due enrollments are listed at once: enough for several steppers to find batches of their own.
LISTED = 8_000
# How many batches one stepper has under way in an account.
LANES = 3
# Two transactions that met are tried again this often before the batch is taken apart.
COLLISIONS = 5

_EVENTS = {
    "DONE": EventKind.STEP_DONE,
    "UNCHANGED": EventKind.STEP_DONE,
    "SKIPPED": EventKind.STEP_SKIPPED,
    "FAILED": EventKind.STEP_FAILED,
}
_ENDS = {
    "COMPLETED": EventKind.ENROLLMENT_COMPLETED,
    "FAILED": EventKind.ENROLLMENT_FAILED,
    "UNENROLLED": EventKind.UNENROLLED,
    "MERGED": EventKind.UNENROLLED,
}


async def run_due(db: Database, *, now: datetime) -> int:
    """Move enrollments of all accounts until nothing is due at `now`; how many steps were taken."""
    taken = 0
    for account_id in await due_accounts(db, now=now):
        while step := await run_once(db, account_id, now=now):
            taken += step
    return taken


async def due_accounts(db: Database, *, now: datetime) -> list[int]:
    """The accounts that have anything due."""
    return [account_id for account_id, at in (await due_times(db)).items() if at <= now]


async def due_times(db: Database) -> dict[int, datetime]:
    """When the first enrollment of each account is, or was, due."""
    return await due.earliest(db, await walks.everyone(db))


async def run_once(db: Database, account_id: int, *, now: datetime, again: Again = not_again) -> int:
    """One batch of every kind of step that is due in an account, and more of them `again`; how many steps were taken.

    None may mean that others hold all that is due.
    """

    async def listed(now: datetime) -> Sequence[DueGroup]:
        async with db.read(account_id) as reader:
            groups = await enrollments.due(reader, now, LISTED)
            if sum(len(group.ids) for group in groups) >= LISTED:
                # Behind one workflow's backlog others may wait, who would not be listed.
                groups = await due.fairly(reader, now, 2 * BATCH)
        return groups

    async def take(group: DueGroup, ids: Sequence[int], now: datetime) -> int:
        return await _batch(db, account_id, group, ids, now)

    return await Lanes(LANES, BATCH, listed, take, again).run(now)


async def _batch(
    db: Database, account_id: int, group: DueGroup, ids: Sequence[int], now: datetime, collisions: int = 0
) -> int:
    """Take one step with these enrollments; what breaks a batch is sought out by halves and put aside."""
    try:
        return await _step(db, account_id, group, ids, now)
    except Exception as error:
        found = fault(error)
        if found is Fault.DISCONNECTED:
            raise
        if found is Fault.COLLIDED and collisions < COLLISIONS:
            return await _batch(db, account_id, group, ids, now, collisions + 1)
        if len(ids) == 1:
            return await _step(db, account_id, group, ids, now, crash=unexpected(error))
        middle = len(ids) // 2
        return await _batch(db, account_id, group, ids[:middle], now) + await _batch(
            db, account_id, group, ids[middle:], now
        )


async def _step(
    db: Database,
    account_id: int,
    group: DueGroup,
    ids: Sequence[int],
    now: datetime,
    *,
    crash: Crashed | None = None,
) -> int:
    """Effects, history, moves and events of one batch: all of it, or nothing."""
    actor = Actor("WORKFLOW", str(group.workflow_id), depth=group.depth + 1)
    async with db.transaction(account_id, now=now, actor=actor) as tx:
        standing = await enrollments.claim(tx, ids, group.next_step)
        if not standing:
            return 0
        (workflow,) = await stored.running(tx, [group.workflow_id])
        await take(tx, workflow, group, standing, crash)
    return len(standing)


async def take(
    tx: Transaction,
    workflow: RunningRow,
    group: DueGroup,
    standing: Sequence[EnrollmentRow],
    crash: Crashed | None = None,
) -> list[Transition]:
    """Take a step with enrollments that the caller holds, in id order: where each goes, which is written.

    `crash`: the action cannot be carried out. Of `group` its ids are not looked at.
    """
    transitions = await _transitions(tx, workflow, group, standing, crash)
    await enrollments.insert_steps(tx, [one.step for one in transitions if one.step is not None])
    await enrollments.move(tx, [one.move for one in transitions])
    _tell(tx, workflow, standing, transitions)
    ended = [
        row.record_id
        for row, transition in zip(standing, transitions, strict=True)
        if transition.move.status != "ACTIVE" and not transition.told
    ]
    told = [(ChangeKind.ENROLLMENT_MOVED, workflow.object_type_id, ended)]
    await telling.tell(tx, WORKFLOW, {workflow.id: told} if ended else {})
    return transitions


async def _transitions(
    tx: Transaction,
    workflow: RunningRow,
    group: DueGroup,
    standing: Sequence[EnrollmentRow],
    crash: Crashed | None,
) -> list[Transition]:
    key = (group.workflow_id, group.revision, workflow.object_type_id)
    ((definition, program, _, _),) = await published.definitions_of(tx, tx.catalogue, [key])
    if group.next_step >= len(program):
        return [complete(row, tx.now) for row in standing]
    node = program[group.next_step]
    action = node.action
    plan = Plan(
        action.id, node.next, action.on_error is not OnError.CONTINUE, node.ways, definition.guards.steps
    )
    if crash is not None:
        results: Sequence[Result] = [crash] * len(standing)
    else:
        results = await _decided(tx, workflow, group.revision, node, standing, definition.timing)
    parts = await _parts(tx, standing, results, plan.steps_limit)
    return [
        advance(row, _allowing(plan, parts[row.id]) if row.id in parts else plan, result, tx.now)
        for row, result in zip(standing, results, strict=True)
    ]


def _allowing(plan: Plan, parts: int) -> Plan:
    return replace(plan, steps_limit=plan.steps_limit + parts)


async def _parts(
    tx: Transaction, standing: Sequence[EnrollmentRow], results: Sequence[Result], limit: int
) -> dict[int, int]:
    """Of enrollments that have as many lines as a runaway: how many of these are further parts of one action."""
    many = [
        row.id
        for row, result in zip(standing, results, strict=True)
        if row.steps + 1 >= limit and not isinstance(result, Partly)
    ]
    if not many:
        return {}
    taken = await step_lines.actions(tx, many)
    return {row.id: row.steps - taken.get(row.id, 0) for row in standing if row.id in taken}


async def _decided(
    tx: Transaction,
    workflow: RunningRow,
    revision: int,
    node: Node,
    standing: Sequence[EnrollmentRow],
    timing: Timing | None,
) -> Sequence[Result]:
    """What becomes of each: its action is carried out, or is skipped, or must wait for its hours."""
    if HANDLERS[type(node.action)].control:
        return await _results(tx, workflow, revision, node, standing)
    opens = windows.next_open(timing, tx.now, tx.catalogue.time_zone) if workflow.enabled else tx.now
    if workflow.enabled and opens <= tx.now:
        return await _results(tx, workflow, revision, node, standing)
    # What was sent outside is told whatever the hour: it has happened.
    back = [row for row in standing if row.waiting == "OUTSIDE"]
    others = [row for row in standing if row.waiting != "OUTSIDE"]
    told = await _results(tx, workflow, revision, node, back) if back else ()
    kept: Sequence[Result]
    kept = [Postponed(opens)] * len(others) if workflow.enabled else await _skipped(tx, others)
    found = {row.id: result for row, result in zip((*back, *others), (*told, *kept), strict=True)}
    return [found[row.id] for row in standing]


async def _results(
    tx: Transaction, workflow: RunningRow, revision: int, node: Node, standing: Sequence[EnrollmentRow]
) -> Sequence[Result]:
    object_type = tx.catalogue.object_types[workflow.object_type_id]
    try:
        bound = bind(node.action, object_type, tx.catalogue)
    except (Problem, Refused) as problem:
        return [Failed(told(problem))] * len(standing)
    return await carry_out(Batch(tx, workflow.id, revision, object_type, node, standing), bound)


async def _skipped(tx: Transaction, standing: Sequence[EnrollmentRow]) -> list[Result]:
    rows = await records.rows(tx, [row.record_id for row in standing])
    return [
        Skipped() if row is None or row.archived_at is None else Gone(merged=row.merged_into_id is not None)
        for row in rows
    ]


def unexpected(error: Exception) -> Crashed:
    """What an error of the program, or of the database, means to an enrollment."""
    return Crashed({"code": "UNEXPECTED", "message": f"{type(error).__name__}: {error}"[:1000]})


def _tell(
    tx: Transaction,
    workflow: RunningRow,
    standing: Sequence[EnrollmentRow],
    transitions: Sequence[Transition],
) -> None:
    """Events of the steps, and then those of the ends; a batch does mostly one thing, so they are told together."""
    taken, ended = _Alike(workflow), _Alike(workflow)
    for row, transition in zip(standing, transitions, strict=True):
        step, move = transition.step, transition.move
        if step is not None:
            details = {"step": step.n, "action": step.action, "outcome": step.outcome}
            taken.add(_EVENTS[step.outcome], row, details, step.error)
        if move.status != "ACTIVE" and not transition.told:
            kind = _ENDS.get(move.status, EventKind.UNENROLLED)
            ended.add(kind, row, {"status": move.status}, move.error)
    for one in (*taken.events, *ended.events):
        tx.happened(one)


class _Alike:
    """Events of one workflow, at most one an enrollment: those that tell the same are put together."""

    def __init__(self, workflow: RunningRow) -> None:
        self.events: list[EnrollmentEvents] = []
        self._workflow = workflow
        self._known: dict[tuple[Any, ...], tuple[list[int], list[int]]] = {}

    def add(
        self, kind: EventKind, row: EnrollmentRow, details: dict[str, Any], error: dict[str, Any] | None
    ) -> None:
        """Tell one of an enrollment. What failed is told by itself."""
        key = (kind, *details.values(), None if error is None else row.id)
        records, enrollments = self._known.get(key) or self._begin(key, kind, details, error)
        records.append(row.record_id)
        enrollments.append(row.id)

    def _begin(
        self, key: tuple[Any, ...], kind: EventKind, details: dict[str, Any], error: dict[str, Any] | None
    ) -> tuple[list[int], list[int]]:
        ends = self._known[key] = [], []
        if error is not None:
            details["error"] = error
        one = self._workflow
        self.events.append(EnrollmentEvents(kind, one.object_type_id, one.id, *ends, details))
        return ends
