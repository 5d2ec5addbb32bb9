"""Laws of workflows under several writers and workers, whatever they die of: nothing lost, nothing twice, all in order.

Random workflows are written for by random writers; workers have connections of their own, and clocks that differ by
hours. They die in the middle of transactions, before the commit, and after it before they know; or the server cuts
their connections. What happened is then read off the log, and held to a plain model (see `tests.flows_laws`).
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from engine.evaluation import run as evaluate
from engine.problems import Problem
from engine.segments import fill
from engine.workflows import passing, steps
from storage.database import Database, connect
from storage.faults import Fault, fault
from tests.chaos import Crash, Doom, doomed, failpoints
from tests.flows_laws import expect_laws
from tests.flows_random import World, perform
from tests.graph import ANN_WHO_CLICKS
from tests.segments import Segments, segments

PASSING = (Fault.COLLIDED, Fault.DISCONNECTED)
SKEWS = (timedelta(0), timedelta(hours=1), timedelta(hours=-1))
DUTIES = (
    evaluate.run_once,
    evaluate.run_once,
    evaluate.retry_once,
    steps.run_once,
    steps.run_once,
    fill.run_once,
    passing.run_once,
)


@pytest.fixture
async def crm(db: Database) -> Segments:
    return await segments(db)


@contextlib.asynccontextmanager
async def dying(doom: Doom) -> AsyncIterator[None]:
    """What is done in the block may die, and may meet others; the tables know what came of it."""
    try:
        with doomed(doom):
            yield
    except (Crash, Problem):
        pass
    except Exception as error:
        if fault(error) not in PASSING:
            raise


async def write(world: World, db: Database, doom: Doom, n: int) -> None:
    """Somebody who changes this and that, in transactions that take their time."""
    crm, chance = world.crm, doom.chance
    for _ in range(n):
        async with dying(doom):
            made = []
            async with db.transaction(crm.account, now=crm.tick(), actor=ANN_WHO_CLICKS) as tx:
                for op in world.ops(chance):
                    made.append(await perform(tx, op))
                await asyncio.sleep(chance.random() / 200)
            world.contacts += [one for one in made if one is not None]
        await asyncio.sleep(chance.random() / 100)


async def work(
    world: World, db: Database, doom: Doom, skew: timedelta, idle: Callable[[], bool], duties: Sequence[Any]
) -> None:
    """A worker: does what there is to do until nobody writes any more, and then once to the end."""
    crm, chance = world.crm, doom.chance
    while True:
        last, busy = idle(), False
        for duty in chance.sample(duties, len(duties)):
            done: Any = True
            async with dying(doom):
                done = await duty(db, crm.account, now=crm.tick() + skew)
            busy = busy or bool(done)
        if last and not busy:
            return
        if not busy:
            await asyncio.sleep(chance.random() / 100)


async def turmoil(
    crm: Segments,
    url: str,
    seed: int,
    *,
    n: int = 20,
    rate: float = 0.12,
    contacts: int = 5,
    given: Any = None,
    duties: Sequence[Any] = DUTIES,
) -> World:
    """Random workflows, writers and workers, all at once; then what is left is done in peace."""
    world = World(crm, random.Random(seed))
    await world.begin(contacts, given=given)
    writing = 3

    async def writer(number: int) -> None:
        nonlocal writing
        try:
            await write(world, crm.db, Doom(random.Random(seed * 100 + number), rate / 3, url), n)
        finally:
            writing -= 1

    async def worker(number: int) -> None:
        async with connect(url, size=4) as db:
            doom = Doom(random.Random(seed * 100 + 50 + number), rate, url)
            await work(world, db, doom, SKEWS[number], lambda: writing == 0, duties)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(writer(number))
            tasks.create_task(worker(number))
    # Beyond the furthest clock.
    crm.now += timedelta(hours=2)
    await crm.work()
    return world


async def live(crm: Segments, url: str, seed: int, **options: Any) -> None:
    """A turmoil after which all laws hold; and again when whoever waits has waited."""
    world = await turmoil(crm, url, seed, **options)
    await expect_laws(world, early=timedelta(hours=3))
    for _ in range(5):
        # One who has waited may be why another one begins to wait.
        crm.now += timedelta(days=3)
        await crm.work()
    past = await expect_laws(world, early=timedelta(hours=3))
    assert past.lives
    for flow in world.flows:
        assert "ACTIVE" not in {row.status for row in await crm.enrolled(flow)}


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_workers_die_of_nothing_is_lost_and_nothing_done_twice(
    crm: Segments, database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "NEIGHBOURS_A_BATCH", 5)
    monkeypatch.setattr(steps, "BATCH", 7)
    failpoints(monkeypatch)
    await live(crm, database_url, seed)
