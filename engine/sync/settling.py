"""Creations of which it is not known whether they were done: asked about before anything else is."""

from datetime import datetime

from engine.sync import inbound, outbound
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.connectors.protocol import Create, Item, Outcome, Written
from engine.sync.turns import Turn
from storage.sync import links
from storage.sync.links import PENDING, LinkRow

SETTLED_A_STEP = 100


async def settle(turn: Turn, now: datetime) -> bool:
    """Find out what became of some creations; whether all of those are known now. Raises what the connector raises."""
    async with turn.db.read(turn.account_id) as reader:
        open_ = await links.creating(reader, turn.sync_id, SETTLED_A_STEP)
    found: dict[int, Item | None] = {}
    for link in open_:
        turn.at("created?")
        found[link.id] = await turn.connector.created(turn.rules.remote, link.create_key or "")
    missing = [link for link in open_ if found[link.id] is None]
    again: dict[int, Outcome] = {}
    if missing and turn.rules.capabilities.idempotent_create:
        # Whether or not it was done: it is not done twice.
        ops = [Create(link.create_key or "", _fields(link)) for link in missing]
        turn.at("write")
        outcomes = await turn.connector.write(turn.rules.remote, ops)
        turn.at("written")
        again = {link.id: outcome for link, outcome in zip(missing, outcomes, strict=True)}
    return await _note(turn, open_, found, again, now)


def _fields(link: LinkRow) -> dict[str, object]:
    planned = (link.planned or {}).get("fields", {})
    return {name: value for name, value in planned.items() if value is not None}


async def _note(
    turn: Turn, asked: list[LinkRow], found: dict[int, Item | None], again: dict[int, Outcome], now: datetime
) -> bool:
    met: list[Item] = []
    clear = True
    async with turn.hold(now) as (tx, _):
        present = await links.read(tx, [link.id for link in asked])
        ids = [item.external_id for item in found.values() if item is not None]
        ids += [one.external_id for one in again.values() if isinstance(one, Written)]
        others = await links.of_items(tx, turn.sync_id, [(one, None) for one in ids]) if ids else {}
        book = Book(tx, turn.rules)
        for old in asked:
            link, outcome = present.get(old.id), again.get(old.id)
            if link is None or link.create_key != old.create_key:
                continue
            item = found[old.id]
            if item is not None:
                if outbound.make_room(book, link, others.get(item.external_id)):
                    _made(book, link, item.external_id)
                    met.append(item)
            elif isinstance(outcome, Written):
                if outbound.make_room(book, link, others.get(outcome.external_id)):
                    _made(book, link, outcome.external_id)
                    book.look(link, THEIRS, now)
            elif outcome is not None:
                due = outbound.failed(turn, book, link, outcome, creating=True)
                clear = clear and link.create_key is None
                if due is not None:
                    book.look(link, OURS, due)
            else:
                link.create_key = link.planned = None
                book.keep(link)
                book.look(link, OURS, now)
        await book.write()
        if met:
            # They hold what was planned, or have changed since.
            await inbound.take_in(tx, turn.rules, met, certain=True)
    return clear


def _made(book: Book, link: LinkRow, external_id: str) -> None:
    planned = link.planned or {}
    link.external_id, link.state = external_id, PENDING
    link.base_ours, link.base_theirs = planned.get("ours", {}), planned.get("theirs", {})
    link.create_key = link.planned = None
    book.synced(link, "CREATED", THEIRS)
    book.linked.append(link)
    book.look(link, OURS, book.tx.now)
