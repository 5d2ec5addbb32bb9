"""Creations of which it is not known whether they were done: asked about before anything else is.

An app that is slow to tell of what it has is asked again for as long as it may be: only then was it not done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.sync import inbound, matching, outcomes
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.connectors.protocol import CursorLost, Item, Phase
from engine.sync.sending import holds
from engine.sync.turns import Turn
from storage.sync import leases, links
from storage.sync.links import PENDING, LinkRow

# Creations that are looked at together, and those of them that are asked for one by one in a step.
MOST, SETTLED_A_STEP = 1_000, 100
# Pages of the feed among which a creation is sought.
PAGES = 50
# How soon it is looked again: not before so long, and not after.
SOON, SELDOM = timedelta(seconds=1), timedelta(seconds=10)
# When it was first asked for, in `planned`.
ASKED = "asked"


@dataclass(slots=True)
class _Answers:
    """What the app says of open creations. `asked`: those that it was asked for by their keys."""

    asked: set[int] = field(default_factory=set)
    made: dict[int, Item] = field(default_factory=dict)
    # Items that hold what was planned: probably it.
    alike: dict[int, tuple[Item, ...]] = field(default_factory=dict)


async def settle(turn: Turn, now: datetime) -> datetime:
    """Find out what became of some creations; when it is to be looked again. Raises what the connector raises."""
    async with turn.db.read(turn.account_id) as reader:
        open_ = await links.creating(reader, turn.sync_id, MOST)
    due = [link for link in open_ if _known_at(turn, link, now) <= now]
    answers = _Answers()
    for link in due[:SETTLED_A_STEP]:
        turn.at("created?")
        answers.asked.add(link.id)
        item = await turn.connector.created(turn.rules.remote, link.create_key or "")
        if item is not None:
            answers.made[link.id] = item
    if _patience(turn):
        rest = [link for link in open_ if link.id not in answers.made]
        answers.alike = await _look(turn, rest)
    lost = [link for link in due if link.id in answers.asked and link.id not in answers.made]
    lost = [link for link in lost if link.id not in answers.alike and _until(turn, link, now) <= now]
    answers.alike |= await _new(turn, lost)
    again = await _note(turn, open_, answers, now)
    return now if again is None or len(due) > SETTLED_A_STEP else again


def _patience(turn: Turn) -> timedelta:
    """How long it may take until the app tells of what it has; nothing, where a repetition does no harm."""
    return timedelta(0) if turn.rules.capabilities.idempotent_create else turn.rules.capabilities.overlap


def _since(link: LinkRow) -> datetime | None:
    asked = (link.planned or {}).get(ASKED)
    return None if asked is None else datetime.fromisoformat(asked)


def _until(turn: Turn, link: LinkRow, now: datetime) -> datetime:
    """When it is no longer looked for: who did not hear of it by then takes it for not done."""
    return (_since(link) or now) + _patience(turn)


def _known_at(turn: Turn, link: LinkRow, now: datetime) -> datetime:
    """When the app's answer is to be believed, or is to be heard for the first time."""
    since = _since(link)
    return now if since is None else since + _patience(turn)


async def _look(turn: Turn, open_: Sequence[LinkRow]) -> dict[int, tuple[Item, ...]]:
    """Items that hold what was planned, by what items are found by."""
    rules = turn.rules
    found: dict[int, tuple[Item, ...]] = {}
    for matcher in matching.found_by(rules.matchers, rules.remote):
        asked: dict[str, list[LinkRow]] = {}
        for link in open_:
            value = (link.planned or {}).get("theirs", {}).get(matcher.field.name)
            if isinstance(value, str) and value and link.id not in found:
                asked.setdefault(value, []).append(link)
        if not asked:
            continue
        turn.at("find")
        answers = await turn.connector.find(rules.remote, matcher.field.name, list(asked))
        turn.at("found")
        for some, items in zip(asked.values(), answers, strict=True):
            for link in some:
                planned = (link.planned or {}).get("theirs", {})
                fitting = tuple(one for one in items if not one.deleted and holds(rules, one.fields, planned))
                if fitting:
                    found[link.id] = fitting
    return found


