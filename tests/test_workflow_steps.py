"""The stepper: whose turn it is, what waiting costs, and what becomes of a worker that comes too late."""

import asyncio
import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine import accounts
from engine.workflows import steps
from server import worker
from storage import due, enrollments
from storage.database import Database
from storage.statements import Statement
from tests.flows import Flows, equals, flows, set_property
from tests.graph import T0
from tests.processes import PATIENCE

DONE = set_property("jobtitle", "done")
WAIT = {"delay": {"duration": {"value": 1, "unit": "DAY"}}}


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def counts(crm: Flows, flow: int) -> dict[str, int]:
    """A workflow's enrollments by status."""
    found: dict[str, int] = {}
    for row in await crm.enrolled(flow):
        found[row.status] = found.get(row.status, 0) + 1
    return found


async def test_a_backlog_of_one_workflow_does_not_keep_others_from_their_turn(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LISTED", 20)
    monkeypatch.setattr(steps, "BATCH", 5)
    large = await crm.make("contacts", equals("city", "Boston"), DONE, name="large")
    small = await crm.make("contacts", equals("city", "Rome"), DONE, name="small")
    await crm.create("contacts", *[{"city": "Boston"}] * 60)
    await crm.evaluate()
    await crm.create("contacts", {"city": "Rome"})
    await crm.evaluate()
    # The longest due are all of the large one; the small one has its turn in the first round.
    assert await steps.run_once(crm.db, crm.account, now=crm.tick()) == 6
    assert await counts(crm, small) == {"COMPLETED": 1}
    assert await counts(crm, large) == {"COMPLETED": 5, "ACTIVE": 55}
    await crm.work()
    assert await counts(crm, large) == {"COMPLETED": 60}


async def test_lanes_take_up_what_comes_due_behind_them_while_it_is_their_turn(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "BATCH", 5)
    flow = await crm.make("contacts", equals("city", "Boston"), DONE, set_property("lastname", "y"), DONE)
    await crm.create("contacts", *[{"city": "Boston"}] * 23)
    await crm.evaluate()
    now = crm.tick()
    # Asked no more, a stepper takes a batch in each lane, and another account has its turn.
    assert await steps.run_once(crm.db, crm.account, now=now) == 5 * steps.LANES
    moments = itertools.count()
    times = (now + timedelta(seconds=n) for n in moments)
    assert (
        await steps.run_once(crm.db, crm.account, now=now, again=lambda: next(times))
        == 23 * 3 - 5 * steps.LANES
    )
    assert await counts(crm, flow) == {"COMPLETED": 23}
    for row in await crm.enrolled(flow):
        assert [line.n for line in await crm.history(row.id)] == [0, 1, 2]


async def test_lanes_end_with_the_batch_at_hand_when_one_fails(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "BATCH", 5)
    flow = await crm.make("contacts", equals("city", "Boston"), DONE)
    await crm.create("contacts", *[{"city": "Boston"}] * 23)
    await crm.evaluate()
    now, real, begun = crm.tick(), steps._step, list[int]()

    async def failing(db: Database, account_id: int, group: Any, ids: Any, now: Any, **more: Any) -> int:
        begun.append(len(ids))
        if len(begun) == 2:
            raise ConnectionResetError
        return await real(db, account_id, group, ids, now, **more)

    monkeypatch.setattr(steps, "_step", failing)
    with pytest.raises(ConnectionResetError):
        await steps.run_once(crm.db, crm.account, now=now, again=lambda: now)
    assert len(begun) <= steps.LANES
    monkeypatch.setattr(steps, "_step", real)
    await crm.work()
    assert await counts(crm, flow) == {"COMPLETED": 23}


async def test_accounts_take_turns(db: Database) -> None:
    first, second = await flows(db), await flows_called(db, "other")
    for crm in (first, second):
        await crm.make("contacts", equals("city", "Boston"), WAIT, DONE)
        await crm.create("contacts", {"city": "Boston"})
        await crm.work()
    later = first.now + timedelta(days=2)
    times = await steps.due_times(db)
    assert times.keys() == {first.account, second.account}
    assert all(at <= later for at in times.values())
    assert set(await steps.due_accounts(db, now=later)) == {first.account, second.account}
    await steps.run_due(db, now=later)
    assert await steps.due_times(db) == {}


async def flows_called(db: Database, name: str) -> Flows:
    """An account of this name."""
    return Flows(db, await accounts.create(db, name, now=T0))


async def test_a_worker_that_lost_its_place_changes_nothing(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = await crm.make(
        "contacts", equals("city", "Boston"), DONE, set_property("lastname", "x"), WAIT, DONE
    )
    await crm.create("contacts", *[{"city": "Boston"}] * 4)
    await crm.evaluate()
    listed = enrollments.due

    async def and_then_another_one_does_it(*arguments: Any) -> Any:
        found = await listed(*arguments)
        monkeypatch.setattr(enrollments, "due", listed)
        await steps.run_due(crm.db, now=now)
        return found

    now = crm.tick()
    monkeypatch.setattr(enrollments, "due", and_then_another_one_does_it)
    assert await steps.run_once(crm.db, crm.account, now=now) == 0
    for row in await crm.enrolled(flow):
        assert (row.steps, row.waiting, row.next_step) == (2, "DELAY", 2)


async def test_who_is_held_by_another_stepper_is_passed_over(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), DONE)
    await crm.create("contacts", *[{"city": "Boston"}] * 3)
    await crm.evaluate()
    held = (await crm.enrolled(flow))[1]
    now = crm.tick()
    async with crm.writing() as tx:
        assert len(await enrollments.claim(tx, [held.id], 0)) == 1
        async with asyncio.timeout(PATIENCE):
            assert await steps.run_once(crm.db, crm.account, now=now) == 2
    await crm.work()
    assert await counts(crm, flow) == {"COMPLETED": 3}


class Killed(BaseException):
    """The process dies: nobody catches it."""


@pytest.mark.parametrize("function", ["claim", "insert_steps", "move"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_stepper_that_dies_leaves_every_step_to_be_done_once(
    crm: Flows, monkeypatch: pytest.MonkeyPatch, function: str, after: bool
) -> None:
    catalogue = await crm.db.catalogue(crm.account)
    name = next(
        prop.name
        for prop in catalogue.by_name["companies"].properties.values()
        if prop.type == "NUMBER" and not prop.read_only and not prop.calculated
    )
    number = {"incrementProperty": {"property": name, "by": 1}}
    branch = {"branch": {"branches": [{"where": equals("name", "x"), "actions": [number]}]}}
    flow = await crm.make("companies", equals("city", "Boston"), number, branch, WAIT, number)
    made = await crm.create("companies", *({"city": "Boston", "name": one} for one in ("x", "y", "x")))
    await crm.evaluate()
    real = getattr(enrollments, function)
    start = crm.tick()
    for minutes in range(12):
        # Dies at every other attempt, wherever it stands then.
        async def dying(*arguments: Any) -> Any:
            if after:
                await real(*arguments)
            raise Killed

        now = start + timedelta(days=minutes // 6, minutes=minutes)
        with monkeypatch.context() as patch:
            patch.setattr(enrollments, function, dying)
            if await steps.due_accounts(crm.db, now=now):
                with pytest.raises(Killed):
                    await steps.run_once(crm.db, crm.account, now=now)
        await steps.run_once(crm.db, crm.account, now=now)
    assert await counts(crm, flow) == {"COMPLETED": 3}
    assert [await crm.value(one, name) for one in made] == [3, 2, 3]
    for row in await crm.enrolled(flow):
        assert [line.n for line in await crm.history(row.id)] == list(range(row.steps))


# --- what waiting costs -------------------------------------------------------------------------------------

ROWS = 100_000
FILL = """
    INSERT INTO enrollment (account_id, id, workflow_id, revision, record_id, epoch, status, next_step, steps,
                            depth, due_at, attempts, reason, enrolled_at, waiting)
    SELECT $1, n, 1 + n % 50, 1, n, 1, 'ACTIVE', 0, 0, 0,
           CASE WHEN n % 3 = 0 THEN NULL ELSE $2::timestamptz + make_interval(mins => n) END, 0, '{}', $2,
           CASE WHEN n % 3 = 0 THEN 'OUTSIDE' ELSE 'DELAY' END
      FROM generate_series(1, $3::int) AS n
"""


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_who_waits_costs_nothing_until_it_is_due(db: Database, believed: str) -> None:
    crm = await flows(db)
    cases: dict[str, tuple[Statement, tuple[Any, ...], int]] = {
        "due": (enrollments.DUE, (T0, 8_000), 0),
        "due later": (enrollments.DUE, (T0 + timedelta(minutes=50), 8_000), 34),
        "fairly": (due.FAIRLY, (T0, 2_000), 0),
        "fairly later": (due.FAIRLY, (T0 + timedelta(minutes=50), 2_000), 34),
    }
    async with db.pool.acquire() as connection:
        await connection.execute(FILL, crm.account, T0, ROWS)
        if believed == "the truth":
            await connection.execute("ANALYZE enrollment")
        for name, (sql, arguments, found) in cases.items():
            rows = await connection.fetch(sql.text, crm.account, *arguments)
            assert sum(len(row["ids"]) for row in rows) == found, name
            await check(connection, name, sql, crm.account, *arguments)
        rows = await connection.fetch(due.EARLIEST.text, [crm.account])
        assert [row["due_at"] for row in rows] == [T0 + timedelta(minutes=1)]
        await check(connection, "earliest", due.EARLIEST, [crm.account])


async def check(connection: Any, name: str, sql: str, *arguments: Any) -> None:
    """Read by the index alone, and next to nothing of it."""
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"SET plan_cache_mode = {mode}")
        told = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {sql}", *arguments)
        plan = "\n".join(row[0] for row in told)
        assert "Seq Scan" not in plan, (name, mode, plan)
        removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
        assert sum(removed) == 0, (name, mode, plan)
        # Pages of 8 kB, of the thousands that there are; a few for each of fifty workflows. Those that are written
        # meanwhile are others'.
        pages = next(line for line in plan.splitlines() if "Buffers:" in line)
        read = sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", pages))
        assert read < 700, (name, mode, plan)
    await connection.execute("RESET plan_cache_mode")


async def test_a_worker_sleeps_until_the_next_one_is_due_and_no_longer(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever only looked now and then would come after an hour.
    monkeypatch.setattr(worker, "POLL_SECONDS", 3_600.0)
    until = datetime.now(UTC) + timedelta(seconds=1)
    flow = await crm.make("contacts", equals("city", "Boston"), {"delay": {"until": until.isoformat()}}, DONE)
    await crm.create("contacts", {"city": "Boston"})
    await crm.work()
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(crm.db, clock=lambda: datetime.now(UTC), stop=stop))
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                if await counts(crm, flow) == {"COMPLETED": 1}:
                    break
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE)
