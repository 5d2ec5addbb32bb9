"""A sync read with all that it goes by: its connection, its mappings, the connection's other syncs; bound to rules."""

from dataclasses import dataclass

from engine.sync import apps, binding
from engine.sync.binding import Binding
from engine.sync.connectors.protocol import Capabilities
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.sync import connections, mappings, syncs
from storage.sync.connections import ConnectionRow
from storage.sync.syncs import SyncRow


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sync, and what it goes by."""

    sync: SyncRow
    connection: ConnectionRow
    binding: Binding


async def load(
    reader: Queryable, catalogue: Catalogue, sync_id: int, capabilities: Capabilities | None = None
) -> Loaded | None:
    """A sync; None where it is gone. `capabilities` are the app's, unless given.

    Raises `UnknownApp`, and `SyncBroken` where there is nothing left to go by.
    """
    (sync,) = await syncs.by_ids(reader, [sync_id])
    if sync is None:
        return None
    (connection,) = await connections.by_ids(reader, [sync.connection_id])
    if connection is None:
        return None
    rows = (await mappings.of_syncs(reader, [sync_id])).get(sync_id, [])
    others = await syncs.listing(reader, sync.connection_id)
    known = apps.get(connection.app).capabilities if capabilities is None else capabilities
    return Loaded(sync, connection, binding.bind(catalogue, connection, sync, rows, others, known))
