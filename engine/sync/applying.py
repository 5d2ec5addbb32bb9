"""Applying a plan: exactly what it says, as far as the world is still as it was; the rest is told as overtaken.

Each item is decided again, by both sides as they are now. What would have the same effect is carried out by the
runner's own way; then what goes out for it is sent, and what became of it is noted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine import ids
from engine.problems import NotFound
from engine.sync import effects, inbound, outbound, planning
from engine.sync.book import Book
from engine.sync.connectors.protocol import Item
from engine.sync.decide import Kind
from engine.sync.planning import (
    APPLIED,
    APPLYING,
    MAKING,
    READY,
    WANTED,
    PlanNotReady,
    PlanOutdated,
)
from engine.sync.rehearsing import cases_of, complete, look, rehearse
from engine.sync.rules import Side
from engine.sync.turns import Turn
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import dirty, holding, links, plans, syncs
from storage.sync.links import FAILED as FAILING
from storage.sync.plans import PlanItemRow, PlanRow
from storage.sync.syncs import CONFIGURED

# Items that are applied at a time.
BATCH = 200

# What became of an item.
DONE, OVERTAKEN, FAILED = "APPLIED", "OVERTAKEN", "FAILED"


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
    cursors = {"after": 0, "batch": [], "startedAt": tx.now.isoformat()}
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
    elif plan.cursors["batch"]:
        await _finish(turn, plan, now)
    else:
        await _carry_out(turn, plan, now)
    return True


async def _carry_out(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """Carry out a batch of the plan's items, as far as they are what they were."""
    async with turn.db.read(turn.account_id) as reader:
        items = await plans.items(reader, plan.id, after=int(plan.cursors["after"]), limit=BATCH)
    if not items:
        await _end(turn, plan, now)
        return
    outgoing = [item for item in items if effects.goes_out(item)]
    incoming = [item for item in items if not effects.goes_out(item)]
    present = await _present(turn, incoming)
    async with turn.db.snapshot(turn.account_id) as reader:
        asked = [item.record_id for item in outgoing if item.record_id is not None]
        looked = await look(reader, turn.rules, asked, now)
    rows = {row.record_id: row for row in await complete(turn, looked, now)}
    async with turn.hold(now) as (tx, _):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        became = await _take_in(tx, turn, incoming, present)
        became += await _send_out(tx, turn, outgoing, rows)
        await plans.outcomes(tx, plan.id, [one for one in became if one[1] != DONE])
        batch = [number for number, outcome, _ in became if outcome == DONE]
        cursors = {**held.cursors, "after": items[-1].id, "batch": batch}
        await plans.write(tx, replace(held, cursors=cursors, counts=_counted(held, became)))


async def _present(turn: Turn, items: Sequence[PlanItemRow]) -> dict[str, Item]:
    """The items over there as they are now; those that are gone are left out."""
    wanted = [item.external_id for item in items if item.external_id is not None]
    found = await turn.connector.get(turn.rules.remote, wanted) if wanted else []
    return {item.external_id: item for item in found if not item.deleted}


async def _held(tx: Transaction, turn: Turn, plan: PlanRow) -> PlanRow | None:
    """The plan, held until the commit; None where somebody has taken it on meanwhile."""
    held = await plans.lock(tx, plan.id)
    if held is None or held.state != APPLYING or held.cursors != plan.cursors:
        return None
    if held.revision != turn.revision:
        await plans.write(tx, replace(held, state=FAILED, message=PlanOutdated().message))
        _tell(tx, turn, held)
        return None
    return held


Became = tuple[int, str, str | None]


