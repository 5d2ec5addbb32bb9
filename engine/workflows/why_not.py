"""Why a record is not enrolled in a workflow: the rules' own reason, what they saw, and the least that must change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine import filters, ids
from engine.evaluation.listening import Cause
from engine.filters.explaining import Explaining, Seen, told
from engine.filters.facts import TooWide, fetch, needs
from engine.filters.predicates import fold
from engine.problems import NotFound, Problem
from engine.workflows import enough, published
from engine.workflows.conditions import Conditions
from engine.workflows.definition import Definition
from engine.workflows.definition.parts import Where
from engine.workflows.looking import Beside, Look
from engine.workflows.nearest import nearest
from engine.workflows.needed import Needed, Path, Way
from engine.workflows.published import Published
from engine.workflows.rules import Enters, Leaves, Policy, Reason, Situation, StaysOut, decide
from engine.workflows.seen import Condition, Role
from storage import passes, pending, records, standings, trigger_states
from storage import workflows as stored
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.filters.tree import Filter
from storage.pending import Pending
from storage.records import RecordRow
from storage.standings import StandingRow
from storage.workflows import WorkflowRow

WRONG_OBJECT_TYPE, NOT_EXAMINED_YET = "WRONG_OBJECT_TYPE", "NOT_EXAMINED_YET"


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The answer. `needed` None: nothing would enroll it; empty: nothing need be done, it is still to be examined."""

    workflow: WorkflowRow
    record: RecordRow
    reason: str
    standing: StandingRow | None = None
    conditions: Sequence[Condition] = ()
    needed: Sequence[Needed] | None = None
    problems: Sequence[Problem] = ()
    pending: Pending | None = None


async def why_not(
    reader: Queryable, catalogue: Catalogue, workflow_id: int, record_id: int, *, now: datetime
) -> WhyNot:
    """Why a record is not enrolled, as all of it stands on the reader's snapshot. Merged ones are their survivors.

    Raises `NotFound`.
    """
    (workflow,) = await stored.by_ids(reader, [workflow_id])
    if workflow is None or workflow.deleted_at is not None:
        raise NotFound(kind="workflow", name=ids.encode("workflow", workflow_id), path=("workflow",))
    (record,) = await records.resolve(reader, [record_id])
    if record is None:
        raise NotFound(kind="record", name=ids.encode("record", record_id), path=("record",))
    if record.object_type_id != workflow.object_type_id:
        return WhyNot(workflow, record, WRONG_OBJECT_TYPE)
    running = await _running(reader, catalogue, workflow)
    if running.conditions is None:
        return _broken(workflow, record, running)
    look, standing = await _look(reader, catalogue, running, running.conditions, record.id, now)
    seen = look.seen(record.id, Beside(now, ZoneInfo(catalogue.time_zone), {}, {}))
    own = (await passes.makers(reader, [record.id])).get(record.id) == workflow.id
    living = record.archived_at is None
    seen = look.again(seen, enabled=running.enabled, living=living, own=own)
    explained = await _Explained.of(reader, catalogue, running, record.id, now) if living else None
    conditions = tuple(_conditions(running.conditions, running.definition, seen.situation, explained))
    around = {record.id} if explained is None else explained.around
    left = await pending.of_record(reader, workflow.id, record.id, around, now)
    reason = reason_of(running.conditions, seen.situation, left)
    needed = enough.to_enroll(reason, running, seen.situation, conditions)
    return WhyNot(workflow, record, reason, standing, conditions, needed, (), left)


def reason_of(conditions: Conditions, situation: Situation, left: Pending) -> str:
    """Why it is out, as the rules say it; `left` is what is still to be examined. Pure.

    `situation` is as if something that concerns the record had just changed. Whoever would enter then, and has not,
    has met the triggers since before the workflow was turned on, or is still to be examined.
    """
    policy: Policy = conditions.policy
    match decide(policy, situation):
        case StaysOut(reason):
            # Occurrences are not seen in what a record is like; they wait with the change that they came with.
            coming = reason in (Reason.TRIGGER_NOT_MET, Reason.NO_REENROLLMENT_TRIGGER)
            return NOT_EXAMINED_YET if coming and conditions.events and left.any else reason
        case Leaves():
            return Reason.ACTIVE_NOW
        case Enters(_, _, loop) if loop is not None:
            return Reason.LOOP_GUARD
        case _:
            if left.any or situation.earlier is not None:
                return NOT_EXAMINED_YET
            before = Situation(before=situation.met, filter_holds=situation.filter_holds)
            verdict = decide(policy, before)
            return verdict.reason if isinstance(verdict, StaysOut) else NOT_EXAMINED_YET


def _broken(workflow: WorkflowRow, record: RecordRow, running: Published) -> WhyNot:
    living = record.archived_at is None
    situation = Situation(enabled=running.enabled, usable=False, living=living)
    verdict = decide(Policy(), situation)
    assert isinstance(verdict, StaysOut)  # nobody enters what is broken
    needed = enough.repaired(verdict.reason, running)
    return WhyNot(workflow, record, verdict.reason, needed=needed, problems=running.broken)


