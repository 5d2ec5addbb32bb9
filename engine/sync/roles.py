"""Associations of a synced record: sets of ends on both sides, merged against those that both had at last.

Ends are told by their items' ids over there. What is linked with nothing is left alone, or waited for.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine import associations
from engine.associations import Pair
from engine.batches import Mode, Outcome
from engine.sync import backoff, refusals
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.categories import Category
from engine.sync.connectors.protocol import Links
from engine.sync.ends import Ends, Known, Sides, look, sides
from engine.sync.rules import Direction, Policy, RoleMapping, Rules, Side
from storage.database import Queryable, Transaction
from storage.sync.links import IN_SYNC, PENDING

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


# --- in ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Wish:
    """A pair that comes or goes on our side, for a link's role."""

    case: Ends
    role: RoleMapping
    end: str
    pair: Pair
    comes: bool


async def come_in(tx: Transaction, book: Book, cases: Sequence[Ends]) -> Sequence[Wish]:
    """Let associations of items come in: those of links that were written, with both halves. What was asked for."""
    rules = book.rules
    known = await look(tx, rules, cases)
    wishes: list[Wish] = []
    after: list[tuple[Ends, RoleMapping, Sides, Merged]] = []
    for role in rules.roles:
        if role.other_sync_id is None:
            continue
        for case in cases:
            found = sides(known, rules, role, case, tx.now)
            merged = three_way(role, rules, found.base, found.ours, found.theirs)
            wishes += _wishes(known, case, role, merged)
            after.append((case, role, found, merged))
            _wait(book, case, role.other_sync_id, found)
    kept = _implied(after)
    wishes = [wish for wish in wishes if (id(wish.case), id(wish.role), wish.end) not in kept]
    refused = await _carry_out(tx, book, wishes)
    # A label brings the plain association with it, which may be a role of its own.
    more = any(role.association_type.name is None for _, role, _, _ in after)
    failed = {id(wish) for wish in refused}
    brought = {id(w.case) for w in wishes if more and w.comes and w.pair.labels and id(w) not in failed}
    for case, role, found, merged in after:
        gone = {wish.end for wish in refused if wish.case is case and wish.role is role}
        implied = {end for end in merged.remove_ours if (id(case), id(role), end) in kept}
        gone |= implied
        here = (found.ours | (merged.add_ours - gone)) - (merged.remove_ours - gone)
        there = set(found.base) if found.theirs is None else found.theirs
        now = agreed(set(found.base) - implied, here, there)
        if now != sorted(found.base):
            case.link.base_roles = {**case.link.base_roles, role.role.name: now}
            book.keep(case.link)
        if merged.add_theirs or merged.remove_theirs or implied or id(case) in brought:
            book.look(case.link, OURS, tx.now)
    return wishes


def _implied(after: Sequence[tuple[Ends, RoleMapping, Sides, Merged]]) -> set[tuple[int, int, str]]:
    """Plain associations that they have no more, but labels of: with us, whatever has a label is associated."""
    labelled: dict[int, set[str]] = {}
    for case, role, found, merged in after:
        if role.association_type.name is not None:
            stays = (found.ours | merged.add_ours) - merged.remove_ours
            labelled.setdefault(id(case), set()).update(stays)
    return {
        (id(case), id(role), end)
        for case, role, _, merged in after
        if role.association_type.name is None
        for end in merged.remove_ours & labelled.get(id(case), set())
    }


def _wishes(known: Known, case: Ends, role: RoleMapping, merged: Merged) -> list[Wish]:
    name = role.association_type.name
    labels = () if name is None else (name,)
    found: list[Wish] = []
    for some, comes in ((merged.remove_ours, False), (merged.add_ours, True)):
        for end in sorted(some):
            record_id = known.records.get((role.other_sync_id or 0, end))
            if record_id is not None and record_id != case.record.id:
                found.append(Wish(case, role, end, Pair(case.record.id, record_id, labels), comes))
    return found


async def _carry_out(tx: Transaction, book: Book, wishes: Sequence[Wish]) -> list[Wish]:
    """Do it by the commands, alike ones together, what goes first; those that were refused."""
    refused: list[Wish] = []
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


def _wait(book: Book, case: Ends, other_sync_id: int, found: Sides) -> None:
    """Let the link wait for ends that are not linked yet; whoever links them says so."""
    link = case.link
    book.waits += [(other_sync_id, side, one, link.id) for side, one in found.waits]
    if found.loud and link.state in (IN_SYNC, PENDING):
        link.state = PENDING
        link.category, link.message = Category.WAITING_FOR_ASSOCIATED_RECORD.value, WAITING
        book.keep(link)
        due = backoff.due(Category.WAITING_FOR_ASSOCIATED_RECORD, 1, str(link.id), book.tx.now)
        assert due is not None  # such are tried again
        book.look(link, THEIRS, due)


# --- out ---------------------------------------------------------------------------------------------------------


async def going_out(
    reader: Queryable, book: Book, cases: Sequence[Ends]
) -> dict[int, tuple[Links, dict[str, list[str]]]]:
    """By link: associations to be sent, and the ends that both have once that is done."""
    rules = book.rules
    known = await look(reader, rules, cases)
    going: dict[int, tuple[Links, dict[str, list[str]]]] = {}
    for case in cases:
        added: dict[str, tuple[str, ...]] = {}
        removed: dict[str, tuple[str, ...]] = {}
        all_: dict[str, tuple[str, ...]] = {}
        bases = dict(case.link.base_roles)
        for role in rules.roles:
            if role.other_sync_id is None:
                continue
            found = sides(known, rules, role, case, book.tx.now)
            base, merged = found.base, three_way(role, rules, found.base, found.ours, None)
            _wait(book, case, role.other_sync_id, found)
            if merged.add_theirs or merged.remove_theirs:
                name = role.role.name
                there = (set(base) | merged.add_theirs) - merged.remove_theirs
                added[name], removed[name] = (
                    tuple(sorted(merged.add_theirs)),
                    tuple(sorted(merged.remove_theirs)),
                )
                all_[name] = tuple(sorted(there))
                bases[name] = agreed(base, found.ours, there)
        if added or removed:
            going[case.link.id] = Links(added, removed, all_), bases
    return going
