"""What goes out: records that changed, decided in one transaction, written over there, noted in another.

Nothing is written by what we do not know: an app that refuses changes of what has changed is told the version that is
meant; of any other, the items are read first. What is found to be otherwise than the link knows is taken in, and goes
out afterwards. A crash may leave anything done twice: equal values on both sides are agreement.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, assert_never

from engine.sync import backoff, finding, inbound, matching, roles
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    ConnectorError,
    Create,
    CursorLost,
    Disconnected,
    Exists,
    Gone,
    Item,
    Links,
    Op,
    Outcome,
    Rejected,
    Retry,
    Stale,
    Unclear,
    Update,
    Written,
)
from engine.sync.decide import Decision, Kind, Known, decide
from engine.sync.merge import Merged
from engine.sync.rules import Rules, Values
from engine.sync.translate import translation
from engine.sync.turns import Turn
from storage import records
from storage.database import Transaction
from storage.filters import facts
from storage.records import RecordRow
from storage.sync import conflicts, dirty, links
from storage.sync.dirty import DirtyRow
from storage.sync.links import CONFLICT, FAILED, IN_SYNC, PENDING, LinkRow


@dataclass(slots=True)
class Send:
    """A record that is to be written over there."""

    row: DirtyRow
    link: LinkRow
    record: RecordRow
    decision: Decision
    links: Links = field(default_factory=Links)
    base_roles: dict[str, list[str]] | None = None
    # Of a creation.
    key: str | None = None
    outcome: Outcome | None = None
    # What was found over there instead of what the link knows.
    met: tuple[Item, ...] = ()


async def send(turn: Turn, now: datetime) -> bool:
    """Look at some of the records that are due, and write what is to be written; whether there were any."""
    batch = turn.rules.capabilities.batch
    async with turn.hold(now) as (tx, _):
        rows = await dirty.due(tx, turn.sync_id, OURS, now, max(batch, 200))
        if not rows:
            return False
        book = Book(tx, turn.rules)
        sending, done = await _decide(tx, turn, book, rows)
        await dirty.done(tx, turn.sync_id, OURS, done)
        await book.write()
    if sending:
        await _meet(turn, sending)
        await _write(turn, sending)
        await _note(turn, sending, now)
    return True


# --- deciding ----------------------------------------------------------------------------------------------------


async def _decide(
    tx: Transaction, turn: Turn, book: Book, rows: Sequence[DirtyRow]
) -> tuple[list[Send], list[DirtyRow]]:
    """What is to be sent, at most a batch; and what has been looked at. What is neither is left for the next batch."""
    rules = turn.rules
    ids = [int(row.item) for row in rows]
    held = await links.of_records(tx, turn.sync_id, ids)
    found = {row.id: row for row in await records.rows(tx, ids) if row is not None}
    await _follow_merges(tx, turn, book, held, found)
    alone = [found[one] for one in ids if one in found and (one not in held or held[one].external_id is None)]
    alone = [row for row in alone if row.archived_at is None and row.object_type_id == rules.object_type.id]
    candidates, items = await finding.items_of(tx, rules, alone) if alone else ([], {})
    of_record = {row.id: one for row, one in zip(alone, candidates, strict=True)}
    within = await _within(tx, rules, alone, found)
    asked = [link.id for link in held.values() if link.state == CONFLICT]
    open_ = await conflicts.of_links(tx, asked)
    sending: list[Send] = []
    done: list[DirtyRow] = []
    taken: set[str] = set()
    apart: list[tuple[int, Decision]] = []
    for row in rows:
        record_id = int(row.item)
        link, record = held.get(record_id), found.get(record_id)
        if link is not None and link.create_key is not None:
            # Begun before, and not known to have been done: see `settle`.
            continue
        if link is not None and link.planned is not None and link.external_id is not None:
            # Sent before, and nobody heard what came of it: the item says so.
            book.look(link, THEIRS, tx.now)
            done.append(row)
            continue
        known = Known(
            link,
            record,
            None,
            tuple(tuple(one for one in some if one not in taken) for some in of_record.get(record_id, ())),
            None,
            record_id in within if within is not None else True,
            frozenset(one.mapping_id for one in open_.get(link.id, ())) if link is not None else frozenset(),
        )
        decision = decide(rules, known, tx.now)
        if decision.kind is Kind.MATCH and decision.external_id is not None and record is not None:
            taken.add(decision.external_id)
            _match(book, items[decision.external_id], link, record)
            done.append(row)
        elif decision.merged.theirs or decision.kind is Kind.CREATE_THEIRS:
            assert record is not None  # there is something to send
            if len(sending) < rules.capabilities.batch:
                sending.append(await _prepare(tx, turn, book, row, link, record, decision))
        else:
            if link is None and decision.kind in (Kind.FAIL, Kind.EXCLUDE):
                apart.append((record_id, decision))
            _stand(book, link, decision)
            done.append(row)
    await _tell_apart(book, apart)
    if rules.roles:
        await _add_roles(tx, turn, book, rows, held, found, sending, done)
    return sending, done


async def _tell_apart(book: Book, apart: Sequence[tuple[int, Decision]]) -> None:
    """Records that cannot be sent, or are not to be, are shown with the reason."""
    numbers = await book.tx.new_ids(len(apart)) if apart else ()
    for number, (record_id, decision) in zip(numbers, apart, strict=True):
        link = LinkRow(number, book.rules.sync_id, record_id)
        book.new.append(link)
        book.settle(link, decision)


async def _within(
    tx: Transaction, rules: Rules, alone: Sequence[RecordRow], found: dict[int, RecordRow]
) -> set[int] | None:
    """Which records meet our filter; None where there is none."""
    if rules.filter_ours is None:
        return None
    ids = sorted(found) if rules.options.pause_outside_filter else [row.id for row in alone]
    met = await facts.met(tx, rules.filter_ours, rules.object_type.id, ids, now=tx.now) if ids else set()
    return met if rules.options.pause_outside_filter else met | (found.keys() - {row.id for row in alone})


async def _follow_merges(
    tx: Transaction, turn: Turn, book: Book, held: dict[int, LinkRow], found: dict[int, RecordRow]
) -> None:
    """Links of records that were merged away go to the survivors that have none."""
    moved = {
        row.id: row.merged_into_id
        for row in found.values()
        if row.merged_into_id is not None and row.id in held and held[row.id].external_id is not None
    }
    if not moved:
        return
    theirs = await links.of_records(tx, turn.sync_id, sorted(set(moved.values())))
    for record_id, survivor in moved.items():
        link, other = held[record_id], theirs.get(survivor)
        if other is not None and other.external_id is not None:
            continue
        if other is not None:
            book.forgotten[other.id] = other
        del held[record_id]
        link.record_id = survivor
        theirs[survivor] = link
        book.keep(link)
        book.look(link, OURS, tx.now)
        book.linked.append(link)
        del found[record_id]


def _match(book: Book, theirs: LinkRow, own: LinkRow | None, record: RecordRow) -> None:
    """The item is known and has no record: it is this one's. It is read, and merged when it comes in."""
    if own is not None:
        book.forgotten[own.id] = own
    theirs.record_id, theirs.state = record.id, PENDING
    theirs.category = theirs.message = theirs.failed_side = theirs.details = None
    book.keys_gone.add(theirs.id)
    book.keep(theirs)
    book.look(theirs, THEIRS, book.tx.now)


