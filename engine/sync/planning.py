"""Previews: what a sync would do with every record and item, found step by step by the worker, written nowhere else.

Each is rehearsed. Deletions are not looked for: a preview is about what is there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine import ids
from engine.problems import NotFound, Problem
from engine.sync import matching
from engine.sync.cases import Case
from engine.sync.categories import Category
from engine.sync.connectors.protocol import CursorLost, Item, Phase, Rejected
from engine.sync.decide import Kind
from engine.sync.effects import told_of
from engine.sync.rehearsing import cases_of, complete, look, rehearse
from engine.sync.rules import Rules, Side
from engine.sync.turns import Turn
from storage import statistics
from storage.changes import Event, EventKind
from storage.database import Queryable, Transaction
from storage.filters import facts
from storage.sync import holding, plan_items, plans
from storage.sync.plan_items import PlanItemRow
from storage.sync.plans import PlanRow

NEWEST = 2**63 - 1

# States of a plan.
WANTED, MAKING, READY, APPLYING, APPLIED, FAILED = (
    "WANTED",
    "MAKING",
    "READY",
    "APPLYING",
    "APPLIED",
    "FAILED",
)
# Our records that are looked at in a step, and items of former plans that are forgotten in one.
RECORDS = 500
FORGOTTEN = 5_000


class PlanNotReady(Problem):
    """The plan is {state}: only one that is READY can be applied."""


class PlanOutdated(Problem):
    """The sync's definition has changed since this plan was made: preview it again."""


async def want(tx: Transaction, sync_id: int, *, then_start: bool = True) -> PlanRow:
    """Ask for a preview of a sync; the worker makes it. One that is being made is given up. Raises `NotFound`."""
    held = (await holding.hold(tx, [sync_id])).get(sync_id)
    if held is None:
        raise NotFound(kind="sync", name=ids.encode("sync", sync_id))
    await plans.supersede(tx, sync_id, "Another preview was asked for.", [WANTED, MAKING])
    (number,) = await tx.new_ids(1)
    row = PlanRow(
        number,
        sync_id,
        held.revision,
        WANTED,
        {},
        {},
        then_start,
        None,
        tx.now,
        None,
        None,
        tx.actor.user_id,
    )
    await plans.insert(tx, row)
    tx.news = True
    return row


async def give_up(tx: Transaction, sync_id: int, message: str) -> None:
    """A sync has nothing to go by: whoever waits for a preview of it is told why there is none."""
    await holding.hold(tx, [sync_id])
    await plans.supersede(tx, sync_id, message, [WANTED, MAKING])


async def get(reader: Queryable, plan_ids: Sequence[int]) -> list[PlanRow | None]:
    """These plans, in the order asked."""
    return await plans.by_ids(reader, plan_ids)


async def of_sync(reader: Queryable, sync_id: int, *, before: int = NEWEST, first: int = 50) -> list[PlanRow]:
    """A sync's plans with ids below `before`, newest first."""
    return await plans.of_sync(reader, sync_id, before=before, limit=first)


async def items(
    reader: Queryable,
    plan_id: int,
    *,
    kind: str | None = None,
    outcome: str | None = None,
    after: int = 0,
    first: int = 50,
) -> list[PlanItemRow]:
    """Up to `first` items of a plan with ids above `after`: all, or of one kind, or with one outcome."""
    return await plan_items.page(reader, plan_id, kind=kind, outcome=outcome, after=after, limit=first)


