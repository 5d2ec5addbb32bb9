"""Reading: all items once, what has changed since, single ones again; and what a complete pass has not met.

A pass has stages, told in the sync's cursors: FULL (pages of everything), MISSING (items that were not met, looked for
one by one), OURS (records without an item), SEND (until those are worked off). The cursor moves in the transaction of
the page that it stands behind.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from engine.sync import inbound
from engine.sync.book import OURS, THEIRS
from engine.sync.connectors.protocol import CursorLost, Item, Page, Phase
from engine.sync.rules import Rules, Side
from engine.sync.turns import PAGE, Ahead, Turn
from storage import statistics
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.filters import facts
from storage.sync import dirty, ends, leases, scans, seen
from storage.sync import links as stored
from storage.sync.leases import RunRow

INITIAL, LIVE = "INITIAL", "LIVE"
FULL, MISSING, RECORDS, SEND = "FULL", "MISSING", "OURS", "SEND"
# Why a pass is made: the first one; because apps tell of no changes; to find what no change told of.
FIRST, POLL, SWEEP = "FIRST", "POLL", "SWEEP"
DAY = timedelta(days=1)
# Of what is kept with a sync's cursors, what no pass begins or ends: see `deleting`.
LASTING = ("changes", "confirmed", "asked", "deleted")
HOUR = timedelta(hours=1)
# So many reads are gathered for one transaction.
READS = 20
# Records are looked through in longer and longer strides, of so many pages, as long as most of them are linked.
STRIDES = (1, 4, 16, 64)


def pace(rules: Rules) -> timedelta:
    """How often they are asked."""
    return rules.options.pace or rules.capabilities.pace


def sweep(rules: Rules) -> timedelta:
    """How often everything is read: oftener where nobody tells us of deletions."""
    return rules.options.sweep or (DAY if rules.capabilities.tombstones else HOUR)


def begin(row: RunRow, why: str) -> None:
    """Let a pass begin."""
    row.pass_number += 1
    kept: dict[str, Any] = {name: row.cursors[name] for name in LASTING if name in row.cursors}
    row.cursors = {**kept, "stage": FULL, "why": why}


async def full(turn: Turn, row: RunRow, now: datetime) -> None:
    """One page of everything."""
    cursor = row.cursors.get("full")
    try:
        page, items = await next_page(turn, cursor)
    except CursorLost:
        async with turn.hold(now) as (tx, held):
            begin(held, held.cursors.get("why", SWEEP))
            await leases.write(tx, held)
        return
    if page.more and row.phase == INITIAL:
        # The app makes the next page while this one is written.
        look_ahead(turn, page.cursor)
    async with turn.hold(now) as (tx, held):
        if (held.cursors.get("full"), held.cursors.get("stage")) != (cursor, FULL):
            return
        first = held.cursors.get("why") == FIRST
        await inbound.take_in(tx, turn.rules, items, certain=False, full=True)
        if not first:
            await seen.put(tx, turn.sync_id, held.pass_number, [item.external_id for item in items])
        await are_in(tx, turn, held, page, len(items))


async def are_in(tx: Transaction, turn: Turn, held: RunRow, page: Page, done: int) -> None:
    """So many items are in, up to this page's last: it goes on behind them."""
    first = held.cursors.get("why") == FIRST
    held.cursors = {**held.cursors, "full": page.cursor}
    if not page.more:
        held.cursors = {name: value for name, value in held.cursors.items() if name != "full"}
        held.cursors["stage"] = MISSING
        if turn.rules.capabilities.changes and (first or "changes" not in held.cursors):
            held.cursors["changes"] = page.cursor
    _progress(tx, turn, held, done, page.total)
    await leases.write(tx, held)


def _progress(tx: Transaction, turn: Turn, row: RunRow, done: int, total: int | None) -> None:
    """How far the initial sync is; told with each page."""
    if row.phase != INITIAL:
        return
    known = {"startedAt": tx.now.isoformat(), **row.progress, "done": int(row.progress.get("done", 0)) + done}
    if total is not None:
        known["total"] = total
    row.progress = known
    _tell(
        tx, turn, EventKind.SYNC_PROGRESS, {name: known[name] for name in ("done", "total") if name in known}
    )


