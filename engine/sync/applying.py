"""Applying a plan: exactly what it says, as far as the world is still as it was; the rest is told as overtaken.

Each item is decided again, by both sides as they are now. What would have the same effect is carried out by the
runner's own way (`carrying`, `plan_rounds`); then what goes out for it is sent, and what became of it is noted.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine import ids
from engine.problems import NotFound
from engine.sync import outbound, plan_rounds, planning
from engine.sync.carrying import Became, overtaken
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
from engine.sync.planning import FAILED as NOT_DONE
from engine.sync.rehearsing import complete, look
from engine.sync.rules import Side
from engine.sync.turns import PAGE, Turn
from storage import statistics
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import dirty, holding, links, plan_work, plans, syncs
from storage.sync.leases import RunRow
from storage.sync.links import FAILED as FAILING
from storage.sync.plan_work import DONE, FAILED, OVERTAKEN, SENT_ON, Undone
from storage.sync.plans import PlanItemRow, PlanRow
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
        raise NotFound(kind="plan", name=ids.encode("plan", plan_id))
    if row.state != READY:
        raise PlanNotReady(state=row.state)
    if row.revision != sync.revision:
        raise PlanOutdated
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
        await _finish(turn, plan, now)
    else:
        await _carry_out(turn, plan, now)
    return True


async def _carry_out(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """Carry out some of the plan's items, as far as they are what they were."""
    if plan.revision != turn.revision:
        async with turn.hold(now) as (tx, _):
            await _held(tx, turn, plan)
        return
    after = int(plan.cursors["after"])
    async with turn.db.read(turn.account_id) as reader:
        items = await plan_work.undone(reader, plan.id, after, PAGE * plan_rounds.MANY)
    if not items:
        # All of it may be done, and the cursor have stayed behind.
        await _move(turn, plan, NEWEST, now)
        return
    alike = list(itertools.takewhile(lambda one: one.out == items[0].out, items))
    if items[0].out:
        await _send_out(turn, plan, alike[: min(max(turn.rules.capabilities.batch, FEW), PAGE)], now)
    else:
        await _move(turn, plan, await plan_rounds.carry_out(turn, plan, alike, now), now)


async def _send_out(turn: Turn, plan: PlanRow, batch: Sequence[Undone], now: datetime) -> None:
    """Let records be sent as was planned, where that is what would be done now."""
    async with turn.db.snapshot(turn.account_id) as reader:
        items = await plan_work.page(reader, plan.id, [one.id for one in batch])
        looked = await look(reader, turn.rules, [one.record_id for one in items if one.record_id], now)
    rows = {row.record_id: row for row in await complete(turn, looked, now)}
    became: list[Became] = []
    for item in items:
        row = rows.get(item.record_id)
        why = "Our record is gone." if row is None else overtaken(item, row)
        became.append((item.id, SENT_ON if why is None else OVERTAKEN, why))
    going = [str(item.record_id) for item, one in zip(items, became, strict=True) if one[1] == SENT_ON]
    async with turn.hold(now) as (tx, _):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        await dirty.add(tx, turn.sync_id, Side.OURS.value, going, tx.now)
        await plan_work.note(tx, plan.id, became)
        await _moved(tx, held, batch[-1].id)


async def _move(turn: Turn, plan: PlanRow, upto: int, now: datetime) -> None:
    """All items up to this one are done; where none is left, so is the plan."""
    async with turn.hold(now) as (tx, run):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        moved = await _moved(tx, held, upto)
        if upto == NEWEST and "sent" not in moved.cursors:
            await _end(tx, turn, moved, run)
            written = sum(moved.counts.get(kind, 0) for kind in WRITING)
        else:
            return
    await statistics.refresh(turn.db, written)


