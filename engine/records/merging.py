"""Merge: two records become one. The survivor's values win, its empty ones are filled; the other's id leads to it."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine import associations, ids
from engine.problems import Problem
from engine.records import keeping
from engine.records import problems as told
from engine.records.drafts import Form
from storage import record_events, records, unique_values
from storage.changes import Change, ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.records import RecordRow, Written

# The source of what a merge writes into the survivor; the source's id is that of the merged record.
SOURCE = "MERGE"


@dataclass(frozen=True, slots=True)
class Merged:
    """The survivor, and the associations that could not move to it."""

    row: RecordRow
    refused: tuple[Problem, ...]


async def merge(tx: Transaction, survivor_id: int, merged_id: int) -> Merged:
    """Merge one record into another of its object type.

    From then on the merged id (and each that was merged into it before) leads to the survivor. Unique values
    move where the survivor had none; otherwise they stay taken and lead to it as well. Raises the problem for
    which it cannot be done. The other's active enrollments end when the change is evaluated.
    """
    if survivor_id == merged_id:
        raise told.MergeIntoItself(path=("mergedId",), record=ids.encode("record", survivor_id))
    await associations.before_merge(tx, survivor_id, merged_id)
    locked = await records.lock(tx, [survivor_id, merged_id])
    survivor = _live(locked, survivor_id, "survivorId")
    merged = _live(locked, merged_id, "mergedId")
    if survivor.object_type_id != merged.object_type_id:
        raise _types(tx, survivor, merged)
    filled = _filled(tx, survivor, merged)
    survivor = await _fill(tx, survivor, merged, filled)
    # While both still count with their neighbours.
    refused = await associations.on_merge(tx, survivor, merged)
    await _move_events(tx, survivor, merged)
    await records.set_merged(tx, merged.id, survivor.id)
    _tell(tx, survivor, merged, filled)
    (now,) = await records.rows(tx, [survivor.id])
    assert now is not None  # it is locked
    return Merged(now, tuple(refused))


def _live(locked: dict[int, RecordRow], record_id: int, argument: str) -> RecordRow:
    row = locked.get(record_id)
    if row is None:
        raise told.missing(record_id, argument)
    if row.archived_at is not None:
        raise told.archived(row, argument)
    return row


def _types(tx: Transaction, survivor: RecordRow, merged: RecordRow) -> Problem:
    types = tx.catalogue.object_types
    return told.MergeOfTypes(
        path=("mergedId",),
        survivor=ids.encode("record", survivor.id),
        survivor_type=types[survivor.object_type_id].name,
        merged=ids.encode("record", merged.id),
        merged_type=types[merged.object_type_id].name,
    )


def _filled(tx: Transaction, survivor: RecordRow, merged: RecordRow) -> dict[str, Any]:
    """The values that the survivor lacks and the other has."""
    object_type = tx.catalogue.object_types[survivor.object_type_id]
    return {
        name: value
        for name, value in merged.properties.items()
        if name not in survivor.properties and object_type.live(name) is not None
    }


async def _fill(tx: Transaction, survivor: RecordRow, merged: RecordRow, filled: dict[str, Any]) -> RecordRow:
    """Write the values that the survivor gets, unique ones included; the survivor as it is then."""
    if not filled:
        return survivor
    form = Form(tx.catalogue.object_types[survivor.object_type_id], guarded=False)
    keys: Iterable[unique_values.Key | None] = form.keys(filled).values()
    await unique_values.move(tx, {key: survivor.id for key in keys if key is not None})
    full = dataclasses.replace(
        survivor,
        properties=survivor.properties | filled,
        updated_at=tx.now,
        updated_source=SOURCE,
        version=survivor.version + 1,
    )
    await records.update(
        tx, [Written(full.id, filled)], source=SOURCE, source_id=ids.encode("record", merged.id)
    )
    props = form.object_type.properties
    await keeping.index(tx, [(full.id, props[name], None, value) for name, value in filled.items()])
    return full


async def _move_events(tx: Transaction, survivor: RecordRow, merged: RecordRow) -> None:
    """What occurred to the one occurred to the survivor; filters hear of it, but nothing occurs anew."""
    types = await record_events.move(tx, merged.id, survivor.id)
    if types:
        others = (merged.id,) * len(types)
        kind = ChangeKind.EVENTS_MOVED
        tx.changed(
            Change(survivor.id, survivor.object_type_id, kind, type_ids=tuple(types), other_ids=others)
        )


def _tell(tx: Transaction, survivor: RecordRow, merged: RecordRow, filled: dict[str, Any]) -> None:
    """Each of the two tells: the survivor what it got, the other where it went."""
    object_type_id = survivor.object_type_id
    if filled:
        before = dict.fromkeys(filled)
        watched = tx.catalogue.watched.get(object_type_id, ())
        after = {name: filled[name] for name in watched if name in filled}
        tx.changed(
            Change(survivor.id, object_type_id, ChangeKind.UPDATED, tuple(filled), before, after=after)
        )
    tx.changed(Change(merged.id, object_type_id, ChangeKind.MERGED))
    both = {"survivor_id": survivor.id, "merged_id": merged.id}
    changed = {name: [None, value] for name, value in filled.items()}
    tx.happened(
        Event(EventKind.RECORD_MERGED, object_type_id, survivor.id, payload=both | {"changed": changed})
    )
    tx.happened(Event(EventKind.RECORD_MERGED, object_type_id, merged.id, payload=both | {"changed": {}}))
