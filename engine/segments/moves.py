"""Joins and leaves: written with their history, told to watchers, and to listeners that refer to the segment."""

from collections.abc import Sequence

from engine.evaluation import listening
from engine.evaluation.telling import pass_on
from storage import memberships
from storage.changes import AssociationChanges, ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.memberships import Move


async def carry_out(tx: Transaction, held: dict[int, int], moves: Sequence[Move]) -> None:
    """Carry out moves in segments that the transaction holds."""
    if not moves:
        return
    await memberships.write(tx, held, moves)
    segments = tx.catalogue.segments
    # Several joins, or leaves, of one segment are told together, by how many workflow steps led to them.
    alike: dict[tuple[int, bool, int], list[int]] = {}
    for move in moves:
        alike.setdefault((move.segment_id, move.joined, move.depth), []).append(move.record_id)
        kind = EventKind.SEGMENT_JOINED if move.joined else EventKind.SEGMENT_LEFT
        object_type_id = segments[move.segment_id].object_type_id
        tx.happened(Event(kind, object_type_id, move.record_id, move.segment_id, {"cause": move.cause}))
    changes = [
        AssociationChanges(
            ChangeKind.SEGMENT_JOINED if joined else ChangeKind.SEGMENT_LEFT,
            segments[one].object_type_id,
            one,
            record_ids,
            [one] * len(record_ids),
            depth,
        )
        for (one, joined, depth), record_ids in alike.items()
    ]
    await pass_on(tx, listening.SEGMENT, changes)
