"""What comes in: items as they are now, merged with our records in one transaction, whatever their number.

A page takes a handful of statements. What is to be sent out for it is made dirty, and sent by `outbound`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import records
from engine.batches import Mode
from engine.problems import Problem
from engine.sync import ends, matching, refusals, roles, sifting
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.cases import Case, gather
from engine.sync.connectors.protocol import Item
from engine.sync.decide import Kind
from engine.sync.rules import Rules
from storage.database import Transaction
from storage.sync import links
from storage.sync.links import EXCLUDED, LinkRow


@dataclass(slots=True)
class Taken:
    """What became of a page: items that were news, and records of ours that something is to be sent out for."""

    news: int = 0
    pending: int = 0


async def take_in(
    tx: Transaction,
    rules: Rules,
    items: Sequence[Item],
    *,
    certain: bool,
    anew: bool = False,
    full: bool = False,
    later: Mapping[str, ends.Later] | None = None,
) -> Taken:
    """Merge items with our records. The sync is held by this transaction.

    `certain`: they are as they are now, not as a feed tells; `anew`: looked at although their versions are known;
    `full`: of a pass over all of them, which tries again what has failed; `later`: by items' ids, what is to wait.
    """
    given = sifting.last(rules, items)
    forced = certain or anew
    known = await links.of_items(
        tx, rules.sync_id, [(item.external_id, None if forced else item.version) for item in given]
    )
    book = Book(tx, rules)
    cases: list[Case] = []
    for item in given:
        link = known.get(item.external_id)
        if link is not None and not forced and sifting.known(rules, link, item, full):
            continue
        if link is not None and rules.capabilities.ordered_versions and sifting.older(link, item):
            continue
        if (
            link is not None
            and not certain
            and not rules.capabilities.ordered_versions
            and sifting.unsure(rules, link, item)
        ):
            book.look(link, THEIRS, tx.now)
            continue
        if link is not None and link.planned is not None and link.external_id is not None:
            if not certain:
                book.look(link, THEIRS, tx.now)
                continue
            sifting.confirm(rules, link, item)
        cases.append(Case(item, link, waits=ends.waits(link)))
    if cases:
        await gather(tx, rules, cases)
        await carry_out(tx, rules, cases, book)
    await book.write()
    pending = sum(1 for one in book.dirty if one[1] == OURS)
    pending += len(await associate(tx, rules, cases, later))
    return Taken(len(cases), pending)


async def associate(
    tx: Transaction, rules: Rules, cases: Sequence[Case], later: Mapping[str, ends.Later] | None = None
) -> set[int]:
    """Merge the associations of items whose links are written; our records that are to be sent then.

    Behind the links, since records of one page may be associated with each other.
    """
    if not rules.roles or not (both := whole(cases, later)):
        return set()
    book = Book(tx, rules)
    await roles.come_in(tx, book, both)
    await book.write()
    return {int(item) for _, side, item, _, _ in book.dirty if side == OURS}


async def carry_out(tx: Transaction, rules: Rules, cases: Sequence[Case], book: Book) -> None:
    """Write what was decided about the cases to our side, and gather in `book` what is to be written of links."""
    creating = [case for case in cases if case.decision.kind is Kind.CREATE_OURS]
    if creating:
        made = await records.create(
            tx,
            rules.object_type,
            [case.decision.merged.ours for case in creating],
            Mode.PER_ITEM,
            # By the properties' own rules, when they were translated.
            checked=True,
        )
        for case, outcome in zip(creating, made, strict=True):
            case.record, case.problem = outcome.value, outcome.problem
    changing = [
        case
        for case in cases
        if case.decision.kind in (Kind.UPDATE, Kind.MATCH)
        and case.decision.merged.ours
        and case.record is not None
    ]
    if changing:
        inputs = [(case.record.id, case.decision.merged.ours) for case in changing if case.record is not None]
        for case, outcome in zip(changing, await records.update(tx, inputs, Mode.PER_ITEM), strict=True):
            case.problem = outcome.problem
    fresh = [case for case in cases if case.link is None and not _nothing(case)]
    for case, number in zip(fresh, await tx.new_ids(len(fresh)) if fresh else (), strict=True):
        case.link = LinkRow(number, rules.sync_id, external_id=case.item.external_id)
        book.new.append(case.link)
    for case in cases:
        if case.link is not None:
            _stand(rules, case, case.link, book)


def whole(cases: Sequence[Case], later: Mapping[str, ends.Later] | None = None) -> list[ends.Ends]:
    """Those of which both halves are there, in their order."""
    waiting = later or {}
    return [
        ends.Ends(case.link, case.record, case.item, case.waits, waiting.get(case.item.external_id))
        for case in cases
        if case.link is not None and case.record is not None and _both(case)
    ]


def _both(case: Case) -> bool:
    return (
        case.link is not None
        and case.record is not None
        and case.link.record_id is not None
        and case.link.state not in (EXCLUDED,)
        and case.link.deleted is None
        and not case.item.deleted
    )


def _nothing(case: Case) -> bool:
    """Whether there is nothing to remember of an item."""
    return case.item.deleted


def _stand(rules: Rules, case: Case, link: LinkRow, book: Book) -> None:
    """How the link stands now."""
    item, decision = case.item, case.decision
    alone = link.record_id is None
    if item.deleted and alone:
        book.forgotten[link.id] = link
        return
    if case.problem is not None:
        _refused(rules, case, link, book, case.problem)
        return
    kind = decision.kind
    if kind in (Kind.CREATE_OURS, Kind.MATCH) and case.record is not None:
        link.record_id = case.record.id
        link.create_key = link.planned = None
        if case.half is not None:
            book.forgotten[case.half.id] = case.half
        if link.created_at is not None:
            book.keys_gone.add(link.id)
        book.linked.append(link)
    if kind in (Kind.DELETE_OURS, Kind.DELETE_THEIRS):
        link.deleting = True
    elif decision.deleted is None:
        link.deleting = False
    if not item.deleted:
        link.version, link.modified_at, link.url = item.version, item.modified_at, item.url or link.url
    book.settle(link, decision)
    if link.record_id is None:
        _find_by(rules, case, link, book)
    book.conflicts(link, decision, case.conflicts)
    if decision.merged.theirs:
        book.look(link, OURS, book.tx.now)
    _note(case, link, book)


def _note(case: Case, link: LinkRow, book: Book) -> None:
    kind, row = case.decision.kind, case.record
    if kind is Kind.CREATE_OURS:
        book.synced(link, "CREATED", OURS)
    elif kind is Kind.MATCH or (kind is Kind.UPDATE and case.decision.merged.ours):
        before = row.properties if row is not None else {}
        changed = {name: [before.get(name), new] for name, new in case.decision.merged.ours.items()}
        book.synced(link, "LINKED" if kind is Kind.MATCH else "UPDATED", OURS, changed)


def _refused(rules: Rules, case: Case, link: LinkRow, book: Book, problem: Problem) -> None:
    """Our own commands refuse it: the link remembers what was tried, and stays as it was."""
    category = refusals.category(problem)
    if link.record_id is None:
        _find_by(rules, case, link, book)
    details: dict[str, Any] = {"tried": case.item.version, "code": problem.code}
    if problem.path:
        details["property"] = str(problem.path[-1])
    book.fail(link, category, problem.message, OURS, details=details, look=THEIRS)


def _find_by(rules: Rules, case: Case, link: LinkRow, book: Book) -> None:
    """Let records that come later find the item by what it is now."""
    if link.created_at is not None:
        book.keys_gone.add(link.id)
    book.keys[link.id] = [key for key in matching.keys_of_item(rules.matchers, case.item) if key]
