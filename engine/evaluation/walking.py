"""Walking back from changed records to those to be examined, as far as one transaction may go."""

from collections.abc import Sequence

from engine.evaluation import listening
from engine.evaluation.listening import Candidates, Cause
from storage import walks
from storage.database import Transaction
from storage.walks import WalkRow


async def follow(tx: Transaction, begun: Sequence[WalkRow], found: Candidates, budget: int) -> list[WalkRow]:
    """Follow walks past `budget` neighbours, noting in `found` whom they reach; what is left of the walks."""
    going = list(begun)
    while going and budget > 0:
        first = going[0].path[0]
        along = [walk for walk in going if walk.path[0] == first]
        group, going = along[:budget], [walk for walk in going if walk.path[0] != first] + along[budget:]
        # Fair parts: a hub among many small ones takes what they leave, round by round.
        limit = max(budget // len(group), 1)
        joins = tx.catalogue.association_types.get(first)
        if joins is None:
            continue
        pages = await walks.neighbours(
            tx,
            [(walk.record_id, walk.after_id) for walk in group],
            to_object_type_id=joins.to_object_type_id,
            type_id=first,
            limit=limit,
        )
        budget -= sum(len(page) for page in pages)
        for walk, page in zip(group, pages, strict=True):
            going += _further(walk, page, found)
            if len(page) == limit:
                going.append(_behind(walk, page[-1]))
    return going


def _further(walk: WalkRow, page: Sequence[int], found: Candidates) -> list[WalkRow]:
    """Where a walk goes on from these neighbours; at its end they are candidates."""
    cause = Cause(walk.cause, walk.at, walk.depth, walk.version)
    if len(walk.path) > 1:
        return [listening.walk(record_id, walk.path[1:], walk.listener_ids, cause) for record_id in page]
    for listener_id in walk.listener_ids:
        for record_id in page:
            listening.offer(found, listener_id, record_id, cause)
    return []


def _behind(walk: WalkRow, after: int) -> WalkRow:
    return WalkRow(
        walk.record_id, walk.path, after, walk.listener_ids, walk.cause, walk.at, walk.depth, walk.version
    )
