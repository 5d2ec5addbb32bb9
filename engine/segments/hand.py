"""Members by hand: records are added to static segments and snapshots, and removed from them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine import ids
from engine.batches import Mode, Outcome, check_size, settle
from engine.problems import NotFound, Problem
from engine.segments import moves
from engine.segments.problems import OtherObjectType, RecordGone, SegmentNotByHand
from storage import memberships, records
from storage.catalogue import SegmentRow
from storage.changes import ChangeKind, QueuedChange
from storage.database import Transaction
from storage.memberships import Line, Move
from storage.records import RecordRow

GONE = (ChangeKind.ARCHIVED, ChangeKind.MERGED)


async def add(tx: Transaction, segment_id: int, record_ids: Sequence[int], mode: Mode) -> list[Outcome[bool]]:
    """Add records to a static segment, in the order asked; the value says whether the record is new in it.

    Raises `NotFound` for the segment, `SegmentNotByHand`, and `Refused` in atomic mode.
    """
    segment = _by_hand(tx, segment_id)
    check_size(record_ids)
    # Locked, so that nobody is archived in between: the evaluator then finds them among the members.
    rows = await records.lock_survivors(tx, record_ids)
    outcomes = [_addable(tx, segment, record_id, rows.get(record_id)) for record_id in record_ids]
    settle(outcomes, mode)
    led = [rows[one].id if one in rows else one for one in record_ids]
    wanted = [one for one, outcome in zip(led, outcomes, strict=True) if outcome.problem is None]
    return _told(led, outcomes, await _move(tx, segment_id, wanted, joined=True))


async def remove(tx: Transaction, segment_id: int, record_ids: Sequence[int]) -> list[Outcome[bool]]:
    """Remove records from a static segment, in the order asked; the value says whether the record was in it."""
    _by_hand(tx, segment_id)
    check_size(record_ids)
    outcomes = [Outcome(False) for _ in record_ids]
    return _told(record_ids, outcomes, await _move(tx, segment_id, record_ids, joined=False))


async def lose_and_regain(tx: Transaction, changes: Sequence[QueuedChange]) -> None:
    """What is archived leaves segments that are made by hand, and comes back to them when it is restored.

    A record that is merged away leaves its place to the survivor. What holds now decides, not the order in
    which changes come.
    """
    touched = sorted(
        {change.record_id for change in changes if change.kind in GONE or change.kind is ChangeKind.RESTORED}
    )
    by_hand = [one.id for one in tx.catalogue.segments.values() if one.kind != "ACTIVE"]
    if not touched or not by_hand:
        return
    known = await memberships.last_lines(tx, by_hand, touched)
    held = await memberships.hold(tx, {line.segment_id for line in known})
    lines = await memberships.last_lines(tx, held, touched)
    # Where each record leads today: to itself, or to the survivor of a merge.
    leads = dict(zip(touched, await records.resolve(tx, touched), strict=True))
    there = await memberships.among(tx, held, {row.id for row in leads.values() if row is not None})
    await moves.carry_out(tx, held, list(_passing(lines, leads, there)))


def _passing(
    lines: Sequence[Line], leads: Mapping[int, RecordRow | None], there: set[tuple[int, int]]
) -> Iterator[Move]:
    """Who leaves, inherits or returns; `lines` are the last ones, `there` are members among those led to."""
    for line in lines:
        row = leads[line.record_id]
        merged = row is not None and row.id != line.record_id
        living = row is not None and row.archived_at is None
        if line.joined and (merged or not living):
            cause = {"kind": "MERGED" if merged else "ARCHIVED", "record": line.record_id}
            yield Move(line.segment_id, line.record_id, False, cause)
            if row is not None and merged and living and (line.segment_id, row.id) not in there:
                there.add((line.segment_id, row.id))
                yield Move(line.segment_id, row.id, True, cause)
        elif not line.joined and living and not merged and line.cause.get("kind") == "ARCHIVED":
            yield Move(line.segment_id, line.record_id, True, {"kind": "RESTORED", "record": line.record_id})


def _by_hand(tx: Transaction, segment_id: int) -> SegmentRow:
    segment = tx.catalogue.segments.get(segment_id)
    if segment is None:
        raise NotFound(kind="segment", name=ids.encode("segment", segment_id), path=("segmentId",))
    if segment.kind == "ACTIVE":
        raise SegmentNotByHand(name=segment.name, path=("segmentId",))
    return segment


def _addable(tx: Transaction, segment: SegmentRow, record_id: int, row: RecordRow | None) -> Outcome[bool]:
    name = ids.encode("record", record_id)
    problem: Problem | None = None
    if row is None:
        problem = NotFound(kind="record", name=name)
    elif row.object_type_id != segment.object_type_id:
        types = tx.catalogue.object_types
        problem = OtherObjectType(
            record=name,
            object_type=types[row.object_type_id].name,
            name=segment.name,
            wanted=types[segment.object_type_id].name,
        )
    elif row.archived_at is not None:
        problem = RecordGone(record=name)
    return Outcome(False, problem)


async def _move(tx: Transaction, segment_id: int, record_ids: Sequence[int], *, joined: bool) -> set[int]:
    """The records that really came or went."""
    held = await memberships.hold(tx, [segment_id])
    members = {record_id for _, record_id in await memberships.among(tx, [segment_id], set(record_ids))}
    moving = sorted(set(record_ids) - members if joined else members)
    cause: dict[str, Any] = {"kind": "BY_HAND", "source": tx.actor.source, "sourceId": tx.actor.source_id}
    if tx.actor.user_id is not None:
        cause["user"] = tx.actor.user_id
    await moves.carry_out(tx, held, [Move(segment_id, one, joined, cause) for one in moving])
    return set(moving)


def _told(
    record_ids: Sequence[int], outcomes: Sequence[Outcome[bool]], moved: set[int]
) -> list[Outcome[bool]]:
    return [
        outcome if outcome.problem is not None else Outcome(record_id in moved)
        for record_id, outcome in zip(record_ids, outcomes, strict=True)
    ]
