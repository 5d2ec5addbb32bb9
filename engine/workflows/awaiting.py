"""Enrollments that wait for an event: found by the record to which it occurred, and called when it is theirs.

Whoever waits is found whether or not the workflow is on, on whatever revision the enrollment runs. What had occurred
already when the enrollment came to its delay, but was not evaluated until then, counts as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from engine import filters
from engine.evaluation import listening
from engine.evaluation.listening import AWAITED, VALUE
from engine.filters.foreseeing import Foreseen
from engine.filters.matching import Asked
from engine.problems import Problem, Refused
from engine.workflows import bound, happenings, looking, published, triggers
from engine.workflows.actions.delays import event_of
from engine.workflows.bound import Bound, Happened, Linked
from engine.workflows.conditions import EVERYBODY
from engine.workflows.definition import Program
from engine.workflows.definition.actions import AnyAction, Delay
from engine.workflows.happenings import Happening
from engine.workflows.looking import NOBODY, Answers, Beside
from storage import record_events, standings
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.changes import ChangeKind, QueuedChange
from storage.database import Database, Queryable, Transaction
from storage.enrollments import EnrollmentRow
from storage.listeners import Ref

# Changes that nobody waits for.
_IDLE = (ChangeKind.ARCHIVED, ChangeKind.MERGED, ChangeKind.RESTORED, ChangeKind.ENROLLMENT_MOVED)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An enrollment that waits, and what may be what it waits for."""

    row: EnrollmentRow
    object_type_id: int
    trigger: Bound
    happened: Sequence[Happening]


@dataclass(frozen=True, slots=True)
class Awaiting:
    """Enrollments for which something occurred that they may be waiting for."""

    waiting: Sequence[Waiting] = ()

    def asked(self) -> list[Asked]:
        """The filters to be answered, one enrollment after the other."""
        return [one for waiting in self.waiting for one in _asked(waiting)]


def refs(program: Program, object_type: ObjectTypeRow, catalogue: Catalogue) -> set[Ref]:
    """What must be told of for the delays of a program: what is queued, and noted, for nobody else."""
    found = set[Ref]()
    for node in program:
        trigger = _trigger(node.action, object_type, catalogue)
        for ref in () if trigger is None else bound.refs(trigger, object_type.id):
            if ref.kind == listening.SEGMENT:
                found.add(Ref(AWAITED, ref.ref_id, ()))
            elif ref.kind == VALUE:
                found.add(ref)
    return found


async def call(db: Database, tx: Transaction, changes: Sequence[QueuedChange]) -> None:
    """Call those for whom what they waited for has come with these changes, each once.

    For whom time runs out at this very moment, it has come too late.
    """
    awaiting = await _find(tx, changes)
    if not awaiting.waiting:
        return
    async with db.snapshot(tx.account_id) as reader:
        answers = await filters.foreseen(reader, tx.catalogue, awaiting.asked(), now=tx.now)
        arrived = await _decide(reader, tx, awaiting, answers)
    await standings.arrive(tx, arrived)


async def _find(tx: Transaction, changes: Sequence[QueuedChange]) -> Awaiting:
    """Who waits among the records that changed, for something like that."""
    by_record: dict[int, list[QueuedChange]] = {}
    for change in changes:
        if change.kind not in _IDLE:
            by_record.setdefault(change.record_id, []).append(change)
    rows = await standings.awaiting(tx, by_record) if by_record else []
    types = tx.catalogue.workflows
    rows = [row for row in rows if row.workflow_id in types]
    keys = sorted({(row.workflow_id, row.revision, types[row.workflow_id]) for row in rows})
    if not keys:
        return Awaiting()
    known = dict(zip(keys, await published.definitions_of(tx, tx.catalogue, keys), strict=True))
    found = []
    for row in rows:
        type_id = types[row.workflow_id]
        program = known[row.workflow_id, row.revision, type_id][1]
        object_type = tx.catalogue.object_types[type_id]
        trigger = _trigger(program[row.next_step].action, object_type, tx.catalogue)
        happened = [] if trigger is None else _happened(trigger, by_record[row.record_id])
        if trigger is not None and happened:
            found.append(Waiting(row, type_id, trigger, happened))
    return Awaiting(found)


def _trigger(action: AnyAction, object_type: ObjectTypeRow, catalogue: Catalogue) -> Bound | None:
    if not isinstance(action, Delay) or action.until_event is None:
        return None
    try:
        return triggers.bind(event_of(action.until_event.event), object_type, catalogue)
    except (Problem, Refused):
        # What it waits for cannot be any more; its time runs out.
        return None


def _happened(trigger: Bound, changes: Sequence[QueuedChange]) -> list[Happening]:
    told = ((change, bound.occurs(trigger, change)) for change in changes)
    return [
        Happening(0, happenings.cause_of(trigger, change, others), others)
        for change, others in told
        if others is not None
    ]


def _asked(waiting: Waiting) -> Iterator[Asked]:
    own = EVERYBODY if waiting.trigger.own is None else waiting.trigger.own
    yield own, [waiting.row.record_id], waiting.object_type_id
    if isinstance(waiting.trigger, Linked) and waiting.trigger.other is not None:
        others = {other for one in waiting.happened for other in one.others}
        yield waiting.trigger.other, others, waiting.trigger.to_object_type_id


async def _decide(
    reader: Queryable, tx: Transaction, awaiting: Awaiting, answers: Sequence[Mapping[int, Foreseen]]
) -> dict[int, tuple[int, dict[str, Any]]]:
    """For whom what they waited for has come, as `standings.arrive` takes it."""
    arrived: dict[int, tuple[int, dict[str, Any]]] = {}
    events = {
        event
        for waiting in awaiting.waiting
        if isinstance(waiting.trigger, Happened) and waiting.trigger.event is not None
        for one in waiting.happened
        for event in one.others
    }
    rows = await record_events.by_ids(reader, sorted(events)) if events else []
    found = {row.id: row for row in rows if row is not None}
    beside = Beside(tx.now, ZoneInfo(tx.catalogue.time_zone), {}, found)
    told = iter(answers)
    for waiting in awaiting.waiting:
        own = next(told)
        linked = isinstance(waiting.trigger, Linked) and waiting.trigger.other is not None
        others: Answers = next(told) if linked else {}
        if not own.get(waiting.row.record_id, NOBODY).holds:
            continue
        for one in waiting.happened:
            counts = looking.occurred(waiting.trigger, one, others, beside)
            if counts is not None:
                event = {**counts.cause.told, "at": counts.cause.at.isoformat()}
                arrived[waiting.row.id] = (waiting.row.next_step, event)
                break
    return arrived
