"""Looking at the candidates of one workflow: what to ask of whom, and what the answers make of each. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Any, TypeAlias

from engine.evaluation.listening import Cause
from engine.filters.foreseeing import Foreseen
from engine.filters.known import Facts
from engine.filters.matching import Asked
from engine.filters.predicates import predicate
from engine.workflows import occasions
from engine.workflows.bound import Bound, Dated, Happened, Linked, Met
from engine.workflows.conditions import Conditions
from engine.workflows.happenings import Happening
from engine.workflows.published import Published
from engine.workflows.rules import Earlier, Enters, Situation, Verdict, decide
from storage.record_events import RecordEventRow
from storage.standings import StandingRow

NOBODY = Foreseen(False, None)

Answers: TypeAlias = Mapping[int, Foreseen]


@dataclass(frozen=True, slots=True)
class Beside:
    """What a look needs beside the answers of filters, seen on the same snapshot.

    `values`: the properties of records for which a date is awaited; `events` by their ids.
    """

    now: datetime
    zone: tzinfo
    values: Mapping[int, Mapping[str, Any]]
    events: Mapping[int, RecordEventRow]


# Made by the thousand, and never changed: freezing costs four times as much as making them.
@dataclass(slots=True)
class Seen:
    """What a look made of one record: the verdict, and what it hangs on.

    `by` is what let it in, if anything did; `held`: the re-enrollment filters that hold; `until`: when the clock may
    make another answer of it.
    """

    record_id: int
    verdict: Verdict
    situation: Situation
    living: bool
    by: Happening | None
    renewal: Happening | None
    held: frozenset[int]
    until: datetime | None


@dataclass(slots=True)
class Look:
    """One workflow with those of its candidates that its answers can matter to.

    `since`: when the clock was to be looked at for a record. `known`: what held of the re-enrollment filters, where
    that is known.
    """

    workflow: Published
    conditions: Conditions
    causes: Mapping[int, Cause]
    happenings: Mapping[int, Sequence[Happening]]
    standing: Mapping[int, StandingRow]
    known: Mapping[int, frozenset[int]]
    since: Mapping[int, datetime]
    # Of each of the conditions' filters, whom to ask; of each trigger, which other records.
    _own: list[set[int]] = field(default_factory=list)
    _others: dict[int, set[int]] = field(default_factory=dict)
    _answers: list[Answers] = field(default_factory=list)
    _of_others: dict[int, Answers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._own = [set() for _ in self.conditions.filters]
        for record_id in self.causes:
            self._want(record_id)

    # --- what is asked --------------------------------------------------------------------------------------

    def _want(self, record_id: int) -> None:
        conditions, standing = self.conditions, self.standing.get(record_id)
        active = standing is not None and standing.active
        wanted = {conditions.suppress_at, conditions.goal_at}
        if not active or conditions.policy.unenroll_when_not_met:
            wanted.update(conditions.own[n] for n in conditions.met)
        wanted.update(conditions.own[n] for n in conditions.met_anew)
        happened = self.happenings.get(record_id, ())
        for one in happened:
            wanted.add(conditions.own[one.trigger])
            trigger = conditions.numbered[one.trigger]
            if isinstance(trigger, Linked) and trigger.other is not None:
                self._others.setdefault(one.trigger, set()).update(one.others)
        if record_id in self.since:
            wanted.update(conditions.own[n] for n in conditions.dated)
        if active or happened or record_id in self.since or self.conditions.met_anew:
            # Whether it is there at all: no filter may say so, and of one that is archived nothing is noted.
            wanted.add(0)
        for place in wanted:
            if place is not None:
                self._own[place].add(record_id)

    def asked(self) -> Iterator[Asked]:
        """The filters to be answered."""
        for filter_, whom in zip(self.conditions.filters, self._own, strict=True):
            if whom:
                yield filter_, whom, self.workflow.object_type_id
        for n, others in self._others.items():
            trigger = self.conditions.numbered[n]
            assert isinstance(trigger, Linked)  # those alone have others
            assert trigger.other is not None
            yield trigger.other, others, trigger.to_object_type_id

    def take(self, answers: Iterator[Answers]) -> None:
        """The answers to `asked`, in order."""
        self._answers = [next(answers) if whom else {} for whom in self._own]
        self._of_others = {n: next(answers) for n in self._others}

    def dates_of(self) -> Collection[int]:
        """The records whose dates must be known."""
        if not self.conditions.dated:
            return ()
        return [one for one in self.causes if one not in self.standing or self.conditions.policy.reentry]

    def events_of(self) -> Iterator[int]:
        """The events whose properties must be known."""
        for happened in self.happenings.values():
            for one in happened:
                trigger = self.conditions.numbered[one.trigger]
                if isinstance(trigger, Happened) and trigger.event is not None:
                    yield from one.others

    def worth(self) -> Collection[int]:
        """Those of whom something may come, once the answers are there; for the others nothing is to be written."""
        if self.conditions.timed or self.happenings:
            return self.causes
        places = {place for n in self.conditions.met if (place := self.conditions.own[n]) is not None}
        meeting = {one for place in places for one, answer in self._answers[place].items() if answer.holds}
        return meeting | self.standing.keys()

    # --- what comes of it -----------------------------------------------------------------------------------

    def seen(self, record_id: int, beside: Beside) -> Seen:
        """What becomes of a record, once the answers are there."""
        counting = self._counting(record_id, beside)
        first = len(self.conditions.triggers)
        current = {n: one for n, one in counting.items() if self._current(one)}
        held = frozenset(n for n in self.conditions.met_anew if n in counting)
        known = self.known.get(record_id)
        stale = self.conditions.met_anew if known is None else known
        renewed = tuple(n for n in sorted(current) if n >= first and n not in stale)
        living = record_id not in self._own[0] or self._holds(0, record_id)
        situation = Situation(
            living=living,
            met=tuple(n for n in sorted(current) if n < first),
            before=tuple(n for n in sorted(counting) if n < first and n not in current),
            renewed=renewed,
            filter_holds=any(n in counting for n in self.conditions.met),
            suppressed=self._asked(self.conditions.suppress_at, record_id),
            goal_met=self._asked(self.conditions.goal_at, record_id),
            earlier=earlier_of(self.standing.get(record_id)),
        )
        return self._judged(record_id, situation, current, held, beside)

    def again(self, seen: Seen, **known: Any) -> Seen:
        """The same with something more that is known."""
        situation = replace(seen.situation, **known)
        return replace(seen, situation=situation, verdict=decide(self.conditions.policy, situation))

    def _judged(
        self,
        record_id: int,
        situation: Situation,
        current: Mapping[int, Happening],
        held: frozenset[int],
        beside: Beside,
    ) -> Seen:
        verdict = decide(self.conditions.policy, situation)
        by = renewal = None
        if isinstance(verdict, Enters) and verdict.trigger is not None:
            by = current[verdict.trigger]
            renewal = current[situation.renewed[0]] if situation.earlier is not None else None
            depth = (renewal or by).cause.depth
            if depth:
                situation = replace(situation, depth=depth)
                verdict = decide(self.conditions.policy, situation)
        until = self._until(record_id, beside) if self.conditions.timed else None
        return Seen(record_id, verdict, situation, situation.living, by, renewal, held, until)

    def _counting(self, record_id: int, beside: Beside) -> dict[int, Happening]:
        """The triggers that hold or have occurred, each with what counts; of several the nearest to the outside."""
        conditions, found = self.conditions, dict[int, Happening]()
        for n in (*conditions.met, *conditions.met_anew):
            if self._asked(conditions.own[n], record_id):
                found[n] = Happening(n, self.causes[record_id])
        happened = [*self.happenings.get(record_id, ()), *self._dated(record_id, beside)]
        for one in sorted(happened, key=lambda one: one.cause.depth):
            if one.trigger in found:
                continue
            place = conditions.own[one.trigger]
            met = self._holds(0 if place is None else place, record_id)
            answers = self._of_others.get(one.trigger, {})
            if met and (counts := occurred(conditions.numbered[one.trigger], one, answers, beside)):
                found[one.trigger] = counts
        return found

    def _dated(self, record_id: int, beside: Beside) -> Iterator[Happening]:
        """The dates that have come since they were first awaited: what was past then is nothing that comes."""
        since = self.since.get(record_id)
        if since is None or since > beside.now or record_id not in beside.values:
            return
        turned_on = self.workflow.enabled_at
        for n, at, trigger in self._dates(record_id, beside):
            if since <= at <= beside.now and (turned_on is None or at >= turned_on):
                told = {"kind": "DATE", "record": record_id, "property": trigger.property.name}
                cause = replace(self.causes[record_id], told={**told, "at": at.isoformat()})
                yield Happening(n, cause, (), occasions.dated_key(trigger.property.id, at))

    def _dates(self, record_id: int, beside: Beside) -> Iterator[tuple[int, datetime, Dated]]:
        values = beside.values.get(record_id)
        for n in self.conditions.dated if values is not None else ():
            trigger = self.conditions.numbered[n]
            assert isinstance(trigger, Dated)
            at = occasions.reached(trigger, (values or {}).get(trigger.property.name), beside.zone)
            if at is not None:
                yield n, at, trigger

    def _until(self, record_id: int, beside: Beside) -> datetime | None:
        found = [
            answers[record_id].until
            for answers, moves in zip(self._answers, self.conditions.moving, strict=True)
            if moves and record_id in answers
        ]
        found += [at for _, at, _ in self._dates(record_id, beside) if at > beside.now]
        return min((at for at in found if at is not None), default=None)

    def _current(self, one: Happening) -> bool:
        # A walk that outlived a turning off and on again tells of what was before.
        return one.cause.version >= self.workflow.enabled_version

    def _asked(self, place: int | None, record_id: int) -> bool:
        return place is not None and self._holds(place, record_id)

    def _holds(self, place: int, record_id: int) -> bool:
        return self._answers[place].get(record_id, NOBODY).holds


def occurred(trigger: Bound, happening: Happening, others: Answers, beside: Beside) -> Happening | None:
    """What counts of a happening, the record itself being as it should: with those others that are, too."""
    match trigger:
        case Linked(other=other) if other is not None:
            met = tuple(one for one in happening.others if others.get(one, NOBODY).holds)
        case Happened(event=event) if event is not None:
            facts = Facts(records={one: beside.events[one].properties for one in beside.events})
            holds = predicate(event, beside.now)
            met = tuple(one for one in happening.others if one in beside.events and holds(one, facts))
        case _:
            return happening
    if not met:
        return None
    key = "event" if isinstance(trigger, Happened) else "associated"
    cause = replace(happening.cause, told={**happening.cause.told, key: met[0]})
    return replace(happening, others=met, cause=cause)


def earlier_of(standing: StandingRow | None) -> Earlier | None:
    """An enrollment as the rules know it."""
    if standing is None:
        return None
    by_filter = standing.kind in (None, "filterMet")
    return Earlier(standing.epoch, standing.active, by_filter, standing.recent, standing.stopped)


def concerned(conditions: Conditions, standing: StandingRow | None, *, happened: bool) -> bool:
    """Whether the answers of a workflow can matter to a record that stands so."""
    if standing is None:
        return happened or any(isinstance(one, Met) for one in conditions.triggers)
    if standing.active:
        # A date that is changed meanwhile may come when it is active no more.
        dated = conditions.policy.reentry and bool(conditions.dated)
        return conditions.leaving or bool(conditions.met_anew) or dated
    return conditions.policy.reentry
