"""Applying a plan: exactly what it says, as far as the world is still as it was; the rest is told as overtaken.

Each item is decided again, by both sides as they are now. What would have the same effect is carried out by the
runner's own way (`carrying`, `plan_rounds`); then what goes out for it is sent, and what became of it is noted.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine import ids
from engine.problems import NotFound
from engine.sync import plan_rounds, plan_sending, plan_state, planning
from engine.sync.decide import Kind
from engine.sync.planning import (
    APPLIED,
    APPLYING,
    MAKING,
    NEWEST,
    READY,
    WANTED,
    PlanNotReady,
    PlanOutdated,
)
from engine.sync.turns import PAGE, Turn
from storage import statistics
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import holding, plan_work, plans, syncs
from storage.sync.leases import RunRow
from storage.sync.plan_work import DONE, FAILED, OVERTAKEN, SENT_ON
from storage.sync.plans import PlanRow
from storage.sync.syncs import CONFIGURED

# Records that are compared before some are sent: those that one writing takes, or so many.
FEW = 200
# What makes records or changes them.
WRITING = (Kind.CREATE_OURS, Kind.MATCH, Kind.UPDATE)


async def apply(tx: Transaction, plan_id: int, *, then_start: bool | None = None) -> PlanRow:
    """Have a plan carried out by the worker; `then_start`: whether the sync starts afterwards (None: as was asked).

    Raises `NotFound`, `PlanNotReady` and `PlanOutdated`.
    """
    (found,) = await plans.by_ids(tx, [plan_id])
    sync = None if found is None else (await holding.hold(tx, [found.sync_id])).get(found.sync_id)
    row = await plans.lock(tx, plan_id)
    if row is None or sync is None:
        raise NotFound(kind="plan", name=ids.encode("plan", plan_id), path=("planId",))
    if row.state != READY:
        raise PlanNotReady(state=row.state, path=("planId",))
    if row.revision != sync.revision:
        raise PlanOutdated(path=("planId",))
    start = row.then_start if then_start is None else then_start
    cursors = {"after": 0, "startedAt": tx.now.isoformat()}
    applying = replace(row, state=APPLYING, cursors=cursors, then_start=start)
    await plans.write(tx, applying)
    tx.news = True
    return applying


def done_of(counts: Mapping[str, int]) -> tuple[int, int]:
    """Of how many items of a plan it is known what became of them; and how many there are."""
    outcomes = sum(counts.get(one, 0) for one in (DONE, OVERTAKEN, FAILED))
    return outcomes, sum(counts.get(kind.value, 0) for kind in Kind if kind is not Kind.NONE)


async def step(turn: Turn, now: datetime) -> bool:
    """Do a little of what a sync's plans need: make one, or apply one; False where they need nothing.

    Raises what the connector raises.
    """
    async with turn.db.read(turn.account_id) as reader:
        plan = await plans.undone(reader, turn.sync_id, [WANTED, MAKING, APPLYING])
    if plan is None:
        return False
    if plan.state != APPLYING:
        await planning.make(turn, plan, now)
    elif plan.cursors.get("batch"):
        await _resume(turn, plan, now)
    elif "sent" in plan.cursors:
        await plan_sending.finish(turn, plan, now)
    else:
        await _carry_out(turn, plan, now)
    return True


async def _carry_out(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """Carry out some of the plan's items, as far as they are what they were."""
    if plan.revision != turn.revision:
        async with turn.hold(now) as (tx, _):
            await plan_state.held(tx, turn, plan)
        return
    after, few = int(plan.cursors["after"]), max(turn.rules.capabilities.batch, FEW)
    async with turn.db.read(turn.account_id) as reader:
        items = await plan_work.undone(reader, plan.id, after, few)
        if items and not items[0].out:
            items = await plan_work.undone(reader, plan.id, after, PAGE * plan_rounds.MANY)
    if not items:
        # All of it may be done, and the cursor have stayed behind.
        await _move(turn, plan, NEWEST, now)
        return
    alike = list(itertools.takewhile(lambda one: one.out == items[0].out, items))
    if items[0].out:
        await plan_sending.send_out(turn, plan, alike, now)
    else:
        await _move(turn, plan, await plan_rounds.carry_out(turn, plan, alike, now), now)


async def _move(turn: Turn, plan: PlanRow, upto: int, now: datetime) -> None:
    """All items up to this one are done; where none is left, so is the plan."""
    async with turn.hold(now) as (tx, run):
        held = await plan_state.held(tx, turn, plan)
        if held is None:
            return
        moved = await plan_state.moved(tx, held, upto)
        if upto == NEWEST and "sent" not in moved.cursors:
            await _end(tx, turn, moved, run)
            written = sum(moved.counts.get(kind, 0) for kind in WRITING)
        else:
            return
    await statistics.refresh(turn.db, written)


async def _resume(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """A plan that was being applied before outcomes were noted with their effects: its batch is carried out."""
    async with turn.hold(now) as (tx, _):
        held = await plan_state.held(tx, turn, plan)
        if held is None:
            return
        cursors = dict(held.cursors)
        batch = sorted(cursors.pop("batch"))
        await plan_work.note(tx, plan.id, [(number, SENT_ON, None) for number in batch])
        await plans.write(tx, replace(held, cursors={**cursors, "sent": batch[0] - 1}))


async def _end(tx: Transaction, turn: Turn, plan: PlanRow, run: RunRow) -> None:
    """All of it is applied: the sync starts, or stays as it is with its links."""
    await plans.write(tx, replace(plan, state=APPLIED, cursors={}, applied_at=tx.now))
    plan_state.tell(tx, turn, plan)
    if plan.then_start and run.phase == CONFIGURED:
        progress: dict[str, Any] = {"done": 0, "startedAt": tx.now.isoformat()}
        await syncs.start(tx, turn.sync_id, progress)
        tx.happened(Event(EventKind.SYNC_STARTED, turn.rules.object_type.id, None, turn.sync_id, {}))
