"""The other ends of associations, as they are known: which record is which item in the syncs that they are of.

Ends are told by their items' ids over there. An end of which one half was deleted is left alone on both sides: it is
nothing that either has changed, as long as it is gone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from engine.sync.categories import Category
from engine.sync.connectors.protocol import Item
from engine.sync.rules import Direction, RoleMapping, Rules, Side
from storage import records
from storage.database import Queryable
from storage.records import RecordRow
from storage.sync import ends
from storage.sync.dirty import OURS, THEIRS
from storage.sync.links import LinkRow

# Who has waited so long for something that nobody knows waits no more: it is told, should it come after all.
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Later:
    """Ends that are taken for not linked, though they may be by now: of a preview, those that it shows as waiting.

    By roles: (role, item), (role, record); or all of a role but those that both had.
    """

    items: frozenset[tuple[str, str]] = frozenset()
    records: frozenset[tuple[str, int]] = frozenset()
    roles: frozenset[str] = frozenset()

    def holds(self, role: str, item: str, record_id: int, base: Collection[str]) -> bool:
        """Whether nothing is to be done with this end now."""
        if role in self.roles and item not in base:
            return True
        return (role, item) in self.items or (role, record_id) in self.records


@dataclass(slots=True)
class Ends:
    """A link with both halves. `waits`: since when it waits for an end, where it does; `later`: for what it is to."""

    link: LinkRow
    record: RecordRow
    item: Item | None = None
    waits: datetime | None = None
    later: Later | None = None


def waits(link: LinkRow | None) -> datetime | None:
    """Since when a link waits for an end; None where it does not."""
    waiting = link is not None and link.category == Category.WAITING_FOR_ASSOCIATED_RECORD
    return link.updated_at if waiting and link is not None else None


@dataclass(slots=True)
class Known:
    """What is known of the ends."""

    # {(record, association type): the other ends}
    ours: dict[tuple[int, int], set[int]]
    # By the sync of the end: both ways.
    items: dict[tuple[int, int], str] = field(default_factory=dict)
    records: dict[tuple[int, str], int] = field(default_factory=dict)
    # Records and items with which nothing is to be done now: half of them is gone, or they are not synced.
    apart_ours: set[tuple[int, int]] = field(default_factory=set)
    apart_theirs: set[tuple[int, str]] = field(default_factory=set)

    def theirs_of(self, sync_id: int, record_ids: Collection[int]) -> set[str]:
        """Items of those of the records that are linked."""
        return {item for one in record_ids if (item := self.items.get((sync_id, one))) is not None}


@dataclass(frozen=True, slots=True)
class Sides:
    """The ends of one role, by their items' ids. `theirs` None: not read. What is not linked is in `base` alone.

    `waits`: what is to be told of once it is linked (the side, and the id there); `loud`: it is worth saying so.
    """

    base: Sequence[str]
    ours: set[str]
    theirs: set[str] | None
    waits: tuple[tuple[str, str], ...] = ()
    loud: bool = False


async def look(reader: Queryable, rules: Rules, cases: Sequence[Ends]) -> Known:
    """Read what the merges of these need: two statements, and a third where records are not linked."""
    live = [one for one in rules.roles if one.other_sync_id is not None]
    types = sorted({(one.association_type.to_object_type_id, one.association_type.id) for one in live})
    known = Known(await ends.of_records(reader, [case.record.id for case in cases], types))
    asked: set[tuple[int, int | None, str | None]] = set()
    for role in live:
        other = role.other_sync_id
        assert other is not None  # such are live
        for case in cases:
            mine = known.ours.get((case.record.id, role.association_type.id), ())
            asked.update((other, one, None) for one in mine)
            told = () if case.item is None else case.item.associations.get(role.role.name, ())
            asked.update((other, None, one) for one in {*told, *case.link.base_roles.get(role.role.name, ())})
    for end in await ends.halves(reader, sorted(asked, key=lambda one: (one[0], one[1] or 0, one[2] or ""))):
        if end.record_id is not None and end.external_id is not None and end.linked:
            known.items[end.sync_id, end.record_id] = end.external_id
            known.records[end.sync_id, end.external_id] = end.record_id
        elif end.gone or end.excluded:
            if end.record_id is not None:
                known.apart_ours.add((end.sync_id, end.record_id))
            if end.external_id is not None:
                known.apart_theirs.add((end.sync_id, end.external_id))
    await _archived(reader, known, {(one[0], one[1]) for one in asked if one[1] is not None})
    return known


async def _archived(reader: Queryable, known: Known, asked: set[tuple[int, int]]) -> None:
    """Archived records that are not linked will not be."""
    unknown = sorted(asked - known.items.keys() - known.apart_ours)
    if unknown:
        rows = await records.rows(reader, sorted({one for _, one in unknown}))
        gone = {row.id for row in rows if row is not None and row.archived_at is not None}
        known.apart_ours.update(one for one in unknown if one[1] in gone)


def sides(known: Known, rules: Rules, role: RoleMapping, case: Ends, now: datetime) -> Sides:
    """The ends of one role of one link."""
    other = role.other_sync_id
    assert other is not None  # others are not looked at
    if case.later is not None:
        known = _without(known, other, role, case, case.later)
    base = case.link.base_roles.get(role.role.name, [])
    mine = known.ours.get((case.record.id, role.association_type.id), set())
    ours = known.theirs_of(other, mine)
    lost = {one for one in base if (other, one) not in known.records}
    theirs: set[str] | None = None
    told_of: list[tuple[str, str]] = []
    loud = False
    if role.direction is not Direction.IN and rules.goes(Side.THEIRS):
        unlinked = {one for one in mine if (other, one) not in known.items}
        told_of += [(OURS, str(one)) for one in sorted(unlinked)]
        loud = any((other, one) not in known.apart_ours for one in unlinked)
    if case.item is not None and role.role.name in case.item.associations:
        told = set(case.item.associations[role.role.name])
        missing = {one for one in told if (other, one) not in known.records}
        # What cannot be told on one side is no change of it; what is known nowhere any more is forgotten.
        lost = {one for one in lost if one in told or (other, one) in known.apart_theirs}
        theirs = _with(role, told - missing, lost)
        if role.direction is not Direction.OUT and rules.goes(Side.OURS):
            told_of += [(THEIRS, one) for one in sorted(missing)]
            loud = loud or any((other, one) not in known.apart_theirs for one in missing)
    patient = case.waits is None or case.waits > now - PATIENCE
    return Sides(base, _with(role, ours, lost), theirs, tuple(told_of), loud and patient)


def _without(known: Known, other: int, role: RoleMapping, case: Ends, later: Later) -> Known:
    """What is known of the ends of one role of one link, but for those that are to wait."""
    name, base = role.role.name, case.link.base_roles.get(role.role.name, [])
    mine = known.ours.get((case.record.id, role.association_type.id), set())
    told = () if case.item is None else case.item.associations.get(name, ())
    items = {
        (other, one): item
        for one in mine
        if (item := known.items.get((other, one))) is not None and not later.holds(name, item, one, base)
    }
    records = {
        (other, item): one
        for item in {*told, *base, *items.values()}
        if (one := known.records.get((other, item))) is not None and not later.holds(name, item, one, base)
    }
    return replace(known, items=items, records=records)


def _with(role: RoleMapping, linked: set[str], lost: set[str]) -> set[str]:
    """Ends of one side, with those that are gone; where there is one place, what has it now has taken it."""
    return linked | lost if role.role.many or not linked else linked