def _stand(book: Book, link: LinkRow | None, decision: Decision) -> None:
    """Nothing is sent: how the link stands."""
    if link is None:
        return
    if decision.kind is Kind.NONE and link.external_id is None:
        book.forgotten[link.id] = link
        return
    if link.base_ours is None and link.external_id is not None and decision.deleted is None:
        # It has not been merged yet: that is for the item to come in.
        book.look(link, THEIRS, book.tx.now)
        return
    link.deleting = decision.kind in (Kind.DELETE_OURS, Kind.DELETE_THEIRS)
    if link.category == Category.WAITING_FOR_ASSOCIATED_RECORD and decision.state == IN_SYNC:
        return
    book.settle(link, decision)


async def _prepare(
    tx: Transaction,
    turn: Turn,
    book: Book,
    row: DirtyRow,
    link: LinkRow | None,
    record: RecordRow,
    decision: Decision,
) -> Send:
    """What is to be written; before a creation, under which key, and what both sides hold then."""
    if link is None:
        link = LinkRow((await tx.new_ids(1))[0], turn.sync_id, record.id)
        book.new.append(link)
    if decision.kind is not Kind.CREATE_THEIRS:
        link.planned = planning(turn.rules, decision.merged)
        book.keep(link)
        return Send(row, link, record, decision)
    link.state, link.category, link.message = PENDING, None, None
    before = link.planned
    if before is not None and "key" in before:
        # Begun before under this key, and not known to have been done: the same again; what changed since follows.
        link.create_key, link.planned = before["key"], {n: before[n] for n in before if n != "key"}
        decision.merged = Merged({}, before["fields"], before["ours"], before["theirs"])
        book.keep(link)
        book.look(link, OURS, book.tx.now)
        return Send(row, link, record, decision, key=link.create_key)
    link.create_key = f"{turn.account_id}-{turn.sync_id}-{link.id}-{(await tx.new_ids(1))[0]}"
    link.planned = {
        "ours": dict(decision.merged.base_ours),
        "theirs": dict(decision.merged.base_theirs),
        "fields": dict(decision.merged.theirs),
    }
    book.keep(link)
    return Send(row, link, record, decision, key=link.create_key)


