"""An account that is kept in sync with a real app, over several kinds of items, by the runner's own steps."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.associations import Pair, associate, dissociate
from engine.batches import Mode
from engine.evaluation.run import run_all
from engine.labels import create as create_label
from engine.sync import commands, connections
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault, new_key
from engine.sync.run import Memory, until_rest
from engine.sync.turns import LEASE, Turn
from storage.database import Database
from storage.sync import leases
from tests.crm import T0, Crm, crm

HERE = Surroundings(allow_private=True)


@dataclass(slots=True)
class Together:
    """Time goes on by a minute at each rest."""

    it: Crm
    made: connections.Entered
    connection: int
    # By object type.
    syncs: dict[str, int]
    now: datetime = T0
    memories: dict[int, Memory] = field(default_factory=dict)

    async def rest(self) -> None:
        """Let everything happen that is due."""
        for _ in range(4):
            self.now += timedelta(seconds=20)
            self.it.now = self.now
            await run_all(self.it.db, now=self.now)
            for sync in self.syncs.values():
                await self._run(sync)

    async def _run(self, sync: int) -> None:
        token = secrets.token_hex(4)
        async with self.it.db.single(self.it.account) as single:
            assert await leases.take(single, sync, token, self.now, self.now + LEASE)
        try:
            async with self.it.db.read(self.it.account) as reader:
                row = await commands.get(reader, sync)
                catalogue = await self.it.db.catalogue(self.it.account)
                rules = (await commands.bound(reader, catalogue, row)).rules
            async with connections.opening(self.made, self.it.account, self.connection, HERE) as connector:
                turn = Turn(self.it.db, self.it.account, sync, token, row.revision, rules, connector)
                await until_rest(turn, self.memories.setdefault(sync, Memory()), self.now, limit=1_000)
        finally:
            async with self.it.db.single(self.it.account) as single:
                await leases.release(single, sync, token)

    async def records(self, object_type: str, by: str) -> dict[str, dict[str, Any]]:
        """Our records by a property."""
        rows = await self.it.table(
            "SELECT o.name, r.properties FROM record AS r JOIN object_type AS o ON o.id = r.object_type_id "
            "AND o.account_id = $1 WHERE r.account_id = $1 AND r.archived_at IS NULL"
        )
        found = [properties for name, properties in rows if name == object_type]
        known = {each[by]: each for each in found}
        assert len(known) == len(found), found
        return known

    async def id_of(self, prop: str, value: str) -> int:
        """The number of the record with this value."""
        rows = await self.it.table("SELECT r.id, r.properties FROM record AS r WHERE r.account_id = $1")
        (found,) = [number for number, properties in rows if properties.get(prop) == value]
        return int(found)

    async def associate(self, one: int, other: int, *labels: str) -> None:
        """Associate two records."""
        async with self.it.db.transaction(self.it.account, now=self.now, actor=self.it.actor) as tx:
            await associate(tx, [Pair(one, other, tuple(labels))], Mode.ATOMIC)

    async def part(self, one: int, other: int) -> None:
        """Part two records."""
        async with self.it.db.transaction(self.it.account, now=self.now, actor=self.it.actor) as tx:
            await dissociate(tx, [Pair(one, other)], Mode.ATOMIC)

    async def ends(self, record: int) -> dict[int, set[str | None]]:
        """{associated record: names of the types}, as they stand at the record; None: the plain one."""
        rows = await self.it.table(
            "SELECT a.from_id, a.to_id, t.name FROM association AS a JOIN association_type AS t "
            "ON t.id = a.type_id AND t.account_id = $1 WHERE a.account_id = $1"
        )
        found: dict[int, set[str | None]] = {}
        for one, other, name in rows:
            if one == record:
                found.setdefault(other, set()).add(name)
        return found

    async def states(self) -> set[tuple[str, str | None]]:
        """How links stand: state and category."""
        sql = "SELECT k.state, k.category FROM sync_link AS k WHERE k.account_id = $1"
        return {(state, category) for state, category in await self.it.table(sql)}

    async def writes(self) -> int:
        """How many changes of properties there ever were on our side."""
        ((count,),) = await self.it.table(
            "SELECT count(*) FROM property_history AS h WHERE h.account_id = $1"
        )
        return int(count)


async def begun(
    db: Database,
    app: str,
    settings: Mapping[str, str],
    kinds: Sequence[tuple[str, str]],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    labels: Sequence[tuple[str, str, str, str]] = (),
) -> Together:
    """Syncs of these (object type, kind of item), by the default rules or `options`; configured and started.

    `labels` are made on our side before: from, to, and their names there.
    """
    it = await crm(db)
    for one, other, name, inverse in labels:
        async with db.transaction(it.account, now=T0, actor=it.actor, defining=True) as tx:
            await create_label(
                tx,
                one,
                other,
                label=name.title(),
                inverse_label=inverse.title(),
                name=name,
                inverse_name=inverse,
            )
    made = connections.entered(app, settings)
    described = await connections.look(made, HERE)
    vault = Vault(lambda _making: [new_key()])
    async with db.transaction(it.account, now=T0, actor=it.actor) as tx:
        connection = await connections.create(tx, vault, "The other one", made, described)
    found = {}
    for object_type, kind in kinds:
        async with db.transaction(it.account, now=T0, actor=it.actor) as tx:
            definition = (options or {}).get(object_type, {})
            row = await commands.create(tx, connection.id, object_type, kind, definition)
            await commands.start(tx, row.id)
            found[object_type] = row.id
    return Together(it, made, connection.id, found)
