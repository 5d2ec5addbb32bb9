"""What people do with syncs: make, change, start, turn on and off, delete. Each holds the row, as runners do.

Who may: Scope.AUTOMATION_WRITE, which resolvers ask for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine import filters, ids
from engine.problems import NotFound, Refused, UnknownObjectType, at
from engine.sync import apps, binding, remote
from engine.sync.binding import Binding
from engine.sync.checking import Sides, check, settled
from engine.sync.definition import Definition, kept, of, read
from engine.sync.problems import (
    ConnectionBroken,
    StaleSync,
    SyncBroken,
    SyncExists,
    SyncNotStarted,
    SyncRunning,
    UnknownRemoteObject,
)
from engine.sync.proposals import is_default, propose
from engine.sync.review import Difference, differences
from storage.catalogue import Catalogue
from storage.changes import Event, EventKind
from storage.database import Queryable, Transaction
from storage.sync import connections, mappings
from storage.sync import syncs as stored
from storage.sync.connections import BROKEN, ConnectionRow
from storage.sync.mappings import MappingRow
from storage.sync.syncs import CONFIGURED, SyncRow


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A definition before and after a change that has not been made, and what would change."""

    before: Definition
    after: Definition
    changes: tuple[Difference, ...]


# --- reading -----------------------------------------------------------------------------------------------------


async def get(reader: Queryable, sync_id: int) -> SyncRow:
    """The sync. Raises `NotFound`."""
    (row,) = await stored.by_ids(reader, [sync_id])
    if row is None:
        raise _unknown(sync_id)
    return row


async def bound(reader: Queryable, catalogue: Catalogue, row: SyncRow) -> Binding:
    """A sync's rules as they are now. Raises `SyncBroken` and `UnknownApp`."""
    (connection,) = await connections.by_ids(reader, [row.connection_id])
    assert connection is not None  # a sync has one
    rows = await mappings.of_syncs(reader, [row.id])
    others = await stored.listing(reader, row.connection_id)
    capabilities = apps.get(connection.app).capabilities
    return binding.bind(catalogue, connection, row, rows[row.id], others, capabilities)


def sides(catalogue: Catalogue, connection: ConnectionRow, object_type: str, remote_object: str) -> Sides:
    """What both sides of a sync define. Raises `UnknownObjectType` and `UnknownRemoteObject`."""
    ours = catalogue.by_name.get(object_type)
    if ours is None:
        raise UnknownObjectType(name=object_type[:100], path=("objectType",))
    theirs = remote.find(connection.objects, remote_object)
    if theirs is None:
        raise UnknownRemoteObject(
            connection=connection.name,
            name=remote_object[:100],
            known=[one["name"] for one in connection.objects],
            path=("remoteObject",),
        )
    return Sides(catalogue, ours, theirs)


def proposed(
    catalogue: Catalogue, connection: ConnectionRow, object_type: str, remote_object: str
) -> Definition:
    """What a new sync would be unless somebody says otherwise. Raises as `sides`."""
    return propose(
        sides(catalogue, connection, object_type, remote_object), remote.from_json(connection.objects)
    )


async def reviewed(
    reader: Queryable, catalogue: Catalogue, sync_id: int, document: Mapping[str, Any]
) -> Reviewed:
    """What a change of a sync would change; nothing is written.

    Raises `NotFound`, `UnknownRemoteObject`, and `Refused` with every problem of the definition.
    """
    row = await get(reader, sync_id)
    (connection,) = await connections.by_ids(reader, [row.connection_id])
    assert connection is not None  # a sync has one
    rows = await mappings.of_syncs(reader, [row.id])
    before, after, _ = _after(catalogue, connection, row, rows[row.id], document)
    return Reviewed(before, after, tuple(differences(before, after)))


# --- writing -----------------------------------------------------------------------------------------------------


