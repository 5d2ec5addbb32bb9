"""Whom a change may let in or out: candidates with what was before, held so that looks at them follow each other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from engine.evaluation.listening import Candidates
from engine.filters.matching import Asked
from engine.workflows import happenings, looking, published
from engine.workflows.happenings import Happening, Happenings
from engine.workflows.looking import Look
from engine.workflows.published import Published
from storage import match_states, standings, trigger_states
from storage import workflows as stored
from storage.database import Transaction
from storage.standings import StandingRow

AN_HOUR = timedelta(hours=1)

Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Enrolling:
    """The workflows that are on, each with the records that it may let in or out; nobody else looks at them now.

    `idle` are pairs of a workflow and a record for which the clock need not be looked at any more.
    """

    looks: Sequence[Look] = ()
    idle: Collection[Pair] = ()

    def asked(self) -> list[Asked]:
        """The filters to be answered, workflow by workflow."""
        return [one for look in self.looks for one in look.asked()]


async def prepare(
    tx: Transaction, found: Candidates, happened: Happenings | None = None, *, called: bool = False
) -> Enrolling:
    """Leave out workflows that are off or broken, and (unless `called`) records that nothing can happen to.

    `happened`: what occurred for some of the candidates beside their changes.
    """
    if not found:
        return Enrolling()
    running = [one for one in await published.load(tx, tx.catalogue, list(found)) if one.enabled]
    usable = [one for one in running if one.conditions is not None]
    # Looks at one record follow each other where their answers hang on what the last one left: each is then younger
    # than the last one's commit.
    await stored.hold(tx, [one.id for one in usable if one.conditions and one.conditions.guarded])
    known = await _standing(tx, usable, found)
    due = {(one, record): cause.due for one in found for record, cause in found[one].items() if cause.due}
    since = due | await _noted(tx, usable, found)
    every = {**_happened(usable, found), **(happened or {})}
    concerned = _concerned(usable, found, every, known, called=called)
    looks = await _looks(tx, usable, concerned, found, every, known, since)
    idle = since.keys() - {(look.workflow.id, record_id) for look in looks for record_id in look.causes}
    return Enrolling(looks, idle)


def _happened(usable: Sequence[Published], found: Candidates) -> dict[Pair, list[Happening]]:
    return {
        (one.id, record_id): occurred
        for one in usable
        if one.conditions is not None and one.conditions.events
        for record_id, cause in found[one.id].items()
        if (occurred := happenings.occurring(one.conditions, cause.changes))
    }


async def _standing(
    tx: Transaction, usable: Sequence[Published], found: Candidates
) -> dict[Pair, StandingRow]:
    pairs = [(one.id, record_id) for one in usable for record_id in sorted(found[one.id])]
    most = max((one.definition.guards.reenrollments_per_hour for one in usable), default=0)
    return await standings.of_pairs(tx, pairs, tx.now - AN_HOUR, most) if pairs else {}


async def _noted(tx: Transaction, usable: Sequence[Published], found: Candidates) -> dict[Pair, datetime]:
    timed = [one for one in usable if one.conditions is not None and one.conditions.timed]
    pairs = [(one.id, record_id) for one in timed for record_id in found[one.id]]
    return await match_states.noted(tx, pairs) if pairs else {}


def _concerned(
    usable: Sequence[Published],
    found: Candidates,
    happened: Happenings,
    known: Mapping[Pair, StandingRow],
    *,
    called: bool,
) -> dict[int, list[int]]:
    """{workflow: those of its candidates to whom its answers can matter}"""
    concerned: dict[int, list[int]] = {}
    for workflow in usable:
        conditions = workflow.conditions
        assert conditions is not None  # it is usable
        concerned[workflow.id] = [
            record_id
            for record_id in found[workflow.id]
            if called
            or looking.concerned(
                conditions,
                known.get((workflow.id, record_id)),
                happened=(workflow.id, record_id) in happened or bool(conditions.dated),
            )
        ]
    return concerned


async def _looks(
    tx: Transaction,
    usable: Sequence[Published],
    concerned: Mapping[int, Sequence[int]],
    found: Candidates,
    happened: Happenings,
    known: Mapping[Pair, StandingRow],
    since: Mapping[Pair, datetime],
) -> list[Look]:
    held = await _held(tx, usable, concerned, known)
    return [
        _look(workflow, concerned[workflow.id], found, happened, known, held, since)
        for workflow in usable
        if concerned[workflow.id]
    ]


async def _held(
    tx: Transaction,
    usable: Sequence[Published],
    concerned: Mapping[int, Sequence[int]],
    known: Mapping[Pair, StandingRow],
) -> dict[Pair, frozenset[int]]:
    wanted = [
        (one.id, record_id, one.state_version)
        for one in usable
        if one.conditions is not None and one.conditions.met_anew
        for record_id in concerned[one.id]
        if (one.id, record_id) in known
    ]
    return await trigger_states.held(tx, wanted) if wanted else {}


def _look(
    workflow: Published,
    records: Sequence[int],
    found: Candidates,
    happened: Happenings,
    known: Mapping[Pair, StandingRow],
    held: Mapping[Pair, frozenset[int]],
    since: Mapping[Pair, datetime],
) -> Look:
    def mine(of: Mapping[Pair, Any]) -> dict[int, Any]:
        return {one: of[workflow.id, one] for one in records if (workflow.id, one) in of}

    conditions = workflow.conditions
    assert conditions is not None  # it is usable
    causes = {record_id: found[workflow.id][record_id] for record_id in records}
    return Look(workflow, conditions, causes, mine(happened), mine(known), mine(held), mine(since))
