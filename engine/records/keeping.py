"""What commands leave behind: rows of records with their history and indexes, and what is told of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.records.drafts import Draft
from storage import fresh, property_keys, property_parts, property_values, records
from storage.catalogue import PropertyRow
from storage.changes import Change, ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.notes import RecordChanges, RecordsCreated
from storage.records import RecordRow

# From so many new records on, COPY is the quicker way in.
MANY = 50


async def keep(tx: Transaction, drafts: Sequence[Draft]) -> dict[int, RecordRow]:
    """Write new and changed records with history and searchable values, and note it for the change log."""
    new = [draft for draft in drafts if draft.before is None]
    rows = {draft.record_id: _born(tx, draft) for draft in new}
    if len(new) >= MANY:
        await fresh.write(tx, new[0].form.object_type, [(draft.record_id, draft.properties) for draft in new])
        _note_many(tx, new)
    elif new:
        object_type = new[0].form.object_type
        await records.insert(tx, object_type.id, [(draft.record_id, draft.properties) for draft in new])
        await _index(tx, new, [draft.properties for draft in new], fresh=True)
        for draft in new:
            _note(tx, draft, _first(draft))
    old = [(draft, draft.changed()) for draft in drafts if draft.before is not None]
    changed = [(draft, difference) for draft, difference in old if difference]
    rows |= {draft.record_id: _changed(tx, draft, bool(difference)) for draft, difference in old}
    if changed:
        written = [draft.written(difference) for draft, difference in changed]
        await records.update(tx, written)
        await _index(tx, [draft for draft, _ in changed], [one.changed for one in written])
        for draft, difference in changed:
            _note(tx, draft, difference)
    return rows


async def index(
    tx: Transaction, changes: Sequence[tuple[int, PropertyRow, Any, Any]], *, fresh: bool = False
) -> None:
    """Keep values where filters and orders find them: (record id, property, the value before, the new one or None).

    `fresh` says that the records are new.
    """
    held = [(record_id, prop, value) for record_id, prop, _, value in changes]
    await property_values.replace(tx, held, fresh=fresh)
    await property_parts.replace(tx, held, fresh=fresh)
    if fresh:
        await property_keys.add(tx, held)
    else:
        await property_keys.replace(tx, changes)


def _born(tx: Transaction, draft: Draft) -> RecordRow:
    source = tx.actor.source
    return RecordRow(
        draft.record_id,
        draft.form.object_type.id,
        draft.properties,
        tx.now,
        tx.now,
        None,
        None,
        None,
        source,
        source,
        1,
    )


def _changed(tx: Transaction, draft: Draft, changed: bool) -> RecordRow:
    before = draft.before
    assert before is not None  # only existing records are changed
    if not changed:
        return before
    return RecordRow(
        before.id,
        before.object_type_id,
        draft.properties,
        before.created_at,
        tx.now,
        before.archived_at,
        before.last_association_change_at,
        before.merged_into_id,
        before.created_source,
        tx.actor.source,
        before.version + 1,
    )


async def _index(
    tx: Transaction, drafts: Sequence[Draft], news: Sequence[Mapping[str, Any]], *, fresh: bool = False
) -> None:
    """Index {name: new value or None} of each draft."""
    changes = [
        (draft.record_id, draft.form.object_type.properties[name], draft.held(name), value)
        for draft, changed in zip(drafts, news, strict=True)
        for name, value in changed.items()
    ]
    await index(tx, changes, fresh=fresh)


def _first(draft: Draft) -> dict[str, list[Any]]:
    return {name: [None, value] for name, value in draft.properties.items()}


def _note_many(tx: Transaction, drafts: Sequence[Draft]) -> None:
    """Tell that records of one object type were created: of those that hold the same properties together."""
    object_type_id = drafts[0].form.object_type.id
    if tx.catalogue.watched.get(object_type_id):
        # Each has values of its own that somebody wants to know.
        for draft in drafts:
            _note(tx, draft, _first(draft))
        return
    alike: dict[tuple[str, ...], list[int]] = {}
    for draft in drafts:
        alike.setdefault(tuple(draft.properties), []).append(draft.record_id)
    for names, ids in alike.items():
        tx.changed(RecordChanges(ChangeKind.CREATED, object_type_id, names, ids))
    held = [dict(draft.properties) for draft in drafts]
    tx.happened(RecordsCreated(object_type_id, [draft.record_id for draft in drafts], held))


def _note(tx: Transaction, draft: Draft, changed: dict[str, list[Any]]) -> None:
    """Tell evaluators and watchers that a record was created or changed."""
    object_type_id, created = draft.form.object_type.id, draft.before is None
    kind = ChangeKind.CREATED if created else ChangeKind.UPDATED
    before = {} if created else {name: old for name, (old, _) in changed.items()}
    watched = tx.catalogue.watched.get(object_type_id, ())
    after = {name: changed[name][1] for name in watched if name in changed}
    tx.changed(Change(draft.record_id, object_type_id, kind, tuple(changed), before, after=after))
    event = EventKind.RECORD_CREATED if created else EventKind.RECORD_UPDATED
    tx.happened(Event(event, object_type_id, draft.record_id, payload={"changed": changed}))
