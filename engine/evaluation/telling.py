"""Telling listeners of what is no change of a record itself: that a segment or a workflow has it, or let it go."""

from collections.abc import Mapping, Sequence

from engine.evaluation.listening import AWAITED
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
    changes = [
        AssociationChanges(kind, object_type_id, one, record_ids, [one] * len(record_ids), depth)
        for one in sorted(moved)
        for kind, object_type_id, record_ids in moved[one]
        if record_ids
    ]
    await pass_on(tx, reference, changes)


async def pass_on(tx: Transaction, reference: str, changes: Sequence[AssociationChanges]) -> None:
    """Queue those of the changes that anybody listens to, each as deep as it says: `tell`, with several depths.

    A circle of workflows and segments must not begin anew each time that it goes through a segment; but what one
    deep cause led to says nothing of what others did in the same batch.
    """
    kinds = (reference, AWAITED)
    keys = sorted({(kind, change.type_id) for kind in kinds for change in changes})
    heard = await listeners.listening(tx, keys) if keys else []
    referred = {listener.ref.ref_id for listener in heard if listener.ref.kind in kinds}
    tx.changes.extend(change for change in changes if change.type_id in referred)