def _tell(tx: Transaction, turn: Turn, kind: EventKind, payload: dict[str, Any]) -> None:
    tx.happened(Event(kind, turn.rules.object_type.id, None, turn.sync_id, payload))


def look_ahead(turn: Turn, cursor: str | None) -> None:
    """Begin to read what stands behind the cursor."""
    turn.ahead = Ahead(cursor, asyncio.ensure_future(_read(turn, Phase.FULL, cursor)))


async def next_page(turn: Turn, cursor: str | None) -> tuple[Page, list[Item]]:
    """The page of everything behind the cursor, which may have been asked for already."""
    ahead = turn.ahead
    if ahead is not None and ahead.cursor == cursor:
        turn.ahead = None
        return await ahead.reading
    turn.forget()
    return await _read(turn, Phase.FULL, cursor)


async def _read(turn: Turn, phase: Phase, cursor: str | None) -> tuple[Page, list[Item]]:
    """Pages, until there is enough for one transaction; the last one, and all items."""
    items: list[Item] = []
    limit = min(turn.rules.capabilities.page, PAGE)
    for _ in range(READS):
        turn.at("read")
        page = await turn.connector.read(turn.rules.remote, phase, cursor, limit)
        turn.at("have read")
        items += page.items
        if not page.more or len(items) + limit > PAGE:
            break
        cursor = page.cursor
    return page, items


async def missing(turn: Turn, now: datetime) -> None:
    """A page of links of which the pass has not met the items: they are looked for one by one."""
    async with turn.hold(now) as (tx, held):
        if held.cursors.get("stage") != MISSING:
            return
        last: int | None = None
        # Of a first pass there is nothing to miss.
        if held.cursors.get("why") != FIRST:
            after = int(held.cursors.get("after", 0))
            gone, last = await stored.unseen(tx, turn.sync_id, held.pass_number, after, PAGE)
            await dirty.add(tx, turn.sync_id, THEIRS, gone, now)
        if last is None:
            # What was met is no longer asked for; a rest of it goes with the next pass.
            await seen.clear(tx, turn.sync_id, held.pass_number, 100 * PAGE)
        held.cursors = {name: value for name, value in held.cursors.items() if name != "after"}
        if last is not None:
            held.cursors["after"] = last
        elif held.cursors.get("why") == POLL:
            _end(tx, turn, held)
        else:
            held.cursors["stage"] = RECORDS
        await leases.write(tx, held)


async def ours(turn: Turn, now: datetime) -> None:
    """A page of records: those without an item, within the filter, are looked at."""
    rules = turn.rules
    async with turn.hold(now) as (tx, held):
        if held.cursors.get("stage") != RECORDS:
            return
        last: int | None = None
        if rules.goes(Side.THEIRS):
            after = int(held.cursors.get("after", 0))
            ids, others, last = await _unlinked(tx, rules, after)
            if ids and rules.filter_ours is not None:
                met = await facts.met(tx, rules.filter_ours, rules.object_type.id, ids, now=tx.now)
                ids = [one for one in ids if one in met]
            if held.phase == INITIAL:
                await _tell_ours(tx, turn, held, len(ids))
            ids += await _with_ends(tx, rules, others)
            await dirty.add(tx, turn.sync_id, OURS, map(str, ids), now)
        held.cursors = {name: value for name, value in held.cursors.items() if name != "after"}
        if last is not None:
            held.cursors["after"] = last
        else:
            held.cursors["stage"] = SEND
        await leases.write(tx, held)


async def _tell_ours(tx: Transaction, turn: Turn, row: RunRow, found: int) -> None:
    """How far the initial sync is with what goes out; how many there are is counted before the first page.

    Nobody knows it where a filter is to be asked of each.
    """
    rules, done = turn.rules, int(row.progress.get("done", 0))
    if "after" not in row.cursors:
        row.progress = {name: value for name, value in row.progress.items() if name != "total"}
        if rules.filter_ours is None:
            row.progress["total"] = done + await scans.waiting(tx, turn.sync_id, rules.object_type.id)
    if found:
        _progress(tx, turn, row, found, None)


