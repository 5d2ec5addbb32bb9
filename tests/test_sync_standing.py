"""How syncs stand: told anew as it changes, counted along an index, and no more often than that allows."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine import watching
from engine.sync import applying, standing
from engine.sync.standing import BUSY, HALT, QUIET, Counts, Pace, Standing, _Kept, plan, progress
from engine.watching import State
from storage.changes import Event, EventKind
from storage.database import Actor, Database, Transaction
from storage.sync import connections, links, plans, syncs
from storage.sync.connections import Described
from storage.sync.links import LinkRow
from storage.sync.plans import PlanRow
from tests.crm import Crm, crm
from tests.processes import PATIENCE

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def account(db: Database) -> Crm:
    """An account with a sync under way."""
    found = await crm(db)
    async with writing(found) as tx:
        await connections.insert(tx, 1, "sql", "Shop", {}, b"", [], Described("shop", []))
        of = tx.catalogue.by_name["contacts"].id
        await syncs.insert(tx, 2, 1, of, "contacts", direction="BOTH", policy="THEIRS", definition={})
        await syncs.start(tx, 2, {"done": 5, "total": 9})
    return found


@contextlib.asynccontextmanager
async def writing(here: Crm) -> AsyncIterator[Transaction]:
    async with here.db.transaction(here.account, now=T0, actor=Actor("TEST")) as tx:
        yield tx


async def link(here: Crm, first: int, last: int) -> None:
    """Links, of which every tenth has failed; and the log tells of them."""
    async with writing(here) as tx:
        rows = [
            LinkRow(n, 2, external_id=str(n), state="FAILED" if n % 10 == 0 else "IN_SYNC")
            for n in range(first, last + 1)
        ]
        await links.insert(tx, rows)
        tx.happened(Event(EventKind.RECORD_SYNCED, None, None, 2, {}))


def test_progress_tells_rate_and_time_left() -> None:
    assert progress({}, T0) is None
    started = {"done": 50, "total": 200, "startedAt": T0.isoformat()}
    found = progress(started, T0 + timedelta(seconds=10))
    assert found is not None
    assert (found.per_second, found.left) == (5.0, timedelta(seconds=30))
    lately = progress(started, T0 + timedelta(hours=10), recently=15.0)
    assert lately is not None
    assert lately.left == timedelta(seconds=10)
    unknown = progress({"done": 50, "startedAt": T0.isoformat()}, T0 + timedelta(seconds=10))
    assert unknown is not None
    assert unknown.left is None
    over = progress(started | {"endedAt": (T0 + timedelta(seconds=25)).isoformat()}, T0 + timedelta(days=1))
    assert over is not None
    assert (over.per_second, over.left) == (2.0, None)
    read = progress(started | {"done": 200}, T0 + timedelta(seconds=10))
    assert read is not None
    # All is read, and it goes on with what goes out: for how long, is not told by that.
    assert (read.per_second, read.left) == (20.0, None)


@pytest.mark.parametrize("ended", [None, T0 + timedelta(milliseconds=65)])
def test_a_moment_tells_no_rate(ended: datetime | None) -> None:
    """After a plan everything is linked already: thousands are looked at within a blink, which says nothing."""
    told = {"done": 1_000, "total": 2_402, "startedAt": T0.isoformat()}
    told |= {} if ended is None else {"endedAt": ended.isoformat()}
    found = progress(told, T0 + timedelta(milliseconds=65))
    assert found is not None
    assert (found.per_second, found.left) == (None, None)


def test_what_has_come_to_a_halt_has_no_rate_any_more() -> None:
    kept = Pace()
    begun = {"done": 0, "startedAt": T0.isoformat()}
    # Before it was started there was nothing to do.
    assert kept.rate(90.0, {}) is None
    assert kept.rate(100.0, begun) is None
    assert kept.rate(102.0, begun | {"done": 500}) == 250.0
    assert kept.rate(110.0, begun | {"done": 500}) == 250.0
    assert kept.rate(102.0 + HALT + 0.1, begun | {"done": 500}) == 0.0
    halted = progress({"done": 500, "total": 900, "startedAt": T0.isoformat()}, T0, recently=0.0)
    assert halted is not None
    assert halted.left is None


def test_what_takes_long_to_count_is_counted_seldom() -> None:
    kept = _Kept(Counts(), 0, counted=100.0, took=0.5, moved=True)
    assert not kept.due(100.0 + 0.5 * BUSY - 0.1)
    assert kept.due(100.0 + 0.5 * BUSY + 0.1)
    kept.moved = False
    assert not kept.due(100.0 + 0.5 * BUSY + 0.1)
    assert kept.due(100.0 + 0.5 * QUIET + 0.1)


async def test_a_rate_is_that_of_the_last_seconds_and_begins_anew_with_a_new_initial_sync() -> None:
    kept = Pace()

    def rate(time: float, done: int, **more: str) -> float | None:
        return kept.rate(time, {"done": done, "startedAt": "x", **more})

    assert [rate(time, done) for time, done in ((0.0, 0), (0.5, 100))] == [None, None]
    assert rate(2.0, 400) == 200.0
    assert rate(100.0, 500) is None
    assert rate(103.0, 800) == 100.0
    assert rate(104.0, 10) is None
    assert rate(105.0, 10, endedAt="x") is None


async def test_a_plan_that_is_being_applied_tells_how_far_it_is(account: Crm) -> None:
    async with writing(account) as tx:
        counts = {"MATCH": 40, "CREATE_THEIRS": 60, "NONE": 900}
        made = PlanRow(9, 2, 1, "READY", {}, counts, True, None, tx.now, tx.now, None, None)
        await plans.insert(tx, made)
    look = standing.looking(account.db, account.account, lambda: T0)
    before = (await look()).state.value[2]
    assert progress(plan(before.row), T0) is None
    async with writing(account) as tx:
        applied = await applying.apply(tx, 9)
        await plans.write(tx, replace(applied, counts=counts | {"APPLIED": 20, "OVERTAKEN": 3, "FAILED": 2}))
    under_way = (await look()).state.value[2]
    found = progress(plan(under_way.row), T0 + timedelta(seconds=10))
    assert found is not None
    assert (found.done, found.total, found.started_at) == (25, 100, T0)
    assert found.per_second == 2.5


async def test_counts_are_told_as_the_log_moves_with_a_cursor_that_nothing_is_missed_behind(
    account: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where a look takes seconds, the next one comes after a minute.
    monkeypatch.setattr(watching, "SHARE", 0)
    monkeypatch.setattr(standing, "BUSY", 0)
    await link(account, 1, 100)
    states = standing.watch(account.db, account.account, lambda: T0)

    async def next_state() -> State[dict[int, Standing]]:
        async with asyncio.timeout(PATIENCE):
            return await anext(states)

    first = await next_state()
    assert dict(first.value[2].counts.by_state) == {"IN_SYNC": 90, "FAILED": 10}
    assert first.value[2].row.progress == {"done": 5, "total": 9}
    await link(account, 101, 200)
    second = await next_state()
    assert dict(second.value[2].counts.by_state) == {"IN_SYNC": 180, "FAILED": 20}
    assert second.seq > first.seq
    async with writing(account) as tx:
        await syncs.set_enabled(tx, 2, False)
    assert (await next_state()).value[2].row.enabled is False
    async with writing(account) as tx:
        await syncs.delete(tx, 2)
        tx.happened(Event(EventKind.SYNC_DELETED, None, None, 2, {}))
    assert (await next_state()).value == {}
    await states.aclose()