async def _running(reader: Queryable, catalogue: Catalogue, workflow: WorkflowRow) -> Published:
    """What is published; before the first publication, the draft."""
    if workflow.published_revision is None:
        return published.of_document(workflow.id, workflow.object_type_id, workflow.draft, catalogue)
    (found,) = await published.load(reader, catalogue, [workflow.id])
    return found


async def _look(
    reader: Queryable,
    catalogue: Catalogue,
    running: Published,
    conditions: Conditions,
    record_id: int,
    now: datetime,
) -> tuple[Look, StandingRow | None]:
    """The evaluator's look at the record, as if something that concerns it had just changed."""
    pair = (running.id, record_id)
    most = running.definition.guards.reenrollments_per_hour
    known = await standings.of_pairs(reader, [pair], now - enough.AN_HOUR, most)
    held = await trigger_states.held(reader, [(*pair, running.state_version)]) if conditions.met_anew else {}
    cause = Cause({}, now, 0, catalogue.version)
    look = Look(
        running,
        conditions,
        {record_id: cause},
        {},
        {one[1]: standing for one, standing in known.items()},
        {one[1]: triggers for one, triggers in held.items()},
        {},
    )
    # Who is active is asked about leaving alone; why it would be let in is told from the trees.
    answers = await filters.foreseen(reader, catalogue, list(look.asked()), now=now)
    look.take(iter(answers))
    return look, known.get(pair)


# --- what is seen -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Explained:
    """What each of the conditions' filters saw of the record; those that look at too much are missing."""

    record_id: int
    catalogue: Catalogue
    seen: Mapping[Filter, Seen]

    @classmethod
    async def of(
        cls, reader: Queryable, catalogue: Catalogue, running: Published, record_id: int, now: datetime
    ) -> "_Explained":
        assert running.conditions is not None  # it is usable
        every = running.conditions.filters
        seen: dict[Filter, Seen] = {}
        try:
            facts, types = await fetch(reader, [(needs(one, shown=True), {record_id}) for one in every])
        except TooWide:
            return cls(record_id, catalogue, seen)
        if record_id in types:
            seen = {one: fold(one, now, Explaining(now))(record_id, facts) for one in every}
        return cls(record_id, catalogue, seen)

    @property
    def around(self) -> set[int]:
        """All records that were looked at."""
        found, rest = {self.record_id}, list(self.seen.values())
        while rest:
            one = rest.pop()
            rest += one.parts
            found.update(other for other, _, _ in one.looked)
            rest += [inner for _, _, inner in one.looked if inner is not None]
        return found

    def tree(self, own: Filter | None, where: Where | None) -> dict[str, Any] | None:
        """What a filter saw, as JSON."""
        if own is None or where is None or own not in self.seen:
            return None
        return told(self.seen[own], where, self.catalogue)

    def way(self, own: Filter | None, where: Where | None, path: Path, *, holds: bool) -> Way | None:
        """The least that must change for a filter to hold, or not to."""
        if own is None or where is None:
            return Way()
        seen = self.seen.get(own)
        return None if seen is None else nearest(seen, where, self.record_id, holds=holds, path=path)


def _conditions(
    conditions: Conditions, definition: Definition, situation: Situation, explained: _Explained | None
) -> Iterator[Condition]:
    first = len(conditions.triggers)
    for n, trigger in enumerate(conditions.numbered):
        role = Role.TRIGGER if n < first else Role.REENROLLMENT
        key = "triggers" if n < first else "reenrollmentTriggers"
        at = n if n < first else n - first
        kind = conditions.kinds[n]
        path = (key, at, kind, enough.where_key(trigger))
        where = trigger.where
        seen = None if explained is None or trigger.own is None else explained.seen.get(trigger.own)
        if n not in conditions.met + conditions.met_anew:
            holds = False
        else:
            # What looks at too much to be shown was answered nevertheless.
            holds = n in situation.met + situation.renewed if seen is None else seen.holds
        if explained is None:
            yield Condition(role, at, kind, holds)
            continue
        way = explained.way(trigger.own, where, path, holds=True)
        yield Condition(role, at, kind, holds, explained.tree(trigger.own, where), way)
    for role, own, where, key, holds in (
        (
            Role.SUPPRESSION,
            conditions.suppress,
            definition.suppress_when,
            "suppressWhen",
            situation.suppressed,
        ),
        (Role.GOAL, conditions.goal, definition.goal, "goal", situation.goal_met),
    ):
        if own is None:
            continue
        if explained is None:
            yield Condition(role, None, None, holds)
        else:
            way = explained.way(own, where, (key,), holds=False)
            yield Condition(role, None, None, holds, explained.tree(own, where), way)
