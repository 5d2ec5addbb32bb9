"""Our changes, as the evaluator hands them on: what a sync may have to send is made dirty for it."""

from collections.abc import Sequence

from storage.changes import ChangeKind, QueuedChange
from storage.database import Transaction
from storage.sync import dirty, following
from storage.sync.following import Following

_LIFE = frozenset({ChangeKind.CREATED, ChangeKind.ARCHIVED, ChangeKind.RESTORED, ChangeKind.MERGED})
_ENDS = frozenset({ChangeKind.ASSOCIATED, ChangeKind.DISSOCIATED})


async def follow(tx: Transaction, claimed: Sequence[QueuedChange]) -> bool:
    """Make the records of these changes dirty for the syncs of their object types; whether there were any."""
    changes = [
        change
        for change in claimed
        if change.kind in _LIFE or change.kind in _ENDS or change.kind is ChangeKind.UPDATED
    ]
    if not changes:
        return False
    syncs = await following.of_types(tx, sorted({change.object_type_id for change in changes}))
    if not syncs:
        return False
    by_type: dict[int, list[Following]] = {}
    for sync in syncs:
        by_type.setdefault(sync.object_type_id, []).append(sync)
    rows = {
        (sync.id, change.record_id)
        for change in changes
        for sync in by_type.get(change.object_type_id, ())
        if _concerns(sync, change)
    }
    await dirty.add_to_many(
        tx, [(sync_id, dirty.OURS, str(record_id), tx.now, 0) for sync_id, record_id in sorted(rows)]
    )
    tx.news = tx.news or bool(rows)
    return bool(rows)


def _concerns(sync: Following, change: QueuedChange) -> bool:
    """Whether the sync may have something to send. What it wrote itself is what both were noted to hold with it."""
    if change.source == "SYNC" and change.source_id == str(sync.id):
        return False
    if change.kind in _LIFE:
        return True
    if change.kind in _ENDS:
        return bool(sync.roles)
    return sync.filtered or not sync.properties.isdisjoint(change.properties)