async def _moved(tx: Transaction, plan: PlanRow, upto: int) -> PlanRow:
    """Move the cursor of a plan that is held, and count what it passes; the plan as it is then."""
    after = int(plan.cursors["after"])
    found = dict(await plan_work.count(tx, plan.id, after, upto))
    cursors = {**plan.cursors, "after": upto}
    if found.pop(SENT_ON, 0):
        # What goes out for them goes first; then it is looked at what came of it, from here on.
        cursors["sent"] = after
    moved = replace(plan, cursors=cursors, counts=_counted(plan, found))
    await plans.write(tx, moved)
    return moved


async def _held(tx: Transaction, turn: Turn, plan: PlanRow) -> PlanRow | None:
    """The plan, held until the commit; None where somebody has taken it on meanwhile."""
    held = await plans.lock(tx, plan.id)
    if held is None or held.state != APPLYING or held.cursors != plan.cursors:
        return None
    if held.revision != turn.revision:
        await plans.write(tx, replace(held, state=NOT_DONE, message=PlanOutdated().message))
        _tell(tx, turn, held)
        return None
    return held


async def _finish(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """Send what goes out for what is carried out; once nothing is left of it, note what became of its items."""
    if await outbound.send(turn, now):
        return
    async with turn.hold(now) as (tx, _):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        cursors = dict(held.cursors)
        items = await plan_work.sent(tx, plan.id, int(cursors.pop("sent")), int(cursors["after"]), PAGE)
        became = await _became(tx, turn, items)
        await plan_work.note(tx, plan.id, became)
        if len(items) == PAGE:
            cursors["sent"] = items[-1].id
        counts = _counted(held, Counter(outcome for _, outcome, _ in became))
        await plans.write(tx, replace(held, cursors=cursors, counts=counts))


async def _became(tx: Transaction, turn: Turn, items: Sequence[PlanItemRow]) -> list[Became]:
    """What became of items that were carried out: what was to be written, and is not, has failed."""
    by_item = await links.of_items(
        tx, turn.sync_id, [(item.external_id, None) for item in items if item.external_id is not None]
    )
    by_record = await links.of_records(
        tx, turn.sync_id, [item.record_id for item in items if item.record_id is not None]
    )
    became: list[Became] = []
    for item in items:
        link = by_item.get(item.external_id or "") or by_record.get(item.record_id or 0)
        failed = link is not None and link.state == FAILING and item.kind != Kind.FAIL
        became.append((item.id, FAILED if failed else DONE, link.message if failed and link else None))
    return became


async def _resume(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """A plan that was being applied before outcomes were noted with their effects: its batch is carried out."""
    async with turn.hold(now) as (tx, _):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        cursors = dict(held.cursors)
        batch = sorted(cursors.pop("batch"))
        await plan_work.note(tx, plan.id, [(number, SENT_ON, None) for number in batch])
        await plans.write(tx, replace(held, cursors={**cursors, "sent": batch[0] - 1}))


def _counted(plan: PlanRow, became: Mapping[str, int]) -> dict[str, int]:
    counts = dict(plan.counts)
    for outcome, n in became.items():
        counts[outcome] = counts.get(outcome, 0) + n
    return counts


async def _end(tx: Transaction, turn: Turn, plan: PlanRow, run: RunRow) -> None:
    """All of it is applied: the sync starts, or stays as it is with its links."""
    await plans.write(tx, replace(plan, state=APPLIED, cursors={}, applied_at=tx.now))
    _tell(tx, turn, plan)
    if plan.then_start and run.phase == CONFIGURED:
        progress: dict[str, Any] = {"done": 0, "startedAt": tx.now.isoformat()}
        await syncs.start(tx, turn.sync_id, progress)
        tx.happened(Event(EventKind.SYNC_STARTED, turn.rules.object_type.id, None, turn.sync_id, {}))


def _tell(tx: Transaction, turn: Turn, plan: PlanRow) -> None:
    told = {"plan": plan.id, "counts": plan.counts}
    tx.happened(Event(EventKind.SYNC_PLANNED, turn.rules.object_type.id, None, turn.sync_id, told))
