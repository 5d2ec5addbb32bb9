"""The worker: works by itself, ends when told, outlives lost connections; killed, it loses and doubles nothing."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from engine.evaluation import run as evaluate
from server import worker
from storage.changes import EventKind
from storage.database import Database
from tests.flows import Flows, associated, equals, flows, set_property

PATIENCE = 60.0


def clock() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


@contextlib.asynccontextmanager
async def working(db: Database) -> AsyncIterator[None]:
    """A worker in this process, which has ended in peace when the block has."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(db, clock=clock, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


async def until_done(crm: Flows, flow: int, n: int) -> None:
    """Wait until so many enrollments of a workflow are complete."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if sum(row.status == "COMPLETED" for row in await crm.enrolled(flow)) >= n:
                return
            await asyncio.sleep(0.05)


async def test_a_worker_evaluates_fills_and_steps_by_itself(crm: Flows) -> None:
    early = await crm.one("contacts", city="Boston")
    async with working(crm.db):
        flow = await crm.make(
            "contacts", equals("city", "Boston"), set_property("jobtitle", "x"), existing=True
        )
        late = await crm.one("contacts", city="Boston")
        await until_done(crm, flow, 2)
    assert await crm.who(flow) == [early, late]
    assert await crm.value(late, "jobtitle") == "x"


async def test_a_worker_serves_every_account_and_one_account_s_trouble_is_its_own(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import accounts

    other = Flows(crm.db, await accounts.create(crm.db, "other", now=clock()))
    honest = evaluate.run_once

    async def troubled(db: Database, account: int, **more: Any) -> bool:
        if account == crm.account:
            raise ZeroDivisionError
        return await honest(db, account, **more)

    flow = await other.make("contacts", equals("city", "Boston"))
    mine = await crm.make("contacts", equals("city", "Boston"))
    await crm.one("contacts", city="Boston")
    monkeypatch.setattr(evaluate, "run_once", troubled)
    with capture_logs() as told:
        async with working(crm.db):
            await other.one("contacts", city="Boston")
            await until_done(other, flow, 1)
            async with asyncio.timeout(PATIENCE):
                while not told:  # noqa: ASYNC110 (what was told is a list)
                    await asyncio.sleep(0.05)
    assert [line["exc_info"].__class__ for line in told][:1] == [ZeroDivisionError]
    assert await crm.enrolled(mine) == []
    monkeypatch.setattr(evaluate, "run_once", honest)
    async with working(crm.db):
        await until_done(crm, mine, 1)


async def test_a_worker_goes_on_when_its_connections_are_cut(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "x"))
    with capture_logs() as told:
        made = await through_cuts(crm, flow, told)
    # It says what is the matter, and takes it for nothing worse.
    assert {line["event"] for line in told} == {"the database cannot be reached"}
    rows = await crm.enrolled(flow)
    assert len({row.record_id for row in rows}) == len(rows) >= len(made) > 0


async def through_cuts(crm: Flows, flow: int, told: list[Any]) -> list[int]:
    """Make contacts while all connections are cut again and again; those that were surely made, enrolled by now.

    Until a cut was told of: one that met nobody at work was not.
    """
    made: list[int] = []
    async with working(crm.db), asyncio.timeout(3 * PATIENCE):
        n = 0
        while n < 6 or not (told and made):
            n += 1
            for _ in range(20):
                with contextlib.suppress(Exception):  # our own connections are cut as well
                    made.append(await crm.one("contacts", city="Boston", lastname=str(n)))
                    break
            with contextlib.suppress(Exception):
                async with crm.db.pool.acquire() as connection:
                    await connection.fetch(
                        "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a"
                        " WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
                    )
            await asyncio.sleep(0.05)
        while True:
            with contextlib.suppress(Exception):
                await until_done(crm, flow, len(made))
                return made


@pytest.mark.slow
async def test_workers_killed_at_any_moment_lose_nothing_and_do_nothing_twice(
    crm: Flows, database_url: str
) -> None:
    first = await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "x"), name="first")
    second = await crm.make("contacts", equals("jobtitle", "x"), set_property("city", "Paris"), name="second")
    third = await crm.make(
        "contacts",
        associated("companies", equals("city", "Boston")),
        set_property("lastname", "y"),
        name="third",
    )
    chance = random.Random(3)
    [acme] = await crm.create("companies", {})

    async def start() -> asyncio.subprocess.Process:
        environment = {**os.environ, "DATABASE_URL": database_url, "RELATA_LOG_LEVEL": "error"}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server.cli", "work", env=environment, stdin=asyncio.subprocess.DEVNULL
        )

    workers = [await start(), await start()]
    try:
        contacts: list[int] = []
        for _ in range(12):
            made = await crm.create("contacts", *[{"city": "Boston"}] * 40)
            await crm.associate(*[(acme, one) for one in made])
            await crm.set(acme, city=chance.choice(["Boston", "Paris"]))
            contacts += made
            await asyncio.sleep(chance.random() / 2)
            victim = chance.randrange(2)
            workers[victim].send_signal(signal.SIGKILL)
            await workers[victim].wait()
            workers[victim] = await start()
        await crm.set(acme, city="Rome")
        await crm.set(acme, city="Boston")
        for flow in (first, second, third):
            await until_done(crm, flow, len(contacts))
    finally:
        for process in workers:
            process.send_signal(signal.SIGTERM)
        codes = [await asyncio.wait_for(process.wait(), PATIENCE) for process in workers]
    # One that was started a moment ago may not have heard of signals yet.
    assert set(codes) <= {0, -signal.SIGTERM}
    for flow in (first, second, third):
        assert await crm.who(flow) == sorted(contacts)
    # Each effect once: what each workflow wrote stands once in each history.
    written = await crm.read(
        """
        SELECT h.record_id, h.source_id, count(*) AS n FROM property_history AS h
         WHERE h.account_id = $1 AND h.source = 'WORKFLOW' GROUP BY h.record_id, h.source_id
        """
    )
    assert {(row[0], row[1]) for row in written} == {
        (record, str(flow)) for record in contacts for flow in (first, second, third)
    }
    assert {row[2] for row in written} == {1}
    assert len(await crm.events(EventKind.STEP_DONE)) == 3 * len(contacts)
