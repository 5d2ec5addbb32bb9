"""A sync is run by one at a time, however long the app takes to answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest

from engine.sync import apps, connections, turns
from engine.sync.connectors.protocol import Item, Op, Outcome, RemoteObject, Surroundings
from engine.sync.credentials import Vault, new_key
from server import worker
from server.sync import keeper, lease
from server.sync.calls import Clock
from storage.database import Actor, Database, on_statement
from storage.sync import leases
from tests.processes import PATIENCE
from tests.sync_rig import Rig, rig
from tests.sync_world import Simulated, World, capable
from tests.test_sync_runs import Simulation

# A creation that is repeated makes another.
CAPABLE = capable(idempotent_create=False)
LEASE = timedelta(hours=1)
Meanwhile: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Hours:
    """A clock that a test sets ahead: leases last for hours, so that no machine is too slow for one."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(slots=True)
class Slow(Simulated):
    """While it answers, this happens."""

    world: World
    meanwhile: Mapping[str, Meanwhile]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        if "write" in self.meanwhile:
            await self.meanwhile["write"]()
        return await Simulated.write(self, object_, ops)

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        answer = await Simulated.find(self, object_, field_, values)
        if "find" in self.meanwhile:
            await self.meanwhile["find"]()
        return answer


class Slowly(Simulation):
    """The first connector that is opened is slow."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.meanwhile: dict[str, Meanwhile] = {}
        self.opened = self.closed = 0

    @contextlib.asynccontextmanager
    async def open(self, settings: Mapping[str, str], surroundings: Surroundings) -> AsyncIterator[Simulated]:
        self.opened += 1
        first = self.opened == 1
        try:
            yield Slow(self.world, self.meanwhile if first else {})
        finally:
            self.closed += first


@contextlib.asynccontextmanager
async def two_workers(db: Database, app: Slowly, clock: Clock | None = None) -> AsyncIterator[Rig]:
    """Two workers, and a sync with a contact that is to be created over there."""
    clock = clock or Hours()
    key = new_key()
    vault = Vault(lambda _making: [key])
    it = await rig(db, app.world, start=False)
    with apps.registered(app):
        made_of = connections.entered("simulated", {})
        described = await connections.look(made_of, Surroundings())
        app.opened = app.closed = 0
        async with db.transaction(it.crm.account, now=datetime.now(UTC), actor=Actor("API")) as tx:
            it.connection = (await connections.create(tx, vault, "There", made_of, described)).id
        await it.add()
        await it.crm.contact(email="ann@example.com")
        stop = asyncio.Event()
        working = [asyncio.create_task(worker.run(db, clock=clock, stop=stop, vault=vault)) for _ in range(2)]
        try:
            yield it
        finally:
            stop.set()
            await asyncio.gather(*working)


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that no machine outlasts, renewed all the time; and workers that look for work all the time."""
    monkeypatch.setattr(turns, "LEASE", LEASE)
    monkeypatch.setattr(lease, "LEASE", LEASE)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(keeper, "LOOK_SECONDS", 0.02)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something to come true."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)


async def synced(it: Rig) -> None:
    """Wait until the contact is known to be over there."""

    async def known() -> bool:
        return [link.state for link in await it.links()] == ["IN_SYNC"]

    await until(known)


@pytest.mark.usefixtures("long")
async def test_a_lease_is_kept_for_as_long_as_a_call_takes(db: Database) -> None:
    app, clock = Slowly(World(capabilities=CAPABLE, keyless=True)), Hours()
    async with two_workers(db, app, clock) as it:

        async def for_hours() -> None:
            for _ in range(5):
                clock.ahead += LEASE / 2
                moment, looks = clock(), list[str]()

                async def renewed_and_looked_for(moment: datetime = moment, looks: list[str] = looks) -> bool:
                    [(until_then,)] = await it.crm.table(
                        "SELECT s.leased_until FROM sync AS s WHERE s.account_id = $1"
                    )
                    # Both workers have looked for work meanwhile, each more than once.
                    return until_then >= moment + LEASE and looks.count(leases.DUE) >= 6

                on_statement.append(looks.append)
                try:
                    await until(renewed_and_looked_for)
                finally:
                    on_statement.remove(looks.append)

        app.meanwhile["write"] = for_hours
        await synced(it)
    assert clock.ahead > LEASE
    assert [verb for verb, _, _ in app.world.done] == ["create"]
    assert app.opened == 1


@pytest.mark.usefixtures("long")
async def test_whoever_was_away_for_too_long_writes_nothing_any_more(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 1_000.0)
    app, clock = Slowly(World(capabilities=CAPABLE, keyless=True)), Hours()
    async with two_workers(db, app, clock) as it:

        async def until_another_has_done_it() -> None:
            clock.ahead += 2 * LEASE
            await synced(it)

        async def left() -> bool:
            return app.closed == 1

        app.meanwhile["find"] = until_another_has_done_it
        await until(left)
        await synced(it)
    assert clock.ahead > LEASE
    assert app.opened > 1
    assert [verb for verb, _, _ in app.world.done] == ["create"]