async def _take_in(
    tx: Transaction, turn: Turn, items: Sequence[PlanItemRow], present: dict[str, Item]
) -> list[Became]:
    """Do with items what was planned, where that is what would be done now."""
    there = [item for item in items if item.external_id in present]
    became: list[Became] = [
        (item.id, OVERTAKEN, "Their item is gone.") for item in items if item.external_id not in present
    ]
    cases = await cases_of(tx, turn.rules, [present[item.external_id or ""] for item in there])
    rehearsed = await rehearse(tx, turn.rules, cases)
    same: list[PlanItemRow] = []
    for item, row in zip(there, rehearsed, strict=True):
        why = _overtaken(item, row)
        if why is None:
            same.append(item)
        else:
            became.append((item.id, OVERTAKEN, why))
    # Anew: a rehearsal leaves its marks on what it was given.
    cases = await cases_of(tx, turn.rules, [present[item.external_id or ""] for item in same])
    book = Book(tx, turn.rules)
    if cases:
        await inbound.gather(tx, turn.rules, cases)
        await inbound.carry_out(tx, turn.rules, cases, book)
    await book.write()
    await inbound.associate(tx, turn.rules, cases)
    return became + [(item.id, DONE, None) for item in same]


async def _send_out(
    tx: Transaction, turn: Turn, items: Sequence[PlanItemRow], rows: dict[int | None, PlanItemRow]
) -> list[Became]:
    """Let records be sent as was planned, where that is what would be done now."""
    became: list[Became] = []
    for item in items:
        row = rows.get(item.record_id)
        why = "Our record is gone." if row is None else _overtaken(item, row)
        became.append((item.id, DONE if why is None else OVERTAKEN, why))
    going = [
        str(item.record_id) for item, (_, outcome, _) in zip(items, became, strict=True) if outcome == DONE
    ]
    await dirty.add(tx, turn.sync_id, Side.OURS.value, going, tx.now)
    return became


def _overtaken(item: PlanItemRow, now: PlanItemRow) -> str | None:
    other = item.record_id != now.record_id
    if other and item.record_id is not None:
        return "It belongs to another record now."
    found = effects.overtaken(item.kind, item.effect, now.kind, now.effect)
    return "It belongs to a record now." if other and found is None else found


async def _finish(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """Send what goes out for the batch at hand; once nothing is left of it, note what became of its items."""
    if await outbound.send(turn, now):
        return
    async with turn.hold(now) as (tx, _):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        batch = set(held.cursors["batch"])
        items = [item for item in await _of_batch(tx, plan, batch) if item.id in batch]
        became = await _became(tx, turn, items)
        await plans.outcomes(tx, plan.id, became)
        counts = _counted(held, became)
        await plans.write(tx, replace(held, cursors={**held.cursors, "batch": []}, counts=counts))


async def _of_batch(tx: Transaction, plan: PlanRow, batch: set[int]) -> list[PlanItemRow]:
    return await plans.items(tx, plan.id, after=min(batch) - 1, limit=BATCH)


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
        failed = link is not None and link.state == FAILING and item.kind != "FAIL"
        became.append((item.id, FAILED if failed else DONE, link.message if failed and link else None))
    return became


def _counted(plan: PlanRow, became: Sequence[Became]) -> dict[str, int]:
    """The plan's counts with what is known of outcomes; those that are carried out count once they are sent, too."""
    counts = dict(plan.counts)
    sent = not plan.cursors["batch"]
    for _, outcome, _ in became:
        if outcome != DONE or not sent:
            counts[outcome] = counts.get(outcome, 0) + 1
    return counts


async def _end(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """All of it is applied: the sync starts, or stays as it is with its links."""
    async with turn.hold(now) as (tx, run):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        await plans.write(tx, replace(held, state=APPLIED, cursors={}, applied_at=tx.now))
        _tell(tx, turn, held)
        if held.then_start and run.phase == CONFIGURED:
            progress: dict[str, Any] = {"done": 0, "startedAt": tx.now.isoformat()}
            await syncs.start(tx, turn.sync_id, progress)
            tx.happened(Event(EventKind.SYNC_STARTED, turn.rules.object_type.id, None, turn.sync_id, {}))


def _tell(tx: Transaction, turn: Turn, plan: PlanRow) -> None:
    told = {"plan": plan.id, "counts": plan.counts}
    tx.happened(Event(EventKind.SYNC_PLANNED, turn.rules.object_type.id, None, turn.sync_id, told))
