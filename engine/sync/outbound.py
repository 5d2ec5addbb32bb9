"""What goes out: records that changed, decided in one transaction, written over there, noted in another.

Nothing is written by what we do not know: an app that refuses changes of what has changed is told the version that is
meant; of any other, the items are read first. What is found to be otherwise than the link knows is taken in, and goes
out afterwards. A crash may leave anything done twice: equal values on both sides are agreement.
"""

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from engine.sync import ends, finding, plan_ends, roles
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.categories import Category
from engine.sync.connectors.protocol import Item
from engine.sync.decide import Decision, Kind, Known, ambiguous, best, decide
from engine.sync.merge import Merged
from engine.sync.redescribing import TELLING
from engine.sync.rules import Rules, Side
from engine.sync.sending import Send
from engine.sync.turns import Turn
from storage import records
from storage.database import Transaction
from storage.filters import facts
from storage.records import RecordRow
from storage.sync import conflicts, dirty, links, plan_work
from storage.sync.dirty import DirtyRow
from storage.sync.links import IN_SYNC, PENDING, LinkRow

# What a plan does not show is sent so much later.
BEHIND = timedelta(seconds=30)


async def decided(
    turn: Turn, now: datetime, under_way: Sequence[Send] = (), *, plan: int | None = None
) -> tuple[bool, list[Send]]:
    """Look at some of the records that are due: whether there were any, and what is to be written, noted as planned.

    `under_way` is being written at this moment: those records stay due, and wait for what becomes of them. `plan`: the
    one that is being applied, if it is for one.
    """
    most = max(turn.rules.capabilities.batch, 200)
    busy = {one.record.id for one in under_way}
    async with turn.hold(now) as (tx, held):
        rows = await dirty.due(tx, turn.sync_id, OURS, now, most + len(busy))
        rows = [row for row in rows if int(row.item) not in busy][:most]
        if not rows:
            return False, []
        if plan is not None:
            rows = await _planned(tx, turn, plan, rows)
        book = Book(tx, turn.rules)
        sending, done = await _decide(tx, turn, book, rows, busy, plan)
        await dirty.done(tx, turn.sync_id, OURS, done)
        await book.write()
        for one in sending:
            one.writer = held.writer
    return True, sending


async def _planned(tx: Transaction, turn: Turn, plan: int, rows: Sequence[DirtyRow]) -> list[DirtyRow]:
    """Those that go out for a plan; what else has changed is put off until that is done, since it was not shown."""
    shown = await plan_work.sending(tx, plan, turn.sync_id, [int(row.item) for row in rows])
    others = [row for row in rows if int(row.item) not in shown]
    await dirty.put_off(tx, turn.sync_id, OURS, others, tx.now + BEHIND)
    return [row for row in rows if int(row.item) in shown]


# --- deciding ----------------------------------------------------------------------------------------------------


async def _decide(
    tx: Transaction, turn: Turn, book: Book, rows: Sequence[DirtyRow], busy: Set[int], plan: int | None
) -> tuple[list[Send], list[DirtyRow]]:
    """What is to be sent, at most a batch; and what has been looked at. What is neither is left for the next batch."""
    rules = turn.rules
    found = {
        one.id: one for one in await records.rows(tx, [int(row.item) for row in rows]) if one is not None
    }
    # Who was merged into one that is busy may give it its link: once it is known what came of its own.
    rows = [
        row for row in rows if (one := found.get(int(row.item))) is None or one.merged_into_id not in busy
    ]
    ids = [int(row.item) for row in rows]
    held = await links.of_records(tx, turn.sync_id, ids)
    await _follow_merges(tx, turn, book, held, found)
    alone = [found[one] for one in ids if one in found and (one not in held or held[one].external_id is None)]
    alone = [row for row in alone if row.archived_at is None and row.object_type_id == rules.object_type.id]
    candidates, items = await finding.items_of(tx, rules, alone) if alone else ([], {})
    of_record = {row.id: one for row, one in zip(alone, candidates, strict=True)}
    rivals = await _rivals(tx, turn, [row for row in alone if any(of_record[row.id])])
    within = await _within(tx, rules, alone, found)
    open_ = await conflicts.of_links(tx, held.values())
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
            _free(of_record.get(record_id, ()), taken),
            None,
            record_id in within if within is not None else True,
            frozenset(one.mapping_id for one in open_[link.id]) if link and link.id in open_ else frozenset(),
        )
        decision = decide(rules, known)
        if decision.kind is Kind.MATCH and record_id in rivals:
            decision = ambiguous(Side.OURS, decision.matched_by, rivals[record_id])
        if decision.failed_side == THEIRS and decision.category in TELLING:
            # By what the app told of itself once: it may have the option by now.
            turn.doubted = True
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
        await _add_roles(tx, turn, book, held, found, sending, done, plan)
    return sending, done


