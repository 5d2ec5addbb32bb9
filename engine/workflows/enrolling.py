"""Enrolling whom a change lets in: what the answers make of the candidates, and what is written of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.evaluation.listening import WORKFLOW
from engine.evaluation.telling import tell
from engine.filters.foreseeing import Foreseen
from engine.naming import counted
from engine.workflows import diagnosing, leaving
from engine.workflows.diagnosing import Why
from engine.workflows.happenings import Happening
from engine.workflows.looking import Beside, Look, Seen
from engine.workflows.preparing import Enrolling, Pair, prepare
from engine.workflows.published import Published
from engine.workflows.rules import Enters, Leaves, Loop, Reason
from storage import enrollments, match_states, passes, record_events, trigger_states
from storage.changes import ChangeKind, EnrollmentEvents, EventKind
from storage.database import Queryable, Transaction
from storage.enrollments import Entry
from storage.filters import facts
from storage.standings import Leaving

__all__ = ["Decided", "Enrolling", "begin", "decide", "entry", "prepare", "settle"]


@dataclass(slots=True)
class Decided:
    """What is to be written: who enters (and why), who leaves, what holds, when to look again."""

    entries: list[Entry] = field(default_factory=list)
    why: dict[Pair, Why] = field(default_factory=dict)
    trees: dict[Pair, dict[str, Any]] = field(default_factory=dict)
    leaving: list[Leaving] = field(default_factory=list)
    states: dict[Pair, frozenset[int]] = field(default_factory=dict)
    checks: dict[Pair, datetime | None] = field(default_factory=dict)


# --- what comes of the answers ------------------------------------------------------------------------------


async def decide(
    reader: Queryable,
    tx: Transaction,
    enrolling: Enrolling,
    answers: Sequence[Mapping[int, Foreseen]],
) -> Decided:
    """What the answers to `asked` make of everybody. `reader`: the snapshot that they were read on."""
    decided = Decided(checks=dict.fromkeys(enrolling.idle))
    if not enrolling.looks:
        return decided
    beside = await _beside(reader, tx, enrolling.looks)
    told = iter(answers)
    seen: list[tuple[Look, Seen]] = []
    for look in enrolling.looks:
        look.take(told)
        seen += ((look, look.seen(record_id, beside)) for record_id in sorted(look.worth()))
    for look, one in await _made_by_others(reader, seen):
        _note(decided, look, one)
    decided.trees = await diagnosing.trees(reader, tx.catalogue, decided.why, tx.now)
    return decided


async def _beside(reader: Queryable, tx: Transaction, looks: Sequence[Look]) -> Beside:
    dates = {record_id for look in looks for record_id in look.dates_of()}
    events = sorted({event for look in looks for event in look.events_of()})
    values = {row[0]: row[2] for row in await facts.visible(reader, dates)} if dates else {}
    rows = await record_events.by_ids(reader, events) if events else []
    found = {row.id: row for row in rows if row is not None}
    return Beside(tx.now, ZoneInfo(tx.catalogue.time_zone), values, found)


async def _made_by_others(
    reader: Queryable, seen: Sequence[tuple[Look, Seen]]
) -> Iterator[tuple[Look, Seen]]:
    """The same, but that nobody enters the very workflow that made the record."""
    entering = {one.record_id for _, one in seen if isinstance(one.verdict, Enters)}
    makers = await passes.makers(reader, entering) if entering else {}
    return (
        (look, look.again(one, own=True) if makers.get(one.record_id) == look.workflow.id else one)
        for look, one in seen
    )


def _note(decided: Decided, look: Look, seen: Seen) -> None:
    """Note what is to be written for one record."""
    pair = (look.workflow.id, seen.record_id)
    standing = look.standing.get(seen.record_id)
    match seen.verdict:
        case Enters() as enters:
            assert seen.by is not None  # it was no call
            decided.entries.append(_entry(look.workflow, seen, enters))
            decided.why[pair] = Why(look, seen.record_id, seen.by, seen.renewal)
        case Leaves(status, reason):
            assert standing is not None  # it is active
            error = leaving.because(reason) if status == "UNENROLLED" else None
            decided.leaving.append(Leaving(standing.enrollment_id, status, error))
        case _:
            pass
    enters_now = isinstance(seen.verdict, Enters)
    kept = look.conditions.met_anew and seen.living
    new = standing is not None and look.known.get(seen.record_id) != seen.held
    if kept and (enters_now or new):
        decided.states[pair] = seen.held
    if look.conditions.timed and (seen.until is not None or seen.record_id in look.since):
        decided.checks[pair] = seen.until


def _entry(workflow: Published, seen: Seen, enters: Enters) -> Entry:
    """The enrollment of a record; stopped at once where it goes in circles."""
    assert seen.by is not None  # it was no call
    by = seen.renewal or seen.by
    conditions = workflow.conditions
    assert conditions is not None  # it is usable
    reason: dict[str, Any] = {
        "trigger": seen.by.trigger,
        "type": conditions.kinds[seen.by.trigger],
        **by.cause.told,
    }
    if seen.renewal is not None:
        reason["reenrollment"] = seen.renewal.trigger
    return entry(workflow, seen.record_id, reason, by, enters)


def entry(
    workflow: Published, record_id: int, reason: dict[str, Any], by: Happening, enters: Enters
) -> Entry:
    """An enrollment to begin, on the revision that is published."""
    error = None if enters.loop is None else _loop(enters.loop, by.cause.depth, workflow)
    return Entry(
        workflow.id,
        workflow.revision,
        record_id,
        by.cause.depth,
        reason,
        "ACTIVE" if error is None else "FAILED",
        error,
        enters.epoch,
        by.occasion,
    )


def _loop(loop: Loop, depth: int, workflow: Published) -> dict[str, Any]:
    if loop is Loop.DEPTH:
        message = f"{depth} workflow steps in a row led here; this is taken for a loop."
    else:
        limit = workflow.definition.guards.reenrollments_per_hour
        times = counted(limit, "time", "times")
        message = f"The record was enrolled again {times} within an hour; this is taken for a loop."
    return {"code": Reason.LOOP_GUARD.value, "message": message}


# --- what is written ----------------------------------------------------------------------------------------


async def settle(tx: Transaction, decided: Decided) -> list[tuple[int, Entry]]:
    """Write what was decided; the enrollments that began."""
    await leaving.end(tx, decided.leaving)
    begun = await begin(tx, decided.entries, decided.trees)
    await trigger_states.note(tx, decided.states)
    await match_states.note(tx, decided.checks)
    return begun


async def begin(
    tx: Transaction, entries: Sequence[Entry], trees: Mapping[Pair, dict[str, Any]] | None = None
) -> list[tuple[int, Entry]]:
    """Begin enrollments and tell of them; those that are new, with their ids. `trees`: why, by (workflow, record)."""
    begun = await enrollments.enter(tx, entries)
    if not begun:
        return []
    object_types = tx.catalogue.workflows
    entered: dict[int, list[int]] = defaultdict(list)
    told: tuple[Entry, list[int], list[int]] | None = None
    for enrollment_id, new in begun:
        entered[new.workflow_id].append(new.record_id)
        if told is None or not _alike(new, told[0]):
            told = new, [], []
            tx.happened(_began(new, object_types[new.workflow_id], *told[1:]))
        told[1].append(new.record_id)
        told[2].append(enrollment_id)
    if trees:
        await trigger_states.diagnose(
            tx,
            {
                enrollment_id: trees[new.workflow_id, new.record_id]
                for enrollment_id, new in begun
                if (new.workflow_id, new.record_id) in trees
            },
        )
    await leaving.others(tx, [new for _, new in begun if new.error is None])
    moved = {
        one: [(ChangeKind.ENROLLMENT_MOVED, object_types[one], records)] for one, records in entered.items()
    }
    await tell(tx, WORKFLOW, moved, max((new.depth for _, new in begun), default=0))
    return begun


def _alike(one: Entry, other: Entry) -> bool:
    """Whether they are told together: of one workflow for one reason, as when it was turned on."""
    return (one.workflow_id, one.revision, one.error, one.reason) == (
        other.workflow_id,
        other.revision,
        other.error,
        other.reason,
    )


def _began(
    new: Entry, object_type_id: int, record_ids: list[int], enrollment_ids: list[int]
) -> EnrollmentEvents:
    payload: dict[str, Any] = {"revision": new.revision, "reason": new.reason}
    if new.error is not None:
        payload["error"] = new.error
    kind = EventKind.ENROLLED if new.error is None else EventKind.ENROLLMENT_FAILED
    return EnrollmentEvents(kind, object_type_id, new.workflow_id, record_ids, enrollment_ids, payload)
