"""Applying what goes out: records are compared, and sent by the runner's own way; and what came of that."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from engine.sync import batches, inbound, plan_ends, plan_state
from engine.sync.book import OURS, THEIRS
from engine.sync.carrying import Became, overtaken
from engine.sync.connectors.protocol import Item
from engine.sync.decide import Kind
from engine.sync.effects import refused_ends, told_of
from engine.sync.rehearsing import complete, look
from engine.sync.rules import Rules
from engine.sync.sending import holds
from engine.sync.turns import PAGE, Turn
from storage.database import Transaction
from storage.sync import dirty, links, plan_work, plans
from storage.sync.dirty import DirtyRow
from storage.sync.links import FAILED as FAILING
from storage.sync.links import LinkRow
from storage.sync.plan_items import PlanItemRow
from storage.sync.plan_work import DONE, FAILED, OVERTAKEN, SENT_ON, Undone
from storage.sync.plans import PlanRow

# What is said where somebody over there was faster than what was sent.
THERE = "It was to be created over there; something that matches it is there by now."
FASTER = "Their item has changed while this was being applied."


async def send_out(turn: Turn, plan: PlanRow, batch: Sequence[Undone], now: datetime) -> None:
    """Let records be sent as was planned, where that is what would be done now."""
    async with turn.db.snapshot(turn.account_id) as reader:
        items = await plan_work.page(reader, plan.id, [one.id for one in batch])
        later = {one.record_id: plan_ends.later(told_of(one.effect)) for one in items if one.record_id}
        looked = await look(reader, turn.rules, list(later), now, later)
    rows = {row.record_id: row for row in await complete(turn, looked)}
    became: list[Became] = []
    for item in items:
        row = rows.get(item.record_id)
        why = "Our record is gone." if row is None else overtaken(item, row)
        became.append((item.id, SENT_ON if why is None else OVERTAKEN, why))
    going = [str(item.record_id) for item, one in zip(items, became, strict=True) if one[1] == SENT_ON]
    async with turn.hold(now) as (tx, _):
        held = await plan_state.held(tx, turn, plan)
        if held is None:
            return
        await dirty.add(tx, turn.sync_id, OURS, going, tx.now)
        await plan_work.note(tx, plan.id, became)
        await plan_state.moved(tx, held, batch[-1].id)


async def finish(turn: Turn, plan: PlanRow, now: datetime) -> None:
    """Send what goes out for what is carried out; once nothing is left of it, note what became of its items."""
    if await batches.send(turn, now, plan=plan.id):
        return
    async with turn.hold(now) as (tx, _):
        held = await plan_state.held(tx, turn, plan)
        if held is None:
            return
        after, upto = int(held.cursors["sent"]), int(held.cursors["after"])
        items = await plan_work.sent(tx, plan.id, after, upto, PAGE)
        of_item = await _links(tx, turn, items)
        # Whose last word is not known: with `planned`, nobody heard it; with attempts, it was that somebody was faster.
        ids = [link.external_id for link in of_item.values() if link.planned is not None or link.attempts]
        unsure = await dirty.among(tx, turn.sync_id, THEIRS, now, [one for one in ids if one is not None])
        if not unsure:
            became = [_became(item, of_item.get(item.id)) for item in items]
            await _note(tx, held, became, items[-1].id if len(items) == PAGE else None)
            return
    await _ask(
        turn, plan, unsure, {of_item[item.id].external_id: item for item in items if item.id in of_item}, now
    )


async def _note(tx: Transaction, plan: PlanRow, became: Sequence[Became], sent: int | None) -> None:
    """Note what became of items that were sent, of a plan that is held; `sent`: the rest of them is behind this one."""
    await plan_work.note(tx, plan.id, became)
    cursors = {name: value for name, value in plan.cursors.items() if name != "sent"}
    if sent is not None:
        cursors["sent"] = sent
    counts = plan_state.counted(plan, Counter(outcome for _, outcome, _ in became))
    await plans.write(tx, replace(plan, cursors=cursors, counts=counts))


async def _ask(
    turn: Turn,
    plan: PlanRow,
    rows: Sequence[DirtyRow],
    planned: Mapping[str | None, PlanItemRow],
    now: datetime,
) -> None:
    """Nobody heard what came of what was sent for these, or somebody was faster: their items say which.

    What was written is noted, what was not is sent again; what somebody changed meanwhile is left to the sync.
    """
    turn.at("get")
    found = await turn.connector.get(turn.rules.remote, [row.item for row in rows])
    turn.at("got")
    async with turn.hold(now) as (tx, _):
        held = await plan_state.held(tx, turn, plan)
        if held is None:
            return
        known = await links.of_items(tx, turn.sync_id, [(row.item, None) for row in rows])
        same = [
            (row, item)
            for row, item in zip(rows, found, strict=True)
            if not item.deleted and row.item in known and _as_left(turn.rules, known[row.item], item)
        ]
        await dirty.done(tx, turn.sync_id, THEIRS, [row for row, _ in same])
        waiting = {row.item: plan_ends.later(told_of(planned[row.item].effect)) for row, _ in same}
        later = {one: some for one, some in waiting.items() if some is not None}
        await inbound.take_in(tx, turn.rules, [item for _, item in same], certain=True, later=later)
        others = {row.item for row in rows} - {row.item for row, _ in same}
        became: list[Became] = [(planned[one].id, OVERTAKEN, FASTER) for one in sorted(others)]
        await _note(tx, held, became, held.cursors["sent"])


def _as_left(rules: Rules, link: LinkRow, item: Item) -> bool:
    """Whether an item is as it was before something was sent, or as it was to be afterwards."""
    base, sent = link.base_theirs or {}, (link.planned or {}).get("theirs", {})
    return holds(rules, item.fields, base) or holds(rules, item.fields, {**base, **sent})


async def _links(tx: Transaction, turn: Turn, items: Sequence[PlanItemRow]) -> dict[int, LinkRow]:
    """{item's id: its link} of items that were carried out."""
    by_item = await links.of_items(
        tx, turn.sync_id, [(item.external_id, None) for item in items if item.external_id is not None]
    )
    by_record = await links.of_records(
        tx, turn.sync_id, [item.record_id for item in items if item.record_id is not None]
    )
    found = {
        item.id: by_item.get(item.external_id or "") or by_record.get(item.record_id or 0) for item in items
    }
    return {number: link for number, link in found.items() if link is not None}


def _became(item: PlanItemRow, link: LinkRow | None) -> Became:
    """What became of an item that was carried out: what was to be written, and is not, has failed."""
    if link is None and item.kind == Kind.CREATE_THEIRS:
        return item.id, OVERTAKEN, THERE
    if link is None or link.state != FAILING or item.kind == Kind.FAIL:
        return item.id, DONE, None
    shown = refused_ends(item.effect)
    if shown is not None and link.category == shown["category"]:
        return item.id, DONE, None
    return item.id, FAILED, link.message
