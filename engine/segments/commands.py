"""What people do with segments: make, edit, convert and delete them. Transactions must be `defining` ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine import filters, ids, naming
from engine.evaluation import listening
from engine.problems import NotFound, UnknownObjectType, at
from engine.segments import moves
from engine.segments.problems import (
    FilterMissing,
    FilterNotWanted,
    SegmentCircle,
    SegmentKindFixed,
    SegmentNameTaken,
    SegmentUsed,
    StaleSegment,
)
from engine.segments.uses import uses
from storage import backfills, match_states, memberships
from storage import segments as stored
from storage.catalogue import ObjectTypeRow
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.filters import facts
from storage.filters.tree import Filter
from storage.listeners import Ref
from storage.memberships import Move
from storage.segments import SegmentDetails

ACTIVE, STATIC, SNAPSHOT = "ACTIVE", "STATIC", "SNAPSHOT"
# Records that are filtered at once when a snapshot is taken.
PART = 5_000


async def create(
    tx: Transaction, name: str, object_type: str, kind: str, where: Mapping[str, Any] | None
) -> SegmentDetails:
    """A new segment. An active one is filled by the workers; a snapshot has its members at once.

    Raises `UnknownObjectType`, `SegmentNameTaken`, `FilterMissing`, `FilterNotWanted`, and `Refused` with every
    problem of the filter.
    """
    name = _name(name)
    found = tx.catalogue.by_name.get(object_type)
    if found is None:
        raise UnknownObjectType(name=object_type[:100], path=("objectType",))
    if kind == STATIC and where is not None:
        raise FilterNotWanted(path=("where",))
    if kind != STATIC and where is None:
        raise FilterMissing(kind=kind, path=("where",))
    await tx.redefine()
    bound = None if where is None else _bind(tx, where, found)
    definition = None if where is None else filters.explicit(where, found)
    (segment_id,) = await tx.new_ids(1)
    if not await stored.insert(tx, segment_id, name, found.id, kind, definition):
        raise SegmentNameTaken(name=name, path=("name",))
    await tx.reload()
    _tell(tx, EventKind.SEGMENT_CREATED, segment_id, {"name": name, "kind": kind})
    if kind == ACTIVE and bound is not None:
        await _follow(tx, segment_id, found, bound)
    elif bound is not None:
        await _take(tx, segment_id, found, bound)
    return await _read(tx, segment_id)


async def update(
    tx: Transaction,
    segment_id: int,
    version: int,
    *,
    name: str | None = None,
    kind: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> SegmentDetails:
    """Change the name, the filter, or make an active segment static: it then keeps the members that it has.

    A new filter examines all records; old members that do not meet it leave. Raises `StaleSegment`,
    `SegmentCircle`, `SegmentKindFixed`, and what `create` raises.
    """
    await tx.redefine()
    held = await _hold(tx, segment_id)
    if held.version != version:
        raise StaleSegment(read=version, version=held.version, path=("version",))
    name = held.name if name is None else _name(name)
    if any(row.name == name and row.id != segment_id for row in tx.catalogue.segments.values()):
        raise SegmentNameTaken(name=name, path=("name",))
    kind = held.kind if kind is None else kind
    if kind != held.kind and (held.kind, kind) != (ACTIVE, STATIC):
        raise SegmentKindFixed(kind=held.kind, wanted=kind, path=("kind",))
    if where is not None and kind != ACTIVE:
        raise FilterNotWanted(path=("where",))
    object_type = tx.catalogue.object_types[held.object_type_id]
    definition = held.definition
    bound = None
    if where is not None:
        bound = _bind(tx, where, object_type)
        definition = filters.explicit(where, object_type)
        await _check_circle(tx, segment_id, _refs(tx, object_type, bound))
    await stored.update(tx, segment_id, name, kind, None if kind == STATIC else definition)
    await tx.reload()
    if kind != held.kind:
        await _stand_still(tx, segment_id)
    if bound is not None:
        await _follow(tx, segment_id, object_type, bound)
    _tell(tx, EventKind.SEGMENT_UPDATED, segment_id, {"name": name, "kind": kind, "version": version + 1})
    return await _read(tx, segment_id)


async def delete(tx: Transaction, segment_id: int) -> SegmentDetails:
    """Delete a segment; what it was. Raises `NotFound`, and `SegmentUsed` with everybody who uses it."""
    await tx.redefine()
    held = await _hold(tx, segment_id)
    found = await uses(tx, tx.catalogue, segment_id)
    if found:
        raise SegmentUsed(
            name=held.name,
            uses=[f'the {use.kind} "{use.name}"' for use in found],
            used_by=[{"kind": use.kind, "id": use.id, "name": use.name} for use in found],
            path=("id",),
        )
    await stored.delete(tx, segment_id)
    _tell(tx, EventKind.SEGMENT_DELETED, segment_id, {"name": held.name})
    await tx.reload()
    return held


def _bind(tx: Transaction, where: Mapping[str, Any], object_type: ObjectTypeRow) -> Filter:
    with at("where"):
        return filters.bind(where, object_type, tx.catalogue)


def _refs(tx: Transaction, object_type: ObjectTypeRow, bound: Filter) -> list[Ref]:
    return listening.refs([bound], object_type.id, tx.catalogue)


async def _follow(tx: Transaction, segment_id: int, object_type: ObjectTypeRow, bound: Filter) -> None:
    """Let the segment hear of what its filter looks at, and have all records examined."""
    await stored.listen(tx, segment_id, _refs(tx, object_type, bound))
    await match_states.forget(tx, segment_id)
    await match_states.begin_fill(tx, segment_id)


async def _stand_still(tx: Transaction, segment_id: int) -> None:
    await stored.listen(tx, segment_id, ())
    await match_states.end_fill(tx, [segment_id])
    await match_states.forget(tx, segment_id)


async def _take(tx: Transaction, segment_id: int, object_type: ObjectTypeRow, bound: Filter) -> None:
    """Let all who meet the filter now be the members. Nobody writes meanwhile: definitions are held alone."""
    held = await memberships.hold(tx, [segment_id])
    cause = {"kind": "SNAPSHOT"}
    after = 0
    while page := await backfills.record_page(tx, object_type.id, after, PART):
        met = await facts.met(tx, bound, object_type.id, page, now=tx.now)
        await moves.carry_out(tx, held, [Move(segment_id, one, True, cause) for one in sorted(met)])
        after = page[-1]


async def _check_circle(tx: Transaction, segment_id: int, refs: Sequence[Ref]) -> None:
    """Raise `SegmentCircle` where the segment would refer to itself through others."""
    named: dict[int, set[int]] = {}
    for referring, referred in await stored.referring(tx, listening.SEGMENT):
        named.setdefault(referring, set()).add(referred)
    named[segment_id] = {ref.ref_id for ref in refs if ref.kind == listening.SEGMENT}
    way = circle(named, segment_id)
    if way:
        names = [tx.catalogue.segments[one].name for one in way]
        raise SegmentCircle(
            circle=" → ".join(f'"{name}"' for name in names),
            segments=[ids.encode("segment", one) for one in way],
            path=("where",),
        )


def circle(named: Mapping[int, set[int]], start: int) -> list[int]:
    """A shortest way from `start` back to it, both ends included; empty where there is none."""
    came: dict[int, int] = {}
    going = [start]
    while going:
        following = []
        for one in going:
            for other in sorted(named.get(one, ())):
                if other == start:
                    way = [start, one]
                    while way[-1] != start:
                        way.append(came[way[-1]])
                    return way[::-1]
                if other not in came:
                    came[other] = one
                    following.append(other)
        going = following
    return []


async def _hold(tx: Transaction, segment_id: int) -> SegmentDetails:
    (held,) = await stored.by_ids(tx, [segment_id])
    if held is None:
        raise NotFound(kind="segment", name=ids.encode("segment", segment_id), path=("id",))
    return held


async def _read(tx: Transaction, segment_id: int) -> SegmentDetails:
    (row,) = await stored.by_ids(tx, [segment_id])
    assert row is not None  # it was written, or held, by this transaction
    return row


def _name(name: str) -> str:
    with at("name"):
        return naming.text(name, "segment's name")


def _tell(tx: Transaction, kind: EventKind, segment_id: int, details: dict[str, Any]) -> None:
    object_type_id = tx.catalogue.segments[segment_id].object_type_id
    tx.happened(Event(kind, object_type_id, None, segment_id, details))
