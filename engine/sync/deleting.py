"""Deletions that follow those of the other side: all that wait are looked at together, under a brake.

What was deleted within a day counts, too: a slow trickle is held as a flood is.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from engine import naming, records
from engine.batches import Mode
from engine.sync import outcomes
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.categories import Category
from engine.sync.connectors.protocol import ConnectorError, Delete, Disconnected, Gone, Outcome, Written
from engine.sync.decide import moved
from engine.sync.turns import Turn
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import leases, links
from storage.sync.leases import RunRow
from storage.sync.links import EXCLUDED, LinkRow

A_STEP = 200
# So many in a day are no trickle that anybody is asked about, however few are linked.
A_FEW = 10
DAY = timedelta(days=1)
HELD = "DELETES_HELD"
BOTH_GONE = "It was deleted on both sides."


async def delete(turn: Turn, now: datetime) -> None:
    """Delete some of the other halves, unless they are too many: then somebody is asked."""
    async with turn.hold(now) as (tx, row):
        count, linked = await links.to_delete(tx, turn.sync_id)
        lately = recent(row.cursors, now)
        if "confirmed" not in row.cursors:
            if too_many(count, lately, linked, turn.rules.options.delete_share):
                await _ask(tx, turn, row, count, lately, linked)
                return
            if count > 0:
                # The rest of these goes with them, however few are linked then.
                row.cursors = {**row.cursors, "confirmed": count}
        some = await links.deleting(tx, turn.sync_id, min(A_STEP, turn.rules.capabilities.batch))
        here = [link for link in some if link.deleted == THEIRS and link.record_id is not None]
        book = Book(tx, turn.rules)
        if here:
            await records.archive(
                tx, [link.record_id for link in here if link.record_id is not None], Mode.PER_ITEM
            )
            for link in here:
                _gone(book, link, OURS)
            row.cursors = counted(row.cursors, len(here), now)
        await book.write()
        there = [link for link in some if link.deleted != THEIRS]
        if count <= len(here):
            row.cursors = _done(row.cursors)
        await leases.write(tx, row)
    if there:
        await _over_there(turn, there, now)


def too_many(count: int, lately: int, linked: int, share: float) -> bool:
    """Whether somebody is asked before `count` of `linked` are deleted, when `lately` so many were. Pure."""
    return count > max(1, share * linked) or (
        count > 0 and count + lately > max(A_FEW, share * (linked + lately))
    )


def recent(cursors: Mapping[str, Any], now: datetime) -> int:
    """How many were deleted within a day, by what is kept of it: {hour: how many}."""
    since = (now - DAY).isoformat()
    return sum(int(n) for hour, n in cursors.get("deleted", {}).items() if hour > since)


def counted(cursors: Mapping[str, Any], n: int, now: datetime) -> dict[str, Any]:
    """With `n` more that were deleted now; those that somebody was asked about do not count."""
    if n == 0 or cursors.get("asked"):
        return dict(cursors)
    since, hour = (now - DAY).isoformat(), now.replace(minute=0, second=0, microsecond=0).isoformat()
    kept = {one: m for one, m in cursors.get("deleted", {}).items() if one > since}
    return {**cursors, "deleted": {**kept, hour: kept.get(hour, 0) + n}}


def _done(cursors: Mapping[str, Any]) -> dict[str, Any]:
    """All that could go is gone."""
    return {name: value for name, value in cursors.items() if name not in ("confirmed", "asked")}


async def _ask(tx: Transaction, turn: Turn, row: RunRow, count: int, lately: int, linked: int) -> None:
    side = THEIRS if await _theirs(turn, tx) else OURS
    row.held = {"category": HELD, "side": side, "count": count, "of": linked}
    if lately:
        row.held["message"] = (
            f"{count:,} of {naming.counted(linked, 'record', 'records')} would be deleted, after {lately:,} within a "
            "day: more than this sync may without asking. Confirm or refuse it with confirmSyncDeletes."
        )
    await leases.write(tx, row)
    tx.happened(Event(EventKind.SYNC_HELD, turn.rules.object_type.id, None, turn.sync_id, dict(row.held)))


async def _theirs(turn: Turn, tx: Transaction) -> bool:
    some = await links.deleting(tx, turn.sync_id, 1)
    return bool(some) and some[0].deleted == OURS


async def _over_there(turn: Turn, there: list[LinkRow], now: datetime) -> None:
    rules = turn.rules
    outcomes: dict[int, Outcome | None] = {}
    going = there
    if not rules.capabilities.conditional:
        turn.at("get")
        items = await turn.connector.get(rules.remote, [link.external_id or "" for link in there])
        turn.at("got")
        going = []
        for link, item in zip(there, items, strict=True):
            if item.deleted:
                outcomes[link.id] = Gone("It is gone already.")
            elif moved(rules, link, item):
                outcomes[link.id] = None
            else:
                going.append(link)
    if going:
        version = rules.capabilities.conditional
        ops = [Delete(link.external_id or "", link.version if version else None) for link in going]
        turn.at("write")
        answers = await turn.connector.write(rules.remote, ops)
        turn.at("written")
        outcomes |= {link.id: outcome for link, outcome in zip(going, answers, strict=True)}
    async with turn.hold(now) as (tx, row):
        present = await links.read(tx, list(outcomes))
        book = Book(tx, rules)
        for link_id, outcome in outcomes.items():
            if (known := present.get(link_id)) is not None:
                _note(turn, book, known, outcome)
        await book.write()
        left, _ = await links.to_delete(tx, turn.sync_id)
        done = sum(isinstance(outcome, Written) for outcome in outcomes.values())
        row.cursors = counted(row.cursors, done, now)
        if left == 0:
            row.cursors = _done(row.cursors)
        await leases.write(tx, row)
    for outcome in outcomes.values():
        if isinstance(outcome, Disconnected):
            raise outcome


def _note(turn: Turn, book: Book, link: LinkRow, outcome: Outcome | None) -> None:
    match outcome:
        case Written() | Gone():
            _gone(book, link, THEIRS)
        case None:
            # It has changed over there: it is read, and decided anew.
            link.deleting = False
            book.keep(link)
            book.look(link, THEIRS, book.tx.now)
        case Disconnected():
            pass
        case ConnectorError():
            link.deleting = False
            due = outcomes.failed(turn, book, link, outcome, creating=False)
            if due is not None:
                book.look(link, OURS, due)


def _gone(book: Book, link: LinkRow, side: str) -> None:
    link.deleting = False
    link.state, link.category, link.message = EXCLUDED, Category.RECORD_DELETED.value, BOTH_GONE
    link.failed_side = None
    book.synced(link, "DELETED", side)