async def create(
    tx: Transaction, connection_id: int, object_type: str, remote_object: str, document: Mapping[str, Any]
) -> SyncRow:
    """A new sync, configured and off: what `document` leaves out is as proposed.

    Raises `NotFound`, `UnknownObjectType`, `UnknownRemoteObject`, `SyncExists`, and `Refused` with every problem of
    the definition.
    """
    # Held in the order in which runners hold them.
    await stored.lock_of(tx, connection_id)
    connection = await connections.lock(tx, connection_id)
    if connection is None:
        name = ids.encode("connection", connection_id)
        raise NotFound(kind="connection", name=name, path=("connectionId",))
    found = sides(tx.catalogue, connection, object_type, remote_object)
    definition = _checked(read(document, propose(found, remote.from_json(connection.objects))), found)
    (sync_id,) = await tx.new_ids(1)
    made = await stored.insert(
        tx,
        sync_id,
        connection_id,
        found.object_type.id,
        found.remote.name,
        direction=definition.direction.value,
        policy=definition.policy.value,
        definition=kept(definition),
    )
    if not made:
        raise SyncExists(object_type=found.object_type.name, remote=found.remote.name, path=("remoteObject",))
    await _write_mappings(tx, sync_id, definition, found, ())
    await stored.tell_siblings(tx, connection_id, sync_id)
    row = await get(tx, sync_id)
    _tell(tx, EventKind.SYNC_CREATED, row, {"connection": connection.name})
    return row


async def update(tx: Transaction, sync_id: int, revision: int, document: Mapping[str, Any]) -> SyncRow:
    """Change the definition of a sync that was read at `revision`; what `document` leaves out stays.

    All records and items are compared anew by it. Raises `StaleSync`, `NotFound`, `UnknownRemoteObject`, and `Refused`
    with every problem of the definition.
    """
    held = await _hold(tx, sync_id)
    if held.revision != revision:
        raise StaleSync(read=revision, revision=held.revision, path=("revision",))
    (connection,) = await connections.by_ids(tx, [held.connection_id])
    assert connection is not None  # a sync has one
    rows = (await mappings.of_syncs(tx, [sync_id]))[sync_id]
    before, after, found = _after(tx.catalogue, connection, held, rows, document)
    changes = differences(before, after)
    if not changes:
        return held
    await stored.update(
        tx,
        sync_id,
        direction=after.direction.value,
        policy=after.policy.value,
        definition=kept(after),
    )
    new = await _write_mappings(tx, sync_id, after, found, rows)
    if held.phase != CONFIGURED:
        await mappings.forget_bases(tx, sync_id, new)
        await stored.look_anew(tx, sync_id)
    row = await get(tx, sync_id)
    details = {"revision": row.revision, "changes": [one.told() for one in changes]}
    _tell(tx, EventKind.SYNC_UPDATED, row, details)
    return row


async def start(tx: Transaction, sync_id: int) -> SyncRow:
    """Begin the initial sync. Raises `NotFound`, `SyncRunning`, `SyncBroken` and `ConnectionBroken`."""
    held = await _hold(tx, sync_id)
    if held.phase != CONFIGURED:
        raise SyncRunning(path=("id",))
    await _can_run(tx, held)
    await stored.start(tx, sync_id, {"done": 0, "startedAt": tx.now.isoformat()})
    row = await get(tx, sync_id)
    _tell(tx, EventKind.SYNC_STARTED, row, {})
    return row


async def set_enabled(tx: Transaction, sync_id: int, enabled: bool) -> SyncRow:
    """Turn a sync on or off; its links stay, so nothing is created twice. What is on stays on.

    Raises `NotFound`, and, when it is to be on, `SyncNotStarted`, `SyncBroken` and `ConnectionBroken`.
    """
    held = await _hold(tx, sync_id)
    if enabled and held.phase == CONFIGURED:
        raise SyncNotStarted(path=("id",))
    if held.enabled is enabled:
        return held
    if enabled:
        await _can_run(tx, held)
    await stored.set_enabled(tx, sync_id, enabled)
    row = await get(tx, sync_id)
    _tell(tx, EventKind.SYNC_TURNED_ON if enabled else EventKind.SYNC_TURNED_OFF, row, {})
    return row


