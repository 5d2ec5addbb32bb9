"""Syncs with a real server, stepped as a test likes: the runner and the connector are the product's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from engine import associations
from engine.associations import Pair
from engine.batches import Mode
from engine.sync import loading, remote
from engine.sync.connectors.protocol import App, Capabilities, Connector, Op, Outcome, RemoteObject
from engine.sync.run import Memory
from engine.sync.turns import LEASE, Turn
from storage.database import Database
from storage.sync import leases
from tests.crm import T0, crm
from tests.sync_rig import Rig
from tests.sync_stage import CONNECTION, put
from tests.sync_world import World


@dataclass(slots=True)
class Outside:
    """A server, and what is asked of it: ops are counted, the rest goes straight on."""

    capabilities: Capabilities
    connector: Connector
    # The rig's clock; the server has its own.
    now: datetime = T0
    written: list[Op] = field(default_factory=list)

    def __getattr__(self, verb: str) -> Any:
        return getattr(self.connector, verb)

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """Count, and do."""
        self.written += ops
        return await self.connector.write(object_, ops)


@dataclass(slots=True)
class Real(Rig):
    """A rig whose other side is a server."""

    @property
    def outside(self) -> Outside:
        return cast(Outside, self.world)

    async def turn(self, sync_id: int) -> tuple[Turn, Memory] | None:
        """The runner of a sync: one for the whole test."""
        if sync_id not in self.turns:
            db, account = self.crm.db, self.crm.account
            async with db.single(account) as single:
                self.runners += 1
                token = f"runner {self.runners}"
                if not await leases.take(single, sync_id, token, self.now, self.now + LEASE):
                    return None
                catalogue = await db.catalogue(account)
                found = await loading.load(single, catalogue, sync_id, self.outside.capabilities)
            assert found is not None
            connector = cast(Connector, self.outside)
            turn = Turn(db, account, sync_id, token, found.sync.revision, found.binding.rules, connector)
            self.turns[sync_id] = turn, Memory()
        return self.turns[sync_id]

    async def relate(self, one: int, other: int, *labels: str) -> None:
        """Associate two records as the API would; limits may refuse."""
        async with self.crm.db.transaction(self.crm.account, now=self.now, actor=self.crm.actor) as tx:
            await associations.associate(tx, [Pair(one, other, labels)], Mode.PER_ITEM)

    async def ends(self, kind: str, label: str | None = None) -> set[tuple[int, int]]:
        """Pairs of records that are associated, from those of one kind, under a label or at all."""
        sql = (
            "SELECT a.from_id, a.to_id FROM association AS a"
            " JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id"
            " JOIN object_type AS o ON o.account_id = $1 AND o.id = t.from_object_type_id"
            " JOIN record AS r ON r.account_id = $1 AND r.id = a.from_id AND r.archived_at IS NULL"
            " JOIN record AS e ON e.account_id = $1 AND e.id = a.to_id AND e.archived_at IS NULL"
            " WHERE a.account_id = $1 AND o.name = $2 AND t.name IS NOT DISTINCT FROM $3"
        )
        async with self.crm.db.read(self.crm.account) as reader:
            return {(row[0], row[1]) for row in await reader.fetch(sql, kind, label)}


async def real(db: Database, app: App, connector: Connector) -> Real:
    """A new account with a connection to a server; its syncs are added."""
    it = await crm(db)
    async with db.transaction(it.account, now=T0, actor=it.actor) as tx:
        (connection,) = await tx.new_ids(1)
    given = CONNECTION | {"app": app.name, "objects": remote.to_json(await connector.describe())}
    await put(it, "connection", id=connection, name=app.title, **given)
    return Real(it, cast(World, Outside(app.capabilities, connector)), connection)
