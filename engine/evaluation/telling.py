"""Telling listeners of what is no change of a record itself: that a segment or a workflow has it, or let it go."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from storage import listeners
from storage.changes import AssociationChanges, ChangeKind
from storage.database import Transaction


async def tell(
    tx: Transaction,
    reference: str,
    moved: Mapping[int, Sequence[tuple[ChangeKind, int, Sequence[int]]]],
    depth: int = 0,
) -> None:
    """Queue changes for what filters refer to; for the rest, nobody would listen.

    `moved` is {segment or workflow: (kind, object type, records)}; `depth`: how many workflow steps led to it.
    """
    heard = await listeners.listening(tx, [(reference, one) for one in moved]) if moved else []
    referred = {listener.ref.ref_id for listener in heard if listener.ref.kind == reference}
    if not referred:
        return
    # Of several causes the one furthest from the outside world counts: a circle of workflows and segments must
    # not begin anew each time that it goes through a segment.
    tx.actor = replace(tx.actor, depth=max(depth, tx.actor.depth))
    for one in sorted(referred):
        for kind, object_type_id, record_ids in moved[one]:
            if record_ids:
                tx.changes.append(
                    AssociationChanges(kind, object_type_id, one, record_ids, [one] * len(record_ids))
                )