async def _unlinked(tx: Transaction, rules: Rules, after: int) -> tuple[list[int], list[int], int | None]:
    """A page of records: those without an item, those with one that may matter, and its last one."""
    of = rules.object_type.id
    if any(one.other_sync_id is not None for one in rules.roles):
        return await scans.unlinked(tx, rules.sync_id, of, after, PAGE)
    ids: list[int] = []
    for stride in STRIDES:
        some, last = await scans.free(tx, rules.sync_id, of, after, stride * PAGE, PAGE - len(ids))
        ids += some
        if last is None or len(ids) == PAGE:
            return ids, [], last
        after = last
    return ids, [], after


async def _with_ends(tx: Transaction, rules: Rules, record_ids: Sequence[int]) -> list[int]:
    """Those that have associations which are synced: their other ends may be linked by now."""
    types = {
        (one.association_type.to_object_type_id, one.association_type.id)
        for one in rules.roles
        if one.other_sync_id is not None
    }
    if not types or not record_ids:
        return []
    found = await ends.of_records(tx, record_ids, sorted(types))
    return sorted({record_id for record_id, _ in found})


async def finish(turn: Turn, now: datetime) -> None:
    """All of a pass is worked off."""
    written = 0
    async with turn.hold(now) as (tx, held):
        if held.cursors.get("stage") == SEND:
            if held.phase == INITIAL:
                written = int(held.progress.get("done", 0))
            _end(tx, turn, held)
            await leases.write(tx, held)
    await statistics.refresh(turn.db, written)


def _end(tx: Transaction, turn: Turn, row: RunRow) -> None:
    why = row.cursors.get("why")
    row.cursors = {name: row.cursors[name] for name in LASTING if name in row.cursors}
    row.read_at = tx.now
    if why != POLL:
        row.swept_at = tx.now
    if row.phase == INITIAL:
        row.phase = LIVE
        row.progress = {**row.progress, "endedAt": tx.now.isoformat()}
        _tell(tx, turn, EventKind.SYNC_LIVE, {})
    row.next_at = tx.now + pace(turn.rules)


async def changes(turn: Turn, row: RunRow, now: datetime) -> None:
    """A page of what has changed since."""
    cursor = row.cursors.get("changes")
    try:
        page, items = await _read(turn, Phase.CHANGES, cursor)
    except CursorLost:
        async with turn.hold(now) as (tx, held):
            held.cursors = {name: value for name, value in held.cursors.items() if name != "changes"}
            begin(held, SWEEP)
            await leases.write(tx, held)
        return
    async with turn.hold(now) as (tx, held):
        if held.cursors.get("changes") != cursor:
            return
        await inbound.take_in(tx, turn.rules, items, certain=False)
        held.cursors = {**held.cursors, "changes": page.cursor}
        held.read_at = now
        held.next_at = now if page.more else now + pace(turn.rules)
        await leases.write(tx, held)


async def again(turn: Turn, now: datetime) -> None:
    """Items that are to be read again, one by one, are read as they are now."""
    async with turn.db.read(turn.account_id) as reader:
        rows = await dirty.due(reader, turn.sync_id, THEIRS, now, min(PAGE, turn.rules.capabilities.page))
    if not rows:
        return
    turn.at("get")
    items = await turn.connector.get(turn.rules.remote, [row.item for row in rows])
    turn.at("got")
    async with turn.hold(now) as (tx, _):
        await dirty.done(tx, turn.sync_id, THEIRS, rows)
        await inbound.take_in(tx, turn.rules, _asked(rows, items), certain=True)


def _asked(rows: Sequence[dirty.DirtyRow], items: Sequence[Item]) -> list[Item]:
    """Items under the ids that they were asked for by."""
    return [
        item if item.external_id == row.item else Item(row.item, deleted=True)
        for row, item in zip(rows, items, strict=True)
    ]
