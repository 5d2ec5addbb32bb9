"""Laws of workflows over real processes: workers killed, PostgreSQL killed and restarted, connections cut.

RELATA_CHAOS_ROUNDS=200 makes it long (a round is one blow, and takes a second or two), RELATA_CHAOS_SEED another story.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine import accounts
from engine.problems import Problem
from engine.workflows import steps
from server.postgres import start
from storage import walks
from storage.database import connect
from storage.faults import fault
from storage.migrate import migrate
from tests.flows_laws import expect_laws
from tests.flows_random import World, perform
from tests.graph import ANN_WHO_CLICKS
from tests.processes import fastest_place
from tests.segments import Segments

PATIENCE = 90.0
ROUNDS = int(os.environ.get("RELATA_CHAOS_ROUNDS", "6"))
SEED = int(os.environ.get("RELATA_CHAOS_SEED", "7"))
WORKERS, WRITERS = 2, 2
# PostgreSQL is left in peace this long: its warden gives up on one that ends again and again.
RESTART_SECONDS = 13.0


@dataclass(slots=True)
class Live(Segments):
    """An account whose clock is the world's, some days ahead at the end."""

    ahead: timedelta = field(default_factory=timedelta)

    def tick(self) -> datetime:
        """The next moment."""
        self.now = datetime.now(UTC) + self.ahead
        return self.now


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of its own for a server of its own."""
    made = Path(tempfile.mkdtemp(prefix=f"relata-tests-{os.getpid()}-chaos-", dir=fastest_place()))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def begin(url: str) -> asyncio.subprocess.Process:
    """A worker process."""
    environment = {**os.environ, "DATABASE_URL": url, "RELATA_LOG_LEVEL": "error"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server.cli",
        "work",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


@contextlib.asynccontextmanager
async def working(url: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Worker processes, which end in peace."""
    workers = [await begin(url) for _ in range(WORKERS)]
    try:
        yield workers
    finally:
        for process in workers:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(asyncio.wait_for(process.wait(), PATIENCE) for process in workers))


async def write(world: World, chance: random.Random, done: asyncio.Event) -> None:
    """Somebody who changes this and that until all is done; what fails on the way may have been done, or not."""
    crm = world.crm
    while not done.is_set():
        made = []
        try:
            async with crm.db.transaction(crm.account, now=crm.tick(), actor=ANN_WHO_CLICKS) as tx:
                for op in world.ops(chance):
                    made.append(await perform(tx, op))
            world.contacts += [one for one in made if one is not None]
        except Problem:
            pass
        except Exception as error:
            if fault(error) is None:
                raise
            await asyncio.sleep(0.1)
        await asyncio.sleep(chance.random() / 10)


@dataclass(slots=True)
class Blows:
    """What befalls workers and PostgreSQL."""

    chance: random.Random
    url: str
    data_dir: Path
    workers: list[asyncio.subprocess.Process]
    restarted: float = 0.0
    kinds: list[str] = field(default_factory=list)

    async def strike(self) -> None:
        """One blow."""
        kind = self.chance.choice(["KILL", "KILL", "CUT", "RESTART", "RESTART"])
        if kind == "RESTART" and time.monotonic() - self.restarted < RESTART_SECONDS:
            kind = "KILL"
        self.kinds.append(kind)
        if kind == "KILL":
            victim = self.chance.randrange(len(self.workers))
            self.workers[victim].send_signal(signal.SIGKILL)
            await self.workers[victim].wait()
            self.workers[victim] = await begin(self.url)
        elif kind == "CUT":
            await self._cut()
        else:
            await self._back()
            self.restarted = time.monotonic()
            pid = int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, self.chance.choice([signal.SIGKILL, signal.SIGINT]))

    async def _back(self) -> None:
        """Until PostgreSQL is back from the blow before."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await (await asyncpg.connect(self.url)).close()
                    return
                await asyncio.sleep(0.1)

    async def _cut(self) -> None:
        with contextlib.suppress(Exception):  # it may be down just now
            connection: Any = await asyncpg.connect(self.url)
            try:
                await connection.execute(
                    "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a"
                    " WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
                )
            finally:
                await connection.close()


async def until_rest(crm: Live) -> None:
    """Wait until the workers have left nothing to do."""
    quiet = 0
    async with asyncio.timeout(PATIENCE):
        while quiet < 3:
            await asyncio.sleep(0.2)
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                busy = await walks.waiting(crm.db, crm.tick()) or await steps.due_accounts(
                    crm.db, now=crm.tick()
                )
                quiet = 0 if busy else quiet + 1


@pytest.mark.slow
async def test_whatever_is_killed_nothing_is_lost_and_nothing_done_twice(place: Path) -> None:
    chance = random.Random(SEED)
    with start(place / "data") as server:
        url = server.url()
        await migrate(url)
        async with connect(url) as db:
            crm = Live(db, await accounts.create(db, "demo", now=datetime.now(UTC)))
            world = World(crm, random.Random(SEED))
            await world.begin(contacts=12)
            await through_blows(world, chance, url, place / "data")
            await expect_laws(world, early=timedelta(hours=1))
            # In peace, those who wait come to their ends.
            for _ in range(5):
                crm.ahead += timedelta(days=2)
                await crm.work()
            past = await expect_laws(world, early=timedelta(hours=1))
            assert sum(len(life.ended) for life in past.lives.values()) > 0
            assert all(set(life.entered) == set(life.ended) for life in past.lives.values())


async def through_blows(world: World, chance: random.Random, url: str, data_dir: Path) -> None:
    """Write while workers and PostgreSQL are struck; then wait until the workers have done all that is left."""
    assert isinstance(world.crm, Live)
    done = asyncio.Event()
    async with working(url) as workers:
        async with asyncio.TaskGroup() as tasks:
            blows = Blows(chance, url, data_dir, workers)
            for n in range(WRITERS):
                tasks.create_task(write(world, random.Random(SEED * 10 + n), done))
            try:
                # The first blow is for workers that are at work.
                await asyncio.sleep(1.5)
                for _ in range(ROUNDS):
                    await asyncio.sleep(chance.random() * 1.5)
                    await blows.strike()
            finally:
                done.set()
        # What the writers were at has been written: nothing more comes.
        await until_rest(world.crm)