def planning(rules: Rules, merged: Merged) -> dict[str, Any]:
    """What both sides are to hold of what is sent: should the answer be lost, it is known again by that."""
    sent = [one for one in rules.mappings if one.field.name in merged.theirs]
    return {
        "ours": {one.property.name: merged.base_ours.get(one.property.name) for one in sent},
        "theirs": dict(merged.theirs),
        "roles": {},
    }


async def _add_roles(
    tx: Transaction,
    turn: Turn,
    book: Book,
    rows: Sequence[DirtyRow],
    held: dict[int, LinkRow],
    found: dict[int, RecordRow],
    sending: list[Send],
    done: list[DirtyRow],
) -> None:
    """Associations that are to be sent, with the fields or alone."""
    by_record = {one.record.id: one for one in sending}
    looked = {int(row.item): row for row in done} | {one.record.id: one.row for one in sending}
    cases = [
        roles.Ends(link, record)
        for record_id in looked
        if (record := found.get(record_id)) is not None
        and record.archived_at is None
        and (link := by_record[record_id].link if record_id in by_record else held.get(record_id)) is not None
        and link.deleted is None
        and (record_id in by_record or (link.external_id is not None and link.base_ours is not None))
    ]
    for link_id, (told, bases) in (await roles.going_out(tx, book, cases)).items() if cases else ():
        case = next(one for one in cases if one.link.id == link_id)
        one = by_record.get(case.record.id)
        if one is None:
            row = looked[case.record.id]
            done.remove(row)
            link = case.link
            merged = Merged(base_ours=link.base_ours or {}, base_theirs=link.base_theirs or {})
            one = Send(row, link, case.record, Decision(Kind.UPDATE, IN_SYNC, merged))
            sending.append(one)
        one.links, one.base_roles = told, bases
        if one.key is None:
            planned = one.link.planned or planning(turn.rules, one.decision.merged)
            one.link.planned = {**planned, "roles": {role: list(told.all[role]) for role in told.all}}
            book.keep(one.link)


# --- over there --------------------------------------------------------------------------------------------------


