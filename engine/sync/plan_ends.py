"""What a preview says of associations: what comes and goes on both sides, what waits for its other end, what is left.

What comes and goes on our side is what our own commands do: with a label comes the plain association, with the first
company the primary one. What would come only once its other end is in sync waits, and is left alone when the preview
is applied: nothing but what was shown is done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from engine.associations.kinds import kinds_of
from engine.sync import ends, inbound, roles
from engine.sync.book import OURS, THEIRS, Book
from engine.sync.cases import Case
from engine.sync.decide import Kind
from engine.sync.effects import ADDED, REMOVED, done
from engine.sync.ends import Ends, Known, Later
from engine.sync.rules import Direction, RoleMapping, Rules, Side
from storage.changes import AssociationChanges, ChangeKind
from storage.database import Queryable, Transaction
from storage.sync import ends as stored
from storage.sync import plan_work

# What becomes of an association that is neither added nor removed.
WAITING, LEFT, REFUSED = "WAITING", "LEFT", "REFUSED"

# One association, or several that are left: {"did", "side", "type", "role"?, "record"?, "item"?, "of"?, "count"?}.
# "record" and "item" are the other end; "of" is our record at which it stands, where that is not the item's own; with
# "count" it is that many, which no sync is there for.
Told: TypeAlias = dict[str, Any]


# --- what comes in -----------------------------------------------------------------------------------------------


async def associate(
    tx: Transaction, rules: Rules, cases: Sequence[Case], later: Mapping[str, Later] | None = None
) -> tuple[set[int], dict[str, list[Told]]]:
    """Merge associations, as `inbound.associate` does: our records that are to be sent then, and what is told of each.

    By the items' ids. `later`: by the same, what is to wait.
    """
    if not rules.roles or not (both := inbound.whole(cases, later)):
        return set(), {}
    told: dict[str, list[Told]] = {_item(one): [] for one in both}
    noted, book = len(tx.changes), Book(tx, rules)
    wishes = await roles.come_in(tx, book, both)
    _ours(tx, both, wishes, noted, told)
    await book.write()
    known = await ends.look(tx, rules, both)
    for case, left in zip(both, await _left(tx, rules, both), strict=True):
        going = list(_going(rules, known, case, tx.now))
        gone = {(one["role"], one["item"]) for one in going if one["did"] == REMOVED}
        standing = _standing(tx, rules, known, case)
        # What gives way over there is not waited for.
        waiting = [one for one in standing if (one["role"], one.get("item")) not in gone]
        told[_item(case)] += [*waiting, *going, *left]
    return {int(item) for _, side, item, _, _ in book.dirty if side == OURS}, told


def within(rules: Rules, cases: Sequence[Case]) -> dict[str, Later]:
    """By the items' ids: ends of the same sync wait that the cases themselves are about to link.

    In which order they will be is not known, nor which records there will be.
    """
    inside = [one.role.name for one in rules.roles if one.other_sync_id == rules.sync_id]
    if not inside:
        return {}
    new = [one.item.external_id for one in cases if one.decision.kind in (Kind.CREATE_OURS, Kind.MATCH)]
    waiting = Later(frozenset((role, item) for role in inside for item in new))
    return {case.item.external_id: waiting for case in cases}


def _item(case: Ends) -> str:
    return "" if case.item is None else case.item.external_id


def _ours(
    tx: Transaction,
    both: Sequence[Ends],
    wishes: Sequence[roles.Wish],
    noted: int,
    told: dict[str, list[Told]],
) -> None:
    """What our commands have done, each with the item for which it was."""
    net: dict[tuple[int, int, int], int] = {}
    for one in tx.changes[noted:]:
        if isinstance(one, AssociationChanges) and one.kind in (
            ChangeKind.ASSOCIATED,
            ChangeKind.DISSOCIATED,
        ):
            step = 1 if one.kind is ChangeKind.ASSOCIATED else -1
            for record_id, other in zip(one.record_ids, one.other_ids, strict=True):
                key = (record_id, one.type_id, other)
                net[key] = net.get(key, 0) + step
    of_pair = {(wish.pair.from_id, wish.pair.to_id): wish.case for wish in wishes}
    of_record = {case.record.id: case for case in both}
    of_end = {wish.pair.to_id: wish.case for wish in wishes if wish.comes}
    items = {(wish.pair.from_id, wish.pair.to_id): wish.end for wish in wishes}
    kinds = kinds_of(tx.catalogue)
    for (record_id, type_id, other), n in net.items():
        case = of_pair.get((record_id, other))
        if n == 0 or (case is None and (other, record_id) in of_pair):
            continue
        entry: Told = {"did": ADDED if n > 0 else REMOVED, "side": OURS, "type": type_id, "record": other}
        if case is None:
            # The one primary company has moved away from here: told where it may be one alone.
            if not kinds[type_id].holder:
                continue
            case = of_record.get(record_id) or of_end.get(record_id)
            if case is None:
                continue
            if case.record.id != record_id:
                entry["of"] = record_id
        if (end := items.get((record_id, other))) is not None:
            entry["item"] = end
        told[_item(case)].append(entry)


def _standing(tx: Transaction, rules: Rules, known: Known, case: Ends) -> Iterable[Told]:
    """How it stands now: what was refused, and what waits for another end."""
    for role in rules.roles:
        other = role.other_sync_id
        if other is None:
            continue
        found = ends.sides(known, rules, role, case, tx.now)
        for end in sorted(roles.three_way(role, rules, found.base, found.ours, found.theirs).add_ours):
            record_id = known.records.get((other, end))
            if record_id is not None and record_id != case.record.id:
                yield _told(REFUSED, OURS, role, record=record_id, item=end)
        yield from _waiting(known, other, role, found)


def _waiting(known: Known, other: int, role: RoleMapping, found: ends.Sides) -> Iterable[Told]:
    for half, end in found.waits:
        # What we have is to come over there; what they have, here.
        if half == OURS:
            did = LEFT if (other, int(end)) in known.apart_ours else WAITING
            yield _told(did, THEIRS, role, record=int(end))
        else:
            did = LEFT if (other, end) in known.apart_theirs else WAITING
            yield _told(did, OURS, role, item=end)


# --- what goes out -----------------------------------------------------------------------------------------------


async def going_out(
    reader: Queryable, rules: Rules, cases: Sequence[Ends], now: datetime
) -> dict[int, list[Told]]:
    """By record: what would be said of those that nothing is linked with, if they were created over there."""
    told: dict[int, list[Told]] = {case.record.id: [] for case in cases}
    if not rules.roles or not cases:
        return told
    known = await ends.look(reader, rules, cases)
    for case in cases:
        for role in rules.roles:
            if role.other_sync_id is not None:
                found = ends.sides(known, rules, role, case, now)
                told[case.record.id] += _waiting(known, role.other_sync_id, role, found)
        told[case.record.id] += _going(rules, known, case, now)
    for case, entries in zip(cases, await _left(reader, rules, cases), strict=True):
        told[case.record.id] += entries
    return told


def _going(rules: Rules, known: Known, case: Ends, now: datetime) -> Iterable[Told]:
    """What is to be written over there, as `roles.going_out` sends it."""
    unread = replace(case, item=None)
    for role in rules.roles:
        other = role.other_sync_id
        if other is None:
            continue
        found = ends.sides(known, rules, role, unread, now)
        merged = roles.three_way(role, rules, found.base, found.ours, None)
        removed = set(merged.remove_theirs)
        if merged.add_theirs and not role.role.many and case.item is not None:
            # There is one place: who has it, linked or not, gives way.
            removed |= set(case.item.associations.get(role.role.name, ())) - merged.add_theirs
        for did, some in ((REMOVED, removed), (ADDED, merged.add_theirs)):
            for end in sorted(some):
                yield _told(did, THEIRS, role, item=end, record=known.records.get((other, end)))


async def _left(reader: Queryable, rules: Rules, cases: Sequence[Ends]) -> list[list[Told]]:
    """Associations with what no sync of the connection is there for: how many each side has."""
    apart = [role for role in rules.roles if role.other_sync_id is None]
    if not apart:
        return [[] for _ in cases]
    types = sorted({(one.association_type.to_object_type_id, one.association_type.id) for one in apart})
    ours = await stored.of_records(reader, [case.record.id for case in cases], types)
    told: list[list[Told]] = []
    for case in cases:
        entries: list[Told] = []
        for role in apart:
            theirs = () if case.item is None else case.item.associations.get(role.role.name, ())
            here = ours.get((case.record.id, role.association_type.id), ())
            if theirs and role.direction is not Direction.OUT and rules.goes(Side.OURS):
                entries.append(_told(LEFT, OURS, role, count=len(theirs)))
            if here and role.direction is not Direction.IN and rules.goes(Side.THEIRS):
                entries.append(_told(LEFT, THEIRS, role, count=len(here)))
        told.append(entries)
    return told


def _told(did: str, side: str, role: RoleMapping, **end: Any) -> Told:
    given = {name: value for name, value in end.items() if value is not None}
    return {"did": did, "side": side, "type": role.association_type.id, "role": role.role.name, **given}


# --- applying ----------------------------------------------------------------------------------------------------


def later(told: Sequence[Told]) -> Later | None:
    """What is to wait when a plan that says this is applied; None: nothing."""
    waiting = [one for one in told if one["did"] in (WAITING, LEFT)]
    if not waiting:
        return None
    return Later(
        frozenset((one["role"], one["item"]) for one in waiting if "item" in one),
        frozenset((one["role"], one["record"]) for one in waiting if "record" in one),
        frozenset(one["role"] for one in waiting if "count" in one),
    )


async def leave(reader: Queryable, plan_id: int, cases: Sequence[Ends]) -> None:
    """Let links that are to be sent wait for what the plan shows as waiting."""
    items = [case.link.external_id for case in cases if case.link.external_id is not None]
    known = await plan_work.associations(reader, plan_id, [case.record.id for case in cases], items)
    for case in cases:
        case.later = later(
            known.get(("THEIRS", case.link.external_id or ""))
            or known.get(("OURS", str(case.record.id)))
            or ()
        )


async def reached(
    tx: Transaction, cases: Sequence[tuple[Case, Sequence[Told], Sequence[Told]]]
) -> list[list[Told]]:
    """Of what was planned for each case and is not done now, what is so without: somebody was there before.

    Each case comes with what was planned, and with what is done now.
    """
    missing = [_missing(planned, now) for _, planned, now in cases]
    asked = {
        (one.get("of") or case.record.id, one["type"])
        for (case, _, _), some in zip(cases, missing, strict=True)
        for one in some
        if one["side"] == OURS and case.record is not None
    }
    held: dict[tuple[int, int], set[int]] = {}
    if asked:
        types = tx.catalogue.association_types
        pairs = sorted({(types[one].to_object_type_id, one) for _, one in asked if one in types})
        held = await stored.of_records(tx, sorted({record_id for record_id, _ in asked}), pairs)

    def is_so(case: Case, one: Told) -> bool:
        if one["side"] == THEIRS:
            there = one["item"] in case.item.associations.get(one["role"], ())
        else:
            near = one.get("of") or (0 if case.record is None else case.record.id)
            there = one["record"] in held.get((near, one["type"]), ())
        return there is (one["did"] == ADDED)

    return [
        [one for one in some if is_so(case, one)] for (case, _, _), some in zip(cases, missing, strict=True)
    ]


def _missing(planned: Sequence[Told], now: Sequence[Told]) -> list[Told]:
    present = done(now)
    return [dict(one) for key, one in done(planned).items() if key not in present]
