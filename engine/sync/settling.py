"""Creations of which it is not known whether they were done: asked about before anything else is."""

from datetime import datetime

from engine.sync import inbound, outcomes
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.connectors.protocol import Item
from engine.sync.turns import Turn
from storage.sync import links
from storage.sync.links import PENDING, LinkRow

SETTLED_A_STEP = 100


async def settle(turn: Turn, now: datetime) -> bool:
    """Find out what became of some creations; whether those were all. Raises what the connector raises."""
    async with turn.db.read(turn.account_id) as reader:
        open_ = await links.creating(reader, turn.sync_id, SETTLED_A_STEP)
    found: dict[int, Item | None] = {}
    for link in open_:
        turn.at("created?")
        found[link.id] = await turn.connector.created(turn.rules.remote, link.create_key or "")
    return await _note(turn, open_, found, now)


async def _note(turn: Turn, asked: list[LinkRow], found: dict[int, Item | None], now: datetime) -> bool:
    met: list[Item] = []
    async with turn.hold(now) as (tx, _):
        present = await links.read(tx, [link.id for link in asked])
        ids = [item.external_id for item in found.values() if item is not None]
        others = await links.of_items(tx, turn.sync_id, [(one, None) for one in ids]) if ids else {}
        book = Book(tx, turn.rules)
        for old in asked:
            link = present.get(old.id)
            if link is None or link.create_key != old.create_key:
                continue
            item = found[old.id]
            if item is not None:
                if outcomes.make_room(book, link, others.get(item.external_id)):
                    _made(book, link, item.external_id)
                    met.append(item)
            else:
                _not_made(turn, book, link)
        await book.write()
        if met:
            # They hold what was planned, or have changed since.
            await inbound.take_in(tx, turn.rules, met, certain=True)
    return len(asked) < SETTLED_A_STEP


def _not_made(turn: Turn, book: Book, link: LinkRow) -> None:
    """It was not created, as far as the app can tell: it is looked for, and created, as if for the first time.

    Where the app does nothing twice under one key, under the same one, and with what was planned then: should it have
    been done after all, that is what the item holds.
    """
    same = turn.rules.capabilities.idempotent_create and link.planned is not None
    link.planned = {**(link.planned or {}), "key": link.create_key} if same else None
    link.create_key = None
    book.keep(link)
    book.look(link, OURS, book.tx.now)


def _made(book: Book, link: LinkRow, external_id: str) -> None:
    planned = link.planned or {}
    link.external_id, link.state = external_id, PENDING
    link.base_ours, link.base_theirs = planned.get("ours", {}), planned.get("theirs", {})
    link.create_key = link.planned = None
    book.synced(link, "CREATED", THEIRS)
    book.linked.append(link)
    book.look(link, OURS, book.tx.now)
