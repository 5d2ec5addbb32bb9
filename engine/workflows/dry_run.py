"""Dry runs: who would enter a workflow, and what its actions would do, by the real rules and the real actions.

All of it happens in a transaction that its owner rolls back. Delays pass at once, on a clock of each enrollment's own;
what is sent outside counts as delivered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from engine import ids
from engine.filters.problems import WorkflowOfAnotherType
from engine.problems import NotFound, Problem
from engine.workflows import leaving, rehearsing, steps
from engine.workflows.actions.outside import OUTSIDE
from engine.workflows.advance import Transition
from engine.workflows.histories import Kind, kind_of
from engine.workflows.rehearsing import Tested
from engine.workflows.rules import Enters, Reason, StaysOut
from storage import dry_runs, enrollment_pages, enrollments, outbox, records, standings
from storage.database import Actor, Transaction
from storage.enrollments import DueGroup, EnrollmentRow, Entry, StepRow
from storage.faults import fault
from storage.outbox import OutboxRow
from storage.records import RecordRow

RECORDS_LIMIT = 100
# Lines of history, of all enrollments together.
STEPS_LIMIT = 2_000


class TooManyRecords(Problem):
    """A dry run takes {limit} records at most, not {count}; count the others with `countAll`."""


class DryRunCutOff(Problem):
    """The dry run was cut off after {limit} steps of all its records together: try fewer records."""


@dataclass(frozen=True, slots=True)
class Line:
    """A step that would be taken: its line of history, for what it would have waited before, what it would send."""

    kind: str
    step: StepRow
    waited: str | None = None
    waited_until: datetime | None = None
    sent: Sequence[OutboxRow] = ()


@dataclass(slots=True)
class Rehearsal:
    """What would become of one record: why it would stay out, or the lines of its way and how it ended.

    `created`: the records that would be made, as they would be in the end.
    """

    asked: int
    record: RecordRow | None = None
    problem: Problem | None = None
    reason: str | None = None
    trigger: int | None = None
    status: str | None = None
    error: Mapping[str, Any] | None = None
    lines: list[Line] = field(default_factory=list)
    # What entering alone would change: enrollments in other workflows that would end.
    entering: list[dict[str, Any]] = field(default_factory=list)
    created: dict[int, RecordRow] = field(default_factory=dict)

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Everything that it would change."""
        return [*self.entering, *(change for line in self.lines for change in line.step.changes)]


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would be. `problems`: the definition is broken, or the run was cut off. `count`: who meets the filters."""

    records: Sequence[Rehearsal] = ()
    problems: Sequence[Problem] = ()
    count: int | None = None


def check(record_ids: Sequence[int]) -> None:
    """Raises `TooManyRecords`."""
    if len(record_ids) > RECORDS_LIMIT:
        raise TooManyRecords(limit=RECORDS_LIMIT, count=len(record_ids), path=("recordIds",))


async def rehearse(
    tx: Transaction,
    tested: Tested,
    record_ids: Sequence[int],
    *,
    called: bool = False,
    events_occur: bool = False,
    count_all: bool = False,
) -> DryRun:
    """What a workflow would do with records, in the order asked; for a transaction that is rolled back.

    `called`: they are enrolled by a call, whatever the triggers say; else filters decide, and events count as having
    occurred. `events_occur`: what delays wait for occurs at once; else their time runs out.
    """
    count = await rehearsing.count(tx, tested) if count_all else None
    tx.actor = Actor("WORKFLOW", str(tested.published.id), depth=1)
    found = await _found(tx, tested, record_ids)
    entering = await _judged(tx, tested, [one for one in found if one.problem is None], called=called)
    walks = await _entered(tx, tested, entering)
    walking = _Walking(tx, tested, walks, events_occur)
    cut = await walking.go()
    for one in found:
        await _note_created(tx, one)
    return DryRun(found, [DryRunCutOff(limit=STEPS_LIMIT)] if cut else [], count)


async def _found(tx: Transaction, tested: Tested, record_ids: Sequence[int]) -> list[Rehearsal]:
    found = []
    wanted = list(dict.fromkeys(record_ids))
    for asked, row in zip(wanted, await records.resolve(tx, wanted), strict=True):
        problem: Problem | None = None
        if row is None:
            problem = NotFound(kind="record", name=ids.encode("record", asked))
        elif row.object_type_id != tested.published.object_type_id:
            types = tx.catalogue.object_types
            problem = WorkflowOfAnotherType(
                workflow=ids.encode("workflow", tested.published.id),
                of=types[tested.published.object_type_id].name,
                object_type=types[row.object_type_id].name,
            )
        found.append(Rehearsal(asked, row, problem))
    return found


async def _judged(
    tx: Transaction, tested: Tested, found: Sequence[Rehearsal], *, called: bool
) -> list[tuple[Rehearsal, Enters]]:
    """Those who would enter; of the others it is noted why they would not."""
    living = {one.record.id: one.record for one in found if one.record is not None}
    verdicts = await rehearsing.verdicts(tx, tested, living, called=called)
    entering: dict[int, tuple[Rehearsal, Enters]] = {}
    for one in found:
        assert one.record is not None  # those without have a problem
        match verdicts[one.record.id]:
            case Enters(_, _, loop) if loop is not None:
                one.reason = Reason.LOOP_GUARD
            case Enters() as enters if one.record.id not in entering:
                one.trigger = enters.trigger
                entering[one.record.id] = one, enters
            case StaysOut(reason):
                one.reason = reason
            case _:
                # Active, if only to leave; or merged into one that was named, too.
                one.reason = Reason.ACTIVE_NOW
    return list(entering.values())


async def _entered(
    tx: Transaction, tested: Tested, entering: Sequence[tuple[Rehearsal, Enters]]
) -> dict[int, Rehearsal]:
    """The enrollments that begin, and whose they are."""
    running = tested.published
    entries = [
        Entry(running.id, running.revision, one.record.id, 0, {"kind": "DRY_RUN"}, epoch=enters.epoch)
        for one, enters in entering
        if one.record is not None
    ]
    whose = {one.record.id: one for one, _ in entering if one.record is not None}
    active = set(await standings.active_of(tx, whose)) if whose else set()
    begun = await enrollments.enter(tx, entries)
    await leaving.others(tx, [entry for _, entry in begun])
    left = active - set(await standings.active_of(tx, whose)) if whose else set()
    for enrollment_id, workflow_id, record_id in sorted(left):
        line = {"record": record_id, "workflow": workflow_id, "enrollment": enrollment_id}
        whose[record_id].entering.append({**line, "change": "UNENROLLED"})
    return {enrollment_id: whose[entry.record_id] for enrollment_id, entry in begun}


async def _note_created(tx: Transaction, one: Rehearsal) -> None:
    made = [change["created"] for change in one.changes if kind_of(change) is Kind.RECORD_CREATED]
    for row in await records.rows(tx, made) if made else ():
        if row is not None:
            one.created[row.id] = row


@dataclass(slots=True)
class _Walking:
    """Enrollments on their way, each by a clock of its own."""

    tx: Transaction
    tested: Tested
    walks: Mapping[int, Rehearsal]
    events_occur: bool
    _clocks: dict[int, datetime] = field(default_factory=dict)
    _waited: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    _sent: dict[int, list[OutboxRow]] = field(default_factory=dict)

    async def go(self) -> bool:
        """Take steps until all have come to their end; whether it was cut off before."""
        self._clocks = dict.fromkeys(self.walks, self.tx.now)
        active = await self._rows(list(self.walks))
        taken = 0
        while active:
            if taken >= STEPS_LIMIT:
                return True
            # Who is furthest behind goes first, as on the real clock.
            now, step = min((self._clocks[one.id], one.next_step) for one in active.values())
            group = [one for one in active.values() if (self._clocks[one.id], one.next_step) == (now, step)]
            self.tx.now = now
            await self._take(group)
            taken += len(group)
            active = await self._rows(list(active))
        return False

    async def _rows(self, enrollment_ids: Sequence[int]) -> dict[int, EnrollmentRow]:
        """Those that are still active; how the others ended is noted."""
        found = {}
        for row in await enrollment_pages.by_ids(self.tx, enrollment_ids):
            assert row is not None  # it was begun by this transaction
            walk = self.walks[row.id]
            walk.status, walk.error = row.status, row.error
            if row.status == "ACTIVE":
                came = self.events_occur and row.waiting == "EVENT"
                found[row.id] = replace(row, arrived={"kind": "DRY_RUN"}) if came else row
        return found

    async def _take(self, rows: Sequence[EnrollmentRow]) -> None:
        """One step for all of these; what breaks it is sought out by halves."""
        group = self._group(rows)
        try:
            async with self.tx.attempt():
                transitions = await steps.take(self.tx, self.tested.running, group, rows)
        except Exception as error:
            if fault(error) is not None:
                raise
            if len(rows) > 1:
                middle = len(rows) // 2
                await self._take(rows[:middle])
                await self._take(rows[middle:])
                return
            crash = steps.unexpected(error)
            transitions = await steps.take(self.tx, self.tested.running, group, rows, crash)
        for row, transition in zip(rows, transitions, strict=True):
            self._note(row, transition)
        await self._sends([row for row, one in zip(rows, transitions, strict=True) if one.move.waiting])

    def _group(self, rows: Sequence[EnrollmentRow]) -> DueGroup:
        first = rows[0]
        return DueGroup(first.workflow_id, first.revision, first.next_step, first.depth, ())

    def _note(self, row: EnrollmentRow, transition: Transition) -> None:
        move, step = transition.move, transition.step
        if step is not None:
            kind = self.tested.kind_of(row.next_step)
            waited, until = self._waited.pop(row.id, (None, None))
            self.walks[row.id].lines.append(Line(kind, step, waited, until, self._sent.pop(row.id, ())))
        if move.status == "ACTIVE" and move.due_at is not None and move.due_at > self._clocks[row.id]:
            occurs = self.events_occur and move.waiting == "EVENT"
            if step is None and not occurs:
                # What failed unexpectedly is tried again later, as it would be.
                kept = "RETRY" if move.attempts > row.attempts else move.waiting or "WINDOW"
                self._waited[row.id] = kept, move.due_at
            self._clocks[row.id] = self._clocks[row.id] if occurs else move.due_at

    async def _sends(self, rows: Sequence[EnrollmentRow]) -> None:
        """What was put into the outbox is noted, and has arrived."""
        sent = await outbox.of_enrollment(self.tx, [(row.id, row.steps) for row in rows]) if rows else []
        for row, several in zip(rows, sent, strict=True):
            if several:
                self._sent[row.id] = several
                self._waited[row.id] = OUTSIDE, self._clocks[row.id]
        if self._sent:
            await dry_runs.deliver(self.tx, sorted(self._sent))
