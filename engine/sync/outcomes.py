"""What came of what was sent: noted with the link, and when it is looked at again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, assert_never

from engine.sync import backoff, inbound
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    ConnectorError,
    CursorLost,
    Disconnected,
    Exists,
    Gone,
    Item,
    Rejected,
    Retry,
    Stale,
    Unclear,
    Written,
)
from engine.sync.merge import Merged
from engine.sync.redescribing import TELLING
from engine.sync.sending import Send, holds
from engine.sync.turns import Turn
from storage.database import Transaction
from storage.sync import dirty, links
from storage.sync.dirty import DirtyRow
from storage.sync.links import FAILED, IN_SYNC, PENDING, LinkRow


async def note(turn: Turn, sending: Sequence[Send], now: datetime, *, planned: bool = False) -> None:
    """Note it. What was met is taken in; of a plan, it is left for the sync, and the link as if nothing had begun."""
    async with turn.hold(now) as (tx, _):
        # As they are now: they are ours as long as the sync is, but people may have asked for something meanwhile.
        present = await links.still(tx, [one.link for one in sending], sending[0].writer)
        made = [one.outcome.external_id for one in sending if one.key and isinstance(one.outcome, Written)]
        others = await links.of_items(tx, turn.sync_id, [(one, None) for one in made]) if made else {}
        book = Book(tx, turn.rules)
        done: list[DirtyRow] = []
        later: list[tuple[DirtyRow, datetime]] = []
        met: list[Item] = []
        for one in sending:
            link = present.get(one.link.id)
            if link is None:
                continue
            if planned and one.met:
                _leave(book, one, link)
                done.append(one.row)
                continue
            due = _outcome(turn, book, one, link, met, others)
            if due is None:
                done.append(one.row)
            else:
                later.append((one.row, due))
        await dirty.done(tx, turn.sync_id, OURS, done)
        await dirty.later(tx, turn.sync_id, OURS, later)
        await book.write()
        if met:
            await inbound.take_in(tx, turn.rules, met, certain=True)
        if not planned and any(one.met and one.key is not None for one in sending):
            await _look_again(tx, turn, sending)
    for one in sending:
        if isinstance(one.outcome, Disconnected):
            raise one.outcome


async def _look_again(tx: Transaction, turn: Turn, sending: Sequence[Send]) -> None:
    """Creations that met something, and were not linked by it, are looked at again: nothing was written for them."""
    asked = [one for one in sending if one.met and one.key is not None]
    known = await links.of_records(tx, turn.sync_id, [one.record.id for one in asked])
    book = Book(tx, turn.rules)
    for one in asked:
        link = known.get(one.record.id)
        if link is not None and link.external_id is None and link.state != FAILED:
            if len(one.met) > 1:
                details = {"side": THEIRS, "ids": [item.external_id for item in one.met]}
                told = f"{len(one.met)} match over there."
            else:
                details = {"side": THEIRS, "ids": [one.met[0].external_id]}
                told = "The item that matches over there belongs to another record."
            category = Category.AMBIGUOUS_MATCH if len(one.met) > 1 else Category.DUPLICATE_RECORD
            book.fail(link, category, told, THEIRS, details=details)
    await book.write()


def _leave(book: Book, one: Send, link: LinkRow) -> None:
    if one.key is not None:
        book.forgotten[link.id] = link
        return
    link.planned = None
    link.attempts += 1
    book.keep(link)
    book.look(link, THEIRS, book.tx.now)


def _outcome(
    turn: Turn, book: Book, one: Send, link: LinkRow, met: list[Item], others: dict[str, LinkRow]
) -> datetime | None:
    """Note what came of one; None, or when it is looked at again."""
    if one.met:
        link.create_key = link.planned = None
        book.keep(link)
        if len(one.met) == 1:
            met.append(one.met[0])
        return None
    match one.outcome:
        case Written():
            if one.key is None or make_room(book, link, others.get(one.outcome.external_id)):
                wrote(book, link, one, one.outcome)
            return None
        case ConnectorError():
            return failed(turn, book, link, one.outcome, creating=one.key is not None)
        case None:
            return book.tx.now
        case _:
            assert_never(one.outcome)


def make_room(book: Book, link: LinkRow, other: LinkRow | None) -> bool:
    """Whether an item that was created is this link's: an app that found it there already may give another's."""
    if other is None or other.id == link.id:
        return True
    if other.record_id is None:
        book.forgotten[other.id] = other
        return True
    link.create_key = link.planned = None
    details = {"side": THEIRS, "ids": [other.external_id]}
    told = "The item that the app has for it belongs to another record."
    book.fail(link, Category.DUPLICATE_RECORD, told, THEIRS, details=details)
    return False


def wrote(book: Book, link: LinkRow, one: Send, written: Written) -> None:
    """It is written: both hold what was decided, as far as the app has not changed it."""
    merged, decision = one.decision.merged, one.decision
    before = link.base_theirs or {}
    created = one.key is not None
    waits = (link.category, link.message) if link.category == Category.WAITING_FOR_ASSOCIATED_RECORD else None
    full = link.category == Category.ASSOCIATION_LIMIT_REACHED
    link.external_id = written.external_id
    link.create_key = link.planned = None
    # Nobody looks at what was decided once it is done: another one for each would cost more than all of this.
    if decision.state == PENDING:
        decision.state = IN_SYNC
    decision.base_ours, decision.base_theirs = merged.base_ours, as_written(merged, written)
    book.settle(link, decision)
    if waits is not None and link.state == IN_SYNC:
        link.state, (link.category, link.message) = PENDING, waits
    if full:
        # Sent was what we have; what of theirs was refused here is tried again.
        book.look(link, THEIRS, book.tx.now)
    if one.base_roles is not None:
        link.base_roles = one.base_roles
    if surely(book, link, written):
        link.version = written.version
        link.modified_at = written.modified_at or link.modified_at
    else:
        # Something else may have changed with it, which a known version would hide.
        link.version = None
        book.look(link, THEIRS, book.tx.now)
    if created:
        book.synced(link, "CREATED", THEIRS)
        book.linked.append(link)
    else:
        changed = {name: [before.get(name), value] for name, value in merged.theirs.items()}
        book.synced(link, "UPDATED", THEIRS, changed)


def as_written(merged: Merged, written: Written) -> dict[str, Any]:
    """Their base: what was sent, or what has become of it."""
    base = dict(merged.base_theirs)
    if written.fields is not None:
        for name in merged.theirs:
            if name in written.fields:
                base[name] = written.fields[name]
    return base


def surely(book: Book, link: LinkRow, written: Written) -> bool:
    """Whether the item holds what the link now says, and nothing else."""
    if written.fields is None:
        return book.rules.capabilities.conditional and written.version is not None
    base = link.base_theirs or {}
    return holds(book.rules, written.fields, base)


def failed(
    turn: Turn, book: Book, link: LinkRow, error: ConnectorError, *, creating: bool
) -> datetime | None:
    """Note why it was not written; when our record is looked at again, None: not before something changes."""
    now = book.tx.now
    unclear = isinstance(error, Unclear | Disconnected)
    if not unclear:
        link.create_key = link.planned = None
        book.keep(link)
    match error:
        case Stale():
            # Read, merged, and sent again by that; not at once if it goes on like this.
            link.attempts += 1
            book.keep(link)
            book.look(link, THEIRS, now + _patience(link))
            return None
        case Gone():
            link.attempts += 1
            book.keep(link)
            book.look(link, THEIRS, now + _patience(link))
            return None
        case Exists():
            book.fail(link, error.category, error.message, THEIRS, details={"externalId": error.external_id})
            if error.external_id is not None:
                book.dirty.append((turn.sync_id, THEIRS, error.external_id, now, 0))
            return None
        case Rejected():
            turn.doubted = turn.doubted or error.category in TELLING
            details = None if error.field is None else {"field": error.field}
            return book.fail(link, error.category, error.message, THEIRS, details=details)
        case Unclear():
            if not creating:
                book.look(link, THEIRS, now)
            due = book.fail(link, Category.REMOTE_UNAVAILABLE, error.message, THEIRS)
            return due or now + backoff.FIRST
        case Retry():
            due = book.fail(link, error.category, error.message, THEIRS, after=error.after)
            return due or now + backoff.pause(link.attempts, str(link.id), after=error.after)
        case Disconnected() | CursorLost():
            # It is the connection's matter: the record waits with it.
            return now + (error.after if isinstance(error, Disconnected) and error.after else backoff.FIRST)
        case _:
            return book.fail(link, error.category, error.message, THEIRS)


def _patience(link: LinkRow) -> timedelta:
    if link.attempts < 2:
        return timedelta(0)
    return backoff.pause(link.attempts, str(link.id))
