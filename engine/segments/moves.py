"""Joins and leaves: written with their history, told to watchers, and to listeners that refer to the segment."""

from collections import defaultdict
from collections.abc import Sequence

from engine.evaluation import listening
from engine.evaluation.telling import tell
from storage import memberships
from storage.changes import ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.memberships import Move


async def carry_out(tx: Transaction, held: dict[int, int], moves: Sequence[Move], depth: int = 0) -> None:
    """Carry out moves in segments that the transaction holds. `depth`: how many workflow steps led to them."""
    if not moves:
        return
    await memberships.write(tx, held, moves)
    segments = tx.catalogue.segments
    joined: dict[int, list[int]] = defaultdict(list)
    left: dict[int, list[int]] = defaultdict(list)
    for move in moves:
        (joined if move.joined else left)[move.segment_id].append(move.record_id)
        kind = EventKind.SEGMENT_JOINED if move.joined else EventKind.SEGMENT_LEFT
        object_type_id = segments[move.segment_id].object_type_id
        tx.happened(Event(kind, object_type_id, move.record_id, move.segment_id, {"cause": move.cause}))
    moved = {
        one: (
            (ChangeKind.SEGMENT_JOINED, segments[one].object_type_id, joined[one]),
            (ChangeKind.SEGMENT_LEFT, segments[one].object_type_id, left[one]),
        )
        for one in {*joined, *left}
    }
    await tell(tx, listening.SEGMENT, moved, depth)
