"""Associations of a synced record: sets of ends on both sides, merged against those that both had at last.

Ends are told by their items' ids over there. What is linked with nothing is left alone, or waited for.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from engine import associations
from engine.associations import Pair
from engine.batches import Mode, Outcome
from engine.sync import backoff, refusals
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.categories import Category
from engine.sync.connectors.protocol import Item, Links
from engine.sync.rules import Direction, Policy, RoleMapping, Rules, Side
from storage.database import Queryable, Transaction
from storage.records import RecordRow
from storage.sync import ends, links
from storage.sync.links import IN_SYNC, PENDING, LinkRow

WAITING = "An associated record is not in sync yet."


@dataclass(frozen=True, slots=True)
class Merged:
    """Ends that come and go on each side, and those that both have afterwards, once both are written."""

    add_ours: frozenset[str]
    remove_ours: frozenset[str]
    add_theirs: frozenset[str]
    remove_theirs: frozenset[str]


def three_way(
    role: RoleMapping,
    rules: Rules,
    base: Collection[str],
    ours: Collection[str],
    theirs: Collection[str] | None,
) -> Merged:
    """Merge sets of ends. `theirs` None: not read, and so as it was. Pure."""
    was, here = set(base), set(ours)
    there = was if theirs is None else set(theirs)
    into_ours = role.direction is not Direction.OUT and rules.goes(Side.OURS)
    into_theirs = role.direction is not Direction.IN and rules.goes(Side.THEIRS) and not role.role.read_only
    add_ours, add_theirs = there - was - here, here - was - there
    remove_ours, remove_theirs = (was - there) & here, (was - here) & there
    if not role.role.many and add_ours and add_theirs and into_ours and into_theirs:
        # One of two places: the policy's side has it. Where people are asked, or times are compared, theirs stands.
        if rules.policy is Policy.OURS:
            remove_theirs, add_ours = remove_theirs | add_ours, set()
        else:
            remove_ours, add_theirs = remove_ours | add_theirs, set()
    none: frozenset[str] = frozenset()
    return Merged(
        frozenset(add_ours) if into_ours else none,
        frozenset(remove_ours) if into_ours else none,
        frozenset(add_theirs) if into_theirs else none,
        frozenset(remove_theirs) if into_theirs else none,
    )


def agreed(base: Collection[str], ours: Collection[str], theirs: Collection[str]) -> list[str]:
    """What both are taken to have had: what both have, and what they had that only one has lost."""
    here, there = set(ours), set(theirs)
    return sorted((here & there) | (set(base) & (here | there)))


@dataclass(slots=True)
class Ends:
    """A link with both halves."""

    link: LinkRow
    record: RecordRow
    item: Item | None = None


@dataclass(slots=True)
class _Known:
    """What is known of the ends: which record is which item, in the syncs of the ends."""

    ours: dict[tuple[int, int], set[int]]
    items: dict[tuple[int, int], str] = field(default_factory=dict)
    records: dict[tuple[int, str], int] = field(default_factory=dict)

    def theirs_of(self, sync_id: int, record_ids: Collection[int]) -> set[str]:
        """Items of those of the records that are linked."""
        return {item for one in record_ids if (item := self.items.get((sync_id, one))) is not None}


async def look(reader: Queryable, rules: Rules, cases: Sequence[Ends]) -> _Known:
    """Read what the merges of these need: two statements."""
    live = [one for one in rules.roles if one.other_sync_id is not None]
    types = sorted({(one.association_type.to_object_type_id, one.association_type.id) for one in live})
    known = _Known(await ends.of_records(reader, [case.record.id for case in cases], types))
    asked: set[tuple[int, int | None, str | None]] = set()
    for role in live:
        other = role.other_sync_id
        assert other is not None  # such are live
        for case in cases:
            mine = known.ours.get((case.record.id, role.association_type.id), ())
            asked.update((other, one, None) for one in mine)
            told = () if case.item is None else case.item.associations.get(role.role.name, ())
            asked.update((other, None, one) for one in {*told, *case.link.base_roles.get(role.role.name, ())})
    if asked:
        rows = await links.halves(reader, sorted(asked, key=lambda one: (one[0], one[1] or 0, one[2] or "")))
        for sync_id, record_id, external_id in rows:
            known.items[sync_id, record_id] = external_id
            known.records[sync_id, external_id] = record_id
    return known


def _sides(
    known: _Known, role: RoleMapping, case: Ends
) -> tuple[list[str], set[str], set[str] | None, set[str]]:
    """(base, ours, theirs, items that wait): ends of ours and theirs that are linked; a base that is not is kept."""
    other = role.other_sync_id
    assert other is not None  # others are not looked at
    base = case.link.base_roles.get(role.role.name, [])
    ours = known.theirs_of(other, known.ours.get((case.record.id, role.association_type.id), ()))
    lost = {one for one in base if (other, one) not in known.records}
    if case.item is None or role.role.name not in case.item.associations:
        return base, ours | lost, None, set()
    told = set(case.item.associations[role.role.name])
    waiting = {one for one in told if (other, one) not in known.records} - lost
    # What cannot be told on one side is no change of it.
    return base, ours | lost, (told - waiting) | lost, waiting


# --- in ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Wish:
    """A pair that comes or goes on our side, for a link's role."""

    case: Ends
    role: RoleMapping
    end: str
    pair: Pair
    comes: bool