def _free(candidates: Sequence[Sequence[int | str]], taken: Set[str]) -> tuple[tuple[int | str, ...], ...]:
    """Of a record's candidates, those that no other record was matched with just now."""
    if not candidates:
        return ()
    return tuple(tuple(one for one in some if one not in taken) for some in candidates)


async def _rivals(tx: Transaction, turn: Turn, rows: Sequence[RecordRow]) -> dict[int, tuple[int | str, ...]]:
    """Of records that match an item: those that are not alone in it, with all that do."""
    rules = turn.rules
    if not rows:
        return {}
    asked = [
        Item("", {one.field.name: row.properties.get(one.property.name) for one in rules.matchers})
        for row in rows
    ]
    holding = await finding.holders(tx, rules, asked)
    ids = sorted({one for some in holding for _, found in some for one in found})
    present = {row.id: row for row in await records.rows(tx, ids) if row is not None}
    known = await links.of_records(tx, turn.sync_id, ids)
    taken = {one for one, link in known.items() if link.external_id is not None}
    answer: dict[int, tuple[int | str, ...]] = {}
    for row, some in zip(rows, holding, strict=True):
        _, fitting = best(rules, finding.candidates(rules, some, present, taken))
        if len(fitting) > 1:
            answer[row.id] = fitting
    return answer


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
        held[survivor] = theirs[survivor] = link
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
    if link.category == Category.ASSOCIATION_LIMIT_REACHED and decision.state == IN_SYNC:
        # There may be room now: what they have is tried again.
        book.keep(link)
        book.look(link, THEIRS, book.tx.now)
        return
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
        book.plan(link, planning(turn.rules, decision.merged))
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
    ours, theirs = merged.base_ours, merged.theirs
    sent = [one.property.name for one in rules.mappings if one.field.name in theirs]
    return {"ours": {name: ours.get(name) for name in sent}, "theirs": dict(theirs), "roles": {}}


def _stands(link: LinkRow) -> bool:
    """Whether both halves are merged, and it is known what came of all that was sent."""
    return link.external_id is not None and link.base_ours is not None and link.planned is None


async def _add_roles(
    tx: Transaction,
    turn: Turn,
    book: Book,
    held: dict[int, LinkRow],
    found: dict[int, RecordRow],
    sending: list[Send],
    done: list[DirtyRow],
    plan: int | None,
) -> None:
    """Associations that are to be sent, with the fields or alone."""
    by_record = {one.record.id: one for one in sending}
    looked = {int(row.item): row for row in done} | {one.record.id: one.row for one in sending}
    cases = [
        ends.Ends(link, record, waits=ends.waits(link))
        for record_id in looked
        if (record := found.get(record_id)) is not None
        and record.archived_at is None
        and (link := by_record[record_id].link if record_id in by_record else held.get(record_id)) is not None
        and link.deleted is None
        and (record_id in by_record or _stands(link))
    ]
    if plan is not None:
        await plan_ends.leave(tx, plan, cases)
    for link_id, (told, bases) in (await roles.going_out(tx, book, cases)).items() if cases else ():
        case = next(one for one in cases if one.link.id == link_id)
        one = by_record.get(case.record.id)
        if one is None:
            row = looked[case.record.id]
            done.remove(row)
            if len(sending) >= turn.rules.capabilities.batch:
                # Left for the next batch, as fields are.
                continue
            link = case.link
            merged = Merged(base_ours=link.base_ours or {}, base_theirs=link.base_theirs or {})
            one = Send(row, link, case.record, Decision(Kind.UPDATE, IN_SYNC, merged))
            sending.append(one)
        one.links, one.base_roles = told, bases
        if one.key is None:
            planned = one.link.planned or planning(turn.rules, one.decision.merged)
            book.plan(one.link, {**planned, "roles": {role: list(told.all[role]) for role in told.all}})
