"""Joins and leaves: written with their history, told to watchers, and to listeners that refer to the segment."""

from collections.abc import Sequence
from dataclasses import replace

from engine.evaluation import listening
from storage import listeners, memberships
from storage.changes import AssociationChanges, ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.memberships import Move


async def carry_out(tx: Transaction, held: dict[int, int], moves: Sequence[Move], depth: int = 0) -> None:
    """Carry out moves in segments that the transaction holds. `depth`: how many workflow steps led to them."""
    if not moves:
        return
    await memberships.write(tx, held, moves)
    for move in moves:
        kind = EventKind.SEGMENT_JOINED if move.joined else EventKind.SEGMENT_LEFT
        object_type_id = tx.catalogue.segments[move.segment_id].object_type_id
        tx.happened(Event(kind, object_type_id, move.record_id, move.segment_id, {"cause": move.cause}))
    moved = sorted({move.segment_id for move in moves})
    heard = await listeners.listening(tx, [(listening.SEGMENT, segment_id) for segment_id in moved])
    referred = {listener.ref.ref_id for listener in heard if listener.ref.kind == listening.SEGMENT}
    if not referred:
        return
    # Of several causes the one furthest from the outside world counts: a circle of workflows and segments
    # must not begin anew each time that it goes through a segment.
    tx.actor = replace(tx.actor, depth=max(depth, tx.actor.depth))
    for segment_id in sorted(referred):
        for joined, change in ((True, ChangeKind.SEGMENT_JOINED), (False, ChangeKind.SEGMENT_LEFT)):
            ids = [
                move.record_id for move in moves if move.segment_id == segment_id and move.joined is joined
            ]
            if ids:
                object_type_id = tx.catalogue.segments[segment_id].object_type_id
                tx.changes.append(
                    AssociationChanges(change, object_type_id, segment_id, ids, [segment_id] * len(ids))
                )