async def come_in(tx: Transaction, book: Book, cases: Sequence[Ends]) -> None:
    """Let associations of items come in: those of links that were written, with both halves."""
    rules = book.rules
    known = await look(tx, rules, cases)
    wishes: list[_Wish] = []
    after: list[tuple[Ends, RoleMapping, list[str], set[str], set[str], Merged]] = []
    for role in rules.roles:
        if role.other_sync_id is None:
            continue
        for case in cases:
            base, ours, theirs, waiting = _sides(known, role, case)
            merged = three_way(role, rules, base, ours, theirs)
            wishes += _wishes(known, case, role, merged)
            after.append((case, role, base, ours, set(base) if theirs is None else theirs, merged))
            if waiting and role.direction is not Direction.OUT and rules.goes(Side.OURS):
                _wait(book, case, role.other_sync_id, THEIRS, waiting)
    refused = await _carry_out(tx, book, wishes)
    for case, role, base, ours, theirs, merged in after:
        gone = {wish.end for wish in refused if wish.case is case and wish.role is role}
        here = (ours | (merged.add_ours - gone)) - (merged.remove_ours - gone)
        now = agreed(base, here, theirs)
        if now != sorted(base):
            case.link.base_roles = {**case.link.base_roles, role.role.name: now}
            book.keep(case.link)
        if merged.add_theirs or merged.remove_theirs:
            book.look(case.link, OURS, tx.now)


def _wishes(known: _Known, case: Ends, role: RoleMapping, merged: Merged) -> list[_Wish]:
    name = role.association_type.name
    labels = () if name is None else (name,)
    found: list[_Wish] = []
    for some, comes in ((merged.remove_ours, False), (merged.add_ours, True)):
        for end in sorted(some):
            record_id = known.records.get((role.other_sync_id or 0, end))
            if record_id is not None and record_id != case.record.id:
                found.append(_Wish(case, role, end, Pair(case.record.id, record_id, labels), comes))
    return found


async def _carry_out(tx: Transaction, book: Book, wishes: Sequence[_Wish]) -> list[_Wish]:
    """Do it by the commands, alike ones together, what goes first; those that were refused."""
    refused: list[_Wish] = []
    rules = book.rules
    for comes in (False, True):
        for plain in (True, False):
            some = [wish for wish in wishes if wish.comes is comes and (not wish.pair.labels) is plain]
            if not some:
                continue
            outcomes = await _do(tx, rules, [wish.pair for wish in some], comes, plain)
            for wish, outcome in zip(some, outcomes, strict=True):
                if outcome.problem is not None:
                    refused.append(wish)
                    category = refusals.category(outcome.problem)
                    details = {"role": wish.role.role.name, "ids": [wish.end], "side": THEIRS}
                    book.fail(
                        wish.case.link, category, outcome.problem.message, OURS, details=details, look=THEIRS
                    )
    return refused


async def _do(
    tx: Transaction, rules: Rules, pairs: Sequence[Pair], comes: bool, plain: bool
) -> Sequence[Outcome[associations.AssociationResult]]:
    # Where the app says which one is primary, that one is; else the first is, as everywhere.
    told = any(role.association_type.primary for role in rules.roles)
    if comes:
        write = associations.associate if plain else associations.add_labels
        return await write(tx, pairs, Mode.PER_ITEM, first_primary=not told)
    if plain:
        return await associations.dissociate(tx, pairs, Mode.PER_ITEM)
    # The one company that is synced goes with its label; any other label goes alone.
    alone = told and not rules.options.all_companies
    return await associations.remove_labels(tx, pairs, Mode.PER_ITEM, with_association=alone)


def _wait(book: Book, case: Ends, other_sync_id: int, side: str, items: Collection[str]) -> None:
    """Let the link wait for ends that are not linked yet; whoever links them says so."""
    link = case.link
    book.waits += [(other_sync_id, side, one, link.id) for one in sorted(items)]
    if link.state in (IN_SYNC, PENDING):
        link.state = PENDING
        link.category, link.message = Category.WAITING_FOR_ASSOCIATED_RECORD.value, WAITING
        book.keep(link)
        due = backoff.due(Category.WAITING_FOR_ASSOCIATED_RECORD, 1, str(link.id), book.tx.now)
        assert due is not None  # such are tried again
        book.look(link, side, due)


# --- out ---------------------------------------------------------------------------------------------------------


async def going_out(
    reader: Queryable, book: Book, cases: Sequence[Ends]
) -> dict[int, tuple[Links, dict[str, list[str]]]]:
    """By link: associations to be sent, and the ends that both have once that is done."""
    rules = book.rules
    known = await look(reader, rules, cases)
    found: dict[int, tuple[Links, dict[str, list[str]]]] = {}
    for case in cases:
        added: dict[str, tuple[str, ...]] = {}
        removed: dict[str, tuple[str, ...]] = {}
        all_: dict[str, tuple[str, ...]] = {}
        bases = dict(case.link.base_roles)
        for role in rules.roles:
            if role.other_sync_id is None:
                continue
            base, ours, _, _ = _sides(known, role, case)
            merged = three_way(role, rules, base, ours, None)
            mine = known.ours.get((case.record.id, role.association_type.id), set())
            missing = {one for one in mine if (role.other_sync_id, one) not in known.items}
            if missing and role.direction is not Direction.IN and rules.goes(Side.THEIRS):
                _wait(book, case, role.other_sync_id, OURS, {str(one) for one in missing})
            if merged.add_theirs or merged.remove_theirs:
                name = role.role.name
                there = (set(base) | merged.add_theirs) - merged.remove_theirs
                added[name], removed[name] = (
                    tuple(sorted(merged.add_theirs)),
                    tuple(sorted(merged.remove_theirs)),
                )
                all_[name] = tuple(sorted(there))
                bases[name] = agreed(base, ours, there)
        if added or removed:
            found[case.link.id] = Links(added, removed, all_), bases
    return found