async def _new(turn: Turn, lost: Sequence[LinkRow]) -> dict[int, tuple[Item, ...]]:
    """Items that are new over there, as far as the feed tells, and hold what was sent for these.

    For apps that know neither our keys nor anything else by which this kind of item is found. Of the feed it is read
    from where the sync has come to, which was before they were sent; it goes on there as if nobody had looked.
    """
    rules = turn.rules
    if not lost or not rules.capabilities.changes or rules.capabilities.idempotent_create:
        return {}
    async with turn.db.read(turn.account_id) as reader:
        run = await leases.look(reader, turn.sync_id)
    cursor = None if run is None else run[0].cursors.get("changes")
    told: dict[str, Item] = {}
    for _ in range(PAGES if cursor is not None else 0):
        turn.at("read")
        try:
            page = await turn.connector.read(rules.remote, Phase.CHANGES, cursor, rules.capabilities.page)
        except CursorLost:
            break
        told |= {one.external_id: one for one in page.items}
        cursor = page.cursor
        if not page.more:
            break
    wanted = [one.external_id for one in told.values() if any(_as_sent(turn, link, one) for link in lost)]
    found: dict[int, tuple[Item, ...]] = {}
    for at in range(0, len(wanted), rules.capabilities.page):
        turn.at("get")
        for item in await turn.connector.get(rules.remote, wanted[at : at + rules.capabilities.page]):
            for link in lost:
                if _as_sent(turn, link, item):
                    found[link.id] = (*found.get(link.id, ()), item)
    return found


def _as_sent(turn: Turn, link: LinkRow, item: Item) -> bool:
    """Whether an item holds everything that was sent to be created; what else it holds, the app may have added."""
    sent = {
        name: value for name, value in (link.planned or {}).get("theirs", {}).items() if value is not None
    }
    return bool(sent) and not item.deleted and holds(turn.rules, item.fields, {**item.fields, **sent})


async def _note(turn: Turn, open_: Sequence[LinkRow], answers: _Answers, now: datetime) -> datetime | None:
    """Note what is known now; when the rest is looked for again, None: there is none."""
    met: list[Item] = []
    waits: list[datetime] = []
    async with turn.hold(now) as (tx, _):
        present = await links.read(tx, [link.id for link in open_])
        told = [item.external_id for item in answers.made.values()]
        told += [item.external_id for some in answers.alike.values() for item in some]
        others = (
            await links.of_items(tx, turn.sync_id, [(one, None) for one in sorted(set(told))]) if told else {}
        )
        book = Book(tx, turn.rules)
        taken: set[str] = set()
        for old in open_:
            link = present.get(old.id)
            if link is None or link.create_key != old.create_key:
                continue
            item = answers.made.get(link.id) or _free(answers.alike.get(link.id, ()), others, taken)
            if item is not None:
                if outcomes.make_room(book, link, others.get(item.external_id)):
                    _made(book, link, item.external_id)
                    taken.add(item.external_id)
                    met.append(item)
            elif link.id in answers.asked:
                until = _until(turn, link, now)
                if until <= now:
                    not_made(turn, book, link)
                else:
                    link.planned = {**(link.planned or {}), ASKED: now.isoformat()}
                    book.keep(link)
                    waits.append(_again(now, now, until))
            elif (since := _since(link)) is not None:
                waits.append(_again(since, now, since + _patience(turn)))
        await book.write()
        if met:
            # They hold what was planned, or have changed since.
            await inbound.take_in(tx, turn.rules, met, certain=True)
    return min(waits, default=None)


def _free(alike: Sequence[Item], others: Mapping[str, LinkRow], taken: set[str]) -> Item | None:
    """The one of these that is nobody's; None where there are several, or none."""
    free = [
        one
        for one in alike
        if one.external_id not in taken
        and ((other := others.get(one.external_id)) is None or other.record_id is None)
    ]
    return free[0] if len(free) == 1 else None


def _again(since: datetime, now: datetime, until: datetime) -> datetime:
    """Sooner at first."""
    return min(now + min(max(now - since, SOON), SELDOM), until)


def not_made(turn: Turn, book: Book, link: LinkRow) -> None:
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
