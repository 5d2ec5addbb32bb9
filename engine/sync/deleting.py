"""Deletions that follow those of the other side: all that wait are looked at together, under a brake."""

from datetime import datetime

from engine import records
from engine.batches import Mode
from engine.sync import outcomes, sending
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.categories import Category
from engine.sync.connectors.protocol import ConnectorError, Delete, Disconnected, Gone, Outcome, Written
from engine.sync.turns import Turn
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import leases, links
from storage.sync.links import EXCLUDED, LinkRow

A_STEP = 200
HELD = "DELETES_HELD"
BOTH_GONE = "It was deleted on both sides."


async def delete(turn: Turn, now: datetime) -> None:
    """Delete some of the other halves, unless they are too many: then somebody is asked."""
    async with turn.hold(now) as (tx, row):
        count, linked = await links.to_delete(tx, turn.sync_id)
        if count > max(1, turn.rules.options.delete_share * linked) and "confirmed" not in row.cursors:
            side = THEIRS if await _theirs(turn, tx) else OURS
            row.held = {"category": HELD, "side": side, "count": count, "of": linked}
            await leases.write(tx, row)
            tx.happened(
                Event(EventKind.SYNC_HELD, turn.rules.object_type.id, None, turn.sync_id, dict(row.held))
            )
            return
        if count > 0 and "confirmed" not in row.cursors:
            # The rest of these goes with them, however few are linked then.
            row.cursors = {**row.cursors, "confirmed": count}
            await leases.write(tx, row)
        some = await links.deleting(tx, turn.sync_id, min(A_STEP, turn.rules.capabilities.batch))
        here = [link for link in some if link.deleted == THEIRS and link.record_id is not None]
        book = Book(tx, turn.rules)
        if here:
            await records.archive(
                tx, [link.record_id for link in here if link.record_id is not None], Mode.PER_ITEM
            )
            for link in here:
                _gone(book, link, OURS)
        await book.write()
        there = [link for link in some if link.deleted != THEIRS]
        if count <= len(here):
            row.cursors = {name: value for name, value in row.cursors.items() if name != "confirmed"}
            await leases.write(tx, row)
    if there:
        await _over_there(turn, there, now)


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
        changed = await sending.otherwise(turn, list(zip(there, items, strict=True)))
        going = []
        for link, item in zip(there, items, strict=True):
            if item.deleted:
                outcomes[link.id] = Gone("It is gone already.")
            elif link.id in changed:
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
        if left == 0 and "confirmed" in row.cursors:
            row.cursors = {name: value for name, value in row.cursors.items() if name != "confirmed"}
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
