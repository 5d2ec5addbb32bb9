"""An account in sync with a simulated third party: its runner is stepped, and broken off, as a test likes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.crew import Crew
from engine.evaluation import run as evaluate
from engine.sync import loading, remote, run
from engine.sync.connectors.protocol import Disconnected
from engine.sync.definition import Definition, RolePart, kept
from engine.sync.rules import Direction, Options, Policy
from engine.sync.run import Memory
from engine.sync.turns import LEASE, Overtaken, Turn
from storage.database import Database
from storage.records import RecordRow
from storage.sync import leases, links, mappings, syncs
from storage.sync.links import LinkRow
from storage.sync.mappings import MappingRow
from tests.crm import T0, Crm, crm
from tests.sync_stage import CONNECTION, put
from tests.sync_world import Simulated, World

PEOPLE = {"email": "mail", "firstname": "first", "lastname": "last", "city": "city"}
FIRMS = {"name": "title", "domain": "host", "city": "city"}


class Crash(BaseException):
    """The runner ends here."""


@dataclass(slots=True)
class Rig:
    """One account, one connection, and its syncs."""

    crm: Crm
    world: World
    connection: int
    syncs: list[int] = field(default_factory=list)
    now: datetime = T0
    # Told of every place at which a runner can end.
    at: Callable[[str], None] = lambda _place: None
    turns: dict[int, tuple[Turn, Memory]] = field(default_factory=dict)
    runners: int = 0
    # Who helps with the first reading.
    crew: Crew | None = None

    @property
    def sync(self) -> int:
        return self.syncs[0]

    async def add(
        self,
        object_type: str = "contacts",
        object_: str = "people",
        fields: Mapping[str, str] = PEOPLE,
        *,
        direction: Direction = Direction.BOTH,
        policy: Policy = Policy.THEIRS,
        policies: Mapping[str, Policy] | None = None,
        options: Options | None = None,
        roles: Sequence[RolePart] = (),
        **words: Any,
    ) -> int:
        """A sync, started."""
        crm = self.crm
        of = (await crm.db.catalogue(crm.account)).by_name[object_type]
        definition = Definition(options=options or Options(), roles=tuple(roles), **words)
        async with crm.db.transaction(crm.account, now=self.now, actor=crm.actor) as tx:
            ids = await tx.new_ids(1 + len(fields))
            await syncs.insert(
                tx,
                ids[0],
                self.connection,
                of.id,
                object_,
                direction=direction,
                policy=policy,
                definition=kept(definition),
            )
            rows = [
                MappingRow(
                    number,
                    ids[0],
                    of.properties[name].id,
                    theirs,
                    direction,
                    (policies or {}).get(name),
                    {},
                    True,
                    False,
                )
                for number, (name, theirs) in zip(ids[1:], fields.items(), strict=True)
            ]
            await mappings.insert(tx, ids[0], rows)
            await syncs.start(tx, ids[0], {})
        self.syncs.append(ids[0])
        return ids[0]

    async def turn(self, sync_id: int) -> tuple[Turn, Memory] | None:
        """The runner of a sync: a new one where there is none, once the lease of the one before has ended."""
        if sync_id in self.turns:
            return self.turns[sync_id]
        crm = self.crm
        async with crm.db.single(crm.account) as single:
            self.runners += 1
            token = f"runner {self.runners}"
            if not await leases.take(single, sync_id, token, self.now, self.now + LEASE):
                return None
            catalogue = await crm.db.catalogue(crm.account)
            found = await loading.load(single, catalogue, sync_id, self.world.capabilities)
        assert found is not None
        turn = Turn(
            crm.db,
            crm.account,
            sync_id,
            token,
            found.sync.revision,
            found.binding.rules,
            Simulated(self.world),
            lambda place: self.at(place),
            crew=self.crew,
        )
        self.turns[sync_id] = turn, Memory()
        return self.turns[sync_id]

    async def step(self, sync_id: int) -> datetime | None:
        """One step of a sync; when the next is due. Whoever was overtaken, or lost the app, begins anew."""
        held = await self.turn(sync_id)
        if held is None:
            return self.now + LEASE
        turn, memory = held
        try:
            return await run.step(turn, memory, self.now)
        except Overtaken:
            del self.turns[sync_id]
            return self.now
        except Disconnected as error:
            return self.now + (error.after or timedelta(seconds=5))
        except Crash:
            # Its lease runs on.
            del self.turns[sync_id]
            return self.now + LEASE

    async def evaluate(self) -> None:
        """Let our changes be handed on."""
        await evaluate.run_all(self.crm.db, now=self.now)

    async def rest(self, *, seconds: float = 0.0, steps: int = 3_000) -> None:
        """Run until nothing is due now, and for so long."""
        until = self.now + timedelta(seconds=seconds)
        for _ in range(steps):
            await self.evaluate()
            times = [await self.step(sync_id) for sync_id in self.syncs]
            due = min((at for at in times if at is not None), default=None)
            if due is not None and due <= self.now:
                continue
            if due is None or due > until:
                self.now = until = max(self.now, until)
                self.world.now = self.crm.now = self.now
                return
            self.now = self.world.now = self.crm.now = due
        raise AssertionError("it does not come to rest")

    async def later(self, seconds: float = 11.0) -> None:
        """Let time go by, and all be done that is due then."""
        self.now += timedelta(seconds=seconds)
        self.world.now = self.crm.now = self.now
        await self.rest()

    async def links(self, sync_id: int | None = None) -> list[LinkRow]:
        """All links of a sync, in the order in which they were made."""
        async with self.crm.db.read(self.crm.account) as reader:
            sql = "SELECT l.id FROM sync_link AS l WHERE l.account_id = $1 AND l.sync_id = $2 ORDER BY l.id"
            ids = [row["id"] for row in await reader.fetch(sql, sync_id or self.sync)]
            return list((await links.read(reader, ids)).values())

    async def link(self, **words: Any) -> LinkRow:
        """The one link that is like this."""
        found = [
            one
            for one in await self.links()
            if all(getattr(one, name) == value for name, value in words.items())
        ]
        assert len(found) == 1, await self.links()
        return found[0]

    async def records(self, kind: str = "contacts") -> list[RecordRow]:
        """All records of a type that are there."""
        of = (await self.crm.db.catalogue(self.crm.account)).by_name[kind]
        sql = (
            "SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.object_type_id = $2"
            " AND r.archived_at IS NULL ORDER BY r.id"
        )
        async with self.crm.db.read(self.crm.account) as reader:
            ids = [row["id"] for row in await reader.fetch(sql, of.id)]
        return [row for row in await self.crm.rows(*ids) if row is not None]

    async def ours(self, *names: str, kind: str = "contacts") -> list[tuple[Any, ...]]:
        """Values of all records, sorted."""
        rows = [tuple(row.properties.get(name) for name in names) for row in await self.records(kind)]
        return sorted(rows, key=str)

    def theirs(self, *names: str, object_: str = "people") -> list[tuple[Any, ...]]:
        """Values of all items, sorted."""
        rows = [tuple(one.get(name) for name in names) for one in self.world.all(object_).values()]
        return sorted(rows, key=str)


async def rig(db: Database, world: World | None = None, *, start: bool = True, **words: Any) -> Rig:
    """A new account with a sync of contacts, about to begin."""
    it = await crm(db)
    world = world or World()
    async with db.transaction(it.account, now=T0, actor=it.actor) as tx:
        (connection,) = await tx.new_ids(1)
    given = CONNECTION | {"app": "simulated", "objects": remote.to_json(world.objects)}
    await put(it, "connection", id=connection, name="Elsewhere", **given)
    made = Rig(it, world, connection)
    if start:
        await made.add(**words)
    return made