async def delete(tx: Transaction, sync_id: int) -> SyncRow:
    """Forget a sync and its links; what it was. No record and no item is deleted. Raises `NotFound`."""
    row = await get(tx, sync_id)
    await stored.lock_of(tx, row.connection_id)
    held = await _hold(tx, sync_id)
    await stored.tell_siblings(tx, held.connection_id, sync_id)
    await stored.delete(tx, sync_id)
    _tell(tx, EventKind.SYNC_DELETED, held, {"remoteObject": held.remote_object})
    return held


def _after(
    catalogue: Catalogue,
    connection: ConnectionRow,
    row: SyncRow,
    rows: Sequence[MappingRow],
    document: Mapping[str, Any],
) -> tuple[Definition, Definition, Sides]:
    """A sync's definition as it is and as `document` wants it, checked."""
    ours = catalogue.object_types[row.object_type_id]
    found = sides(catalogue, connection, ours.name, row.remote_object)
    before = of(row, rows, ours)
    return before, _checked(read(document, before), found), found


def _checked(definition: Definition, found: Sides) -> Definition:
    """The definition as it is to be kept. Raises `Refused` with every problem."""
    definition = settled(definition, found)
    problems = check(definition, found)
    if problems:
        raise Refused(problems)
    where = definition.filter_ours
    return (
        definition
        if where is None
        else replace(definition, filter_ours=filters.explicit(where, found.object_type))
    )


async def _write_mappings(
    tx: Transaction, sync_id: int, definition: Definition, found: Sides, rows: Sequence[MappingRow]
) -> set[str]:
    """Bring a sync's mappings to what its definition says; the fields that are mapped to another property now.

    A pair that stays keeps its id, and what was agreed on.
    """
    before = {(row.property_id, row.field): row for row in rows}
    after: dict[tuple[int, str], MappingRow] = {}
    for part in definition.mappings:
        prop, field = found.object_type.properties[part.property], found.field(part.field)
        assert part.direction is not None  # it was settled
        key = (prop.id, part.field)
        after[key] = MappingRow(
            before[key].id if key in before else 0,
            sync_id,
            prop.id,
            part.field,
            part.direction.value,
            None if part.policy is None else part.policy.value,
            dict(part.options),
            part.enabled,
            field is None or not is_default(field, prop),
        )
    new = [row for key, row in after.items() if key not in before]
    numbers = await tx.new_ids(len(new)) if new else ()
    await mappings.delete(tx, sync_id, [row.id for key, row in before.items() if key not in after])
    await mappings.update(tx, [row for key, row in after.items() if key in before and before[key] != row])
    await mappings.insert(
        tx, sync_id, [replace(row, id=number) for row, number in zip(new, numbers, strict=True)]
    )
    return {row.field for row in new}


async def _can_run(tx: Transaction, held: SyncRow) -> None:
    (connection,) = await connections.by_ids(tx, [held.connection_id])
    assert connection is not None  # a sync has one
    with at("id"):
        if connection.status == BROKEN:
            raise ConnectionBroken(name=connection.name, reason=connection.message or "")
        found = await bound(tx, tx.catalogue, held)
        if not found.rules.mappings:
            raise SyncBroken(reason="none of its mappings can be kept.")


async def _hold(tx: Transaction, sync_id: int) -> SyncRow:
    held = await stored.lock(tx, sync_id)
    if held is None:
        raise _unknown(sync_id)
    return held


def _unknown(sync_id: int) -> NotFound:
    return NotFound(kind="sync", name=ids.encode("sync", sync_id), path=("id",))


def _tell(tx: Transaction, kind: EventKind, row: SyncRow, details: dict[str, Any]) -> None:
    tx.happened(Event(kind, row.object_type_id, None, row.id, details))