async def _meet(turn: Turn, sending: Sequence[Send]) -> None:
    """Look first: for items that are there already, and for what has changed since."""
    rules = turn.rules
    creations = [one for one in sending if one.key is not None]
    for matcher in matching.found_by(rules.matchers, rules.remote):
        asked: dict[str, list[Send]] = {}
        for one in creations:
            value = one.record.properties.get(matcher.property.name)
            if isinstance(value, str) and value and not one.met:
                asked.setdefault(value, []).append(one)
        if not asked:
            continue
        turn.at("find")
        answers = await turn.connector.find(rules.remote, matcher.field.name, list(asked))
        turn.at("found")
        for some, items in zip(asked.values(), answers, strict=True):
            for one in some:
                wanted = matching.key(matcher, one.record.properties.get(matcher.property.name))
                one.met = tuple(
                    item
                    for item in items
                    if not item.deleted
                    and matching.key(matcher, item.fields.get(matcher.field.name)) == wanted
                )
    # An app that refuses what has changed meanwhile must be told a version: without one it would take anything.
    conditional = rules.capabilities.conditional
    changes = [
        one for one in sending if one.key is None and not (conditional and one.link.version is not None)
    ]
    if changes:
        turn.at("get")
        present = await turn.connector.get(rules.remote, [one.link.external_id or "" for one in changes])
        turn.at("got")
        for one, item in zip(changes, present, strict=True):
            if item.deleted or otherwise(turn, one.link, item):
                one.met = (item,)
            elif conditional:
                one.link.version = item.version


def otherwise(turn: Turn, link: LinkRow, item: Item) -> bool:
    """Whether an item is not as the link knows it."""
    if item.version is not None and item.version == link.version:
        return False
    base = link.base_theirs or {}
    return not holds(turn.rules, item.fields, base) or any(
        set(item.associations.get(one.role.name, ())) != set(link.base_roles.get(one.role.name, ()))
        for one in turn.rules.roles
        if one.role.name in item.associations and one.other_sync_id is not None
    )


def holds(rules: Rules, fields: Values, base: Values) -> bool:
    """Whether fields are what they were last known to be, as far as the app keeps what it is given."""
    return all(
        translation(one).same_theirs(fields.get(one.field.name), base.get(one.field.name))
        for one in rules.mappings
    )


async def _write(turn: Turn, sending: Sequence[Send]) -> None:
    writing = [one for one in sending if not one.met]
    if not writing:
        return
    turn.at("write")
    outcomes = await turn.connector.write(turn.rules.remote, [_op(turn, one) for one in writing])
    turn.at("written")
    for one, outcome in zip(writing, outcomes, strict=True):
        one.outcome = outcome


def _op(turn: Turn, one: Send) -> Op:
    fields = one.decision.merged.theirs
    if one.key is not None:
        given = {name: value for name, value in fields.items() if value is not None}
        return Create(one.key, given, one.links)
    version = one.link.version if turn.rules.capabilities.conditional else None
    key = f"{turn.account_id}-{turn.sync_id}-{one.link.id}-{one.row.token}"
    return Update(one.link.external_id or "", fields, version, one.links, key)


# --- what came of it ---------------------------------------------------------------------------------------------


async def _note(turn: Turn, sending: Sequence[Send], now: datetime) -> None:
    async with turn.hold(now) as (tx, _):
        # As they are now: they are ours as long as the sync is, but people may have asked for something meanwhile.
        present = await links.read(tx, [one.link.id for one in sending])
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
        if any(one.met and one.key is not None for one in sending):
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
    before = dict(link.base_theirs or {})
    created = one.key is not None
    link.external_id = written.external_id
    link.create_key = link.planned = None
    settled = dataclasses.replace(
        decision,
        state=IN_SYNC if decision.state == PENDING else decision.state,
        base_ours=merged.base_ours,
        base_theirs=as_written(merged, written),
    )
    book.settle(link, settled)
    if one.base_roles is not None:
        link.base_roles = one.base_roles
    if surely(book, link, written):
        link.version = written.version
        link.modified_at = written.modified_at or link.modified_at
    else:
        # Something else may have changed with it, which a known version would hide.
        link.version = None
        book.look(link, THEIRS, book.tx.now)
    changed = {name: [before.get(name), value] for name, value in merged.theirs.items()}
    book.synced(link, "CREATED" if created else "UPDATED", THEIRS, None if created else changed)
    if created:
        book.linked.append(link)


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
