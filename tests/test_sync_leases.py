"""A sync is run by one at a time, however long the app takes to answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from engine.sync import apps, connections, turns
from engine.sync.connectors.protocol import Item, Op, Outcome, RemoteObject, Surroundings
from engine.sync.credentials import Vault, new_key
from server import worker
from server.sync import runner
from storage.database import Actor, Database
from tests.sync_rig import Rig, rig
from tests.sync_world import Simulated, World, capable
from tests.test_sync_runs import Simulation

# A creation that is repeated makes another.
CAPABLE = capable(idempotent_create=False)
LEASE = timedelta(seconds=0.5)
LONG = 4 * LEASE.total_seconds()


@dataclass(slots=True)
class Slow(Simulated):
    """It takes long to answer these."""

    world: World
    verbs: frozenset[str]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        if "write" in self.verbs:
            await asyncio.sleep(LONG)
        return await Simulated.write(self, object_, ops)

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        answer = await Simulated.find(self, object_, field_, values)
        if "find" in self.verbs:
            await asyncio.sleep(LONG)
        return answer


class Slowly(Simulation):
    """The first connector that is opened is slow."""

    def __init__(self, world: World, *verbs: str) -> None:
        super().__init__(world)
        self.verbs = verbs
        self.opened = 0

    @contextlib.asynccontextmanager
    async def open(self, settings: Mapping[str, str], surroundings: Surroundings) -> AsyncIterator[Simulated]:
        self.opened += 1
        verbs = frozenset(self.verbs if self.opened == 1 else ())
        yield Slow(self.world, verbs)


@contextlib.asynccontextmanager
async def two_workers(db: Database, app: Slowly) -> AsyncIterator[Rig]:
    """Two workers, and a sync with a contact that is to be created over there."""
    key = new_key()
    vault = Vault(lambda _making: [key])
    it = await rig(db, app.world, start=False)
    with apps.registered(app):
        made_of = connections.entered("simulated", {})
        described = await connections.look(made_of, Surroundings())
        app.opened = 0
        async with db.transaction(it.crm.account, now=datetime.now(UTC), actor=Actor("API")) as tx:
            it.connection = (await connections.create(tx, vault, "There", made_of, described)).id
        await it.add()
        await it.crm.contact(email="ann@example.com")
        stop = asyncio.Event()
        working = [
            asyncio.create_task(worker.run(db, clock=lambda: datetime.now(UTC), stop=stop, vault=vault))
            for _ in range(2)
        ]
        try:
            yield it
        finally:
            stop.set()
            await asyncio.gather(*working)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that end soon."""
    monkeypatch.setattr(turns, "LEASE", LEASE)
    monkeypatch.setattr(runner, "LEASE", LEASE)
    monkeypatch.setattr(runner, "RENEW_SECONDS", LEASE.total_seconds() / 3)


async def synced(it: Rig) -> None:
    """Wait until the contact is known to be over there."""
    async with asyncio.timeout(30):
        while [link.state for link in await it.links()] != ["IN_SYNC"]:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("short")
async def test_a_lease_is_kept_for_as_long_as_a_call_takes(db: Database) -> None:
    app = Slowly(World(capabilities=CAPABLE, keyless=True), "write")
    async with two_workers(db, app) as it:
        await synced(it)
    assert [verb for verb, _, _ in app.world.done] == ["create"]
    assert app.opened == 1


@pytest.mark.usefixtures("short")
async def test_whoever_was_away_for_too_long_writes_nothing_any_more(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RENEW_SECONDS", 1_000.0)
    app = Slowly(World(capabilities=CAPABLE, keyless=True), "find")
    async with two_workers(db, app) as it:
        await synced(it)
        await asyncio.sleep(LONG)
    assert app.opened > 1
    assert [verb for verb, _, _ in app.world.done] == ["create"]