async def make(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """Do a little of a preview that is wanted. Raises what the connector raises, unless that will not change by itself.

    In that case the plan has failed.
    """
    rules = turn.rules
    async with turn.hold(now) as (tx, _):
        if await plans.forget(tx, turn.sync_id, plan.id, FORGOTTEN):
            return
    if plan.cursors.get("after") is not None:
        await _ours(turn, plan, int(plan.cursors["after"]), now)
        return
    cursor = plan.cursors.get("theirs")
    try:
        page = await turn.connector.read(rules.remote, Phase.FULL, cursor, rules.capabilities.page)
    except (CursorLost, Rejected) as problem:
        async with turn.hold(now) as (tx, _):
            if (held := await _held(tx, turn, plan)) is not None:
                if isinstance(problem, CursorLost) and cursor is not None:
                    # From the beginning: what the plan speaks of already is passed over.
                    await _put(tx, held, [], {})
                else:
                    await plans.write(tx, replace(held, state=FAILED, message=str(problem)))
                    _tell(tx, rules, held)
        return
    await _theirs(turn, plan, page.items, {"theirs": page.cursor} if page.more else {"after": 0}, now)


async def _theirs(
    turn: Turn, plan: PlanRow, given: Sequence[Item], cursors: dict[str, Any], now: datetime
) -> None:
    """Plan what becomes of a page of items."""
    async with turn.hold(now) as (tx, _):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        distinct = {item.external_id: item for item in given if not item.deleted}
        _, known = await plan_items.taken(tx, plan.id, [], list(distinct))
        cases = await cases_of(tx, turn.rules, [distinct[one] for one in distinct if one not in known])
        rows = await rehearse(tx, turn.rules, cases, plan.id)
        written = await _put(tx, held, await _once(tx, turn.rules, plan.id, cases, rows), cursors)
    await statistics.planned(turn.db, _size(held), _size(written))


async def _once(
    tx: Transaction, rules: Rules, plan_id: int, cases: Sequence[Case], rows: Sequence[PlanItemRow]
) -> list[PlanItemRow]:
    """What no two records can have is planned for one alone: the other would be refused, though nothing is yet."""
    unique = [matcher for matcher in rules.matchers if matcher.property.is_unique]
    keys = [
        next((key for key in matching.keys_of_item(unique, case.item) if key), None)
        if row.kind == Kind.CREATE_OURS
        else None
        for case, row in zip(cases, rows, strict=True)
    ]
    known = await plan_items.keyed(tx, plan_id, [key for key in keys if key])
    refused = {
        "category": Category.UNIQUE_VALUE_CONFLICT.value,
        "message": "Another item would have made a record with this unique value before.",
        "side": Side.OURS.value,
    }
    return [
        replace(row, kind=Kind.FAIL.value, effect=row.effect | {"problem": refused})
        if key in known
        else replace(row, match_key=key)
        for row, key in zip(rows, keys, strict=True)
    ]


async def _ours(turn: Turn, plan: PlanRow, after: int, now: datetime) -> None:
    """Plan what becomes of records that no item is linked or matched with."""
    rules = turn.rules
    async with turn.db.snapshot(turn.account_id) as reader:
        found, last = await plan_items.unplanned(
            reader, plan.id, turn.sync_id, rules.object_type.id, after=after, limit=RECORDS
        )
        if rules.filter_ours is not None and found:
            # What nobody links yet, and is outside, stays so: a filter lets few of many through.
            met = await facts.met(reader, rules.filter_ours, rules.object_type.id, found, now=now)
            found = [one for one in found if one in met]
        looked = await look(reader, rules, found, now)
    rows = [row for row in await complete(turn, looked) if row.kind != Kind.NONE]
    async with turn.hold(now) as (tx, _):
        held = await _held(tx, turn, plan)
        if held is None:
            return
        after_this = await _put(tx, held, rows, {"after": last} if last is not None else {})
        if last is None:
            await plans.write(tx, replace(after_this, state=READY, ready_at=tx.now))
            _tell(tx, rules, after_this)
    await statistics.planned(turn.db, _size(held), _size(after_this))


async def _held(tx: Transaction, turn: Turn, plan: PlanRow) -> PlanRow | None:
    """The plan, held until the commit as its sync is; None where it is no longer to be made."""
    held = await plans.lock(tx, plan.id)
    if held is None or held.state not in (WANTED, MAKING) or held.cursors != plan.cursors:
        return None
    if turn.revision != held.revision:
        await plans.write(tx, replace(held, state=FAILED, message=PlanOutdated().message))
        _tell(tx, turn.rules, held)
        return None
    return held


async def _put(
    tx: Transaction, plan: PlanRow, rows: Sequence[PlanItemRow], cursors: dict[str, Any]
) -> PlanRow:
    """Add items to a plan that is held, and note how far it is; the plan as it is then."""
    kept = [row for row in rows if row.kind != Kind.NONE]
    numbers = await tx.new_ids(len(kept)) if kept else ()
    put = await plan_items.put(
        tx, plan.id, [replace(row, id=number) for row, number in zip(kept, numbers, strict=True)]
    )
    here = Counter(row.kind for number, row in zip(numbers, kept, strict=True) if number in put)
    here[Kind.NONE.value] = len(rows) - len(kept)
    for number, row in zip(numbers, kept, strict=True):
        if number in put:
            for one in told_of(row.effect):
                here[f"{one['did']} {one['side']}"] += one.get("count", 1)
    counts = dict(plan.counts)
    for name, n in here.items():
        if n:
            counts[name] = counts.get(name, 0) + n
    written = replace(plan, state=MAKING, cursors=cursors, counts=counts)
    await plans.write(tx, written)
    return written


def _size(plan: PlanRow) -> int:
    """How many records and items a plan has looked at."""
    return sum(plan.counts.get(kind.value, 0) for kind in Kind)


def _tell(tx: Transaction, rules: Rules, plan: PlanRow) -> None:
    told = {"plan": plan.id, "counts": plan.counts}
    tx.happened(Event(EventKind.SYNC_PLANNED, rules.object_type.id, None, rules.sync_id, told))
