"""What is kept for a time only: events by month and by account, keys by age; and what a cursor is told afterwards."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine import accounts, feed, retention
from engine.cursors import CursorExpired
from engine.interests import Interest
from storage import changes, log_partitions
from storage.changes import Event, EventKind
from storage.database import Actor, Database
from storage.log_partitions import Month
from tests.face import opened

T0 = datetime(2026, 3, 20, 12, tzinfo=UTC)
WRITER = Actor("API")
DAY = timedelta(days=1)
# Whether anybody in this database waits for a table.
WAITING = """
    SELECT count(*) FROM pg_locks AS l WHERE NOT l.granted AND l.locktype = 'relation'
       AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
"""
ENROLLED = Interest(frozenset({EventKind.ENROLLED}))


async def tell(db: Database, account: int, at: datetime, n: int = 1) -> None:
    async with db.transaction(account, now=at, actor=WRITER) as tx:
        for each in range(n):
            # Unlike payloads, so that each event has a row of its own.
            tx.happened(Event(EventKind.ENROLLED, 1, each + 1, 7, {"n": each}))


async def numbers(db: Database, account: int) -> list[int]:
    async with db.read(account) as reader:
        return [event.seq for event in await changes.read(reader, 0, 1_000_000)]


async def where(db: Database) -> dict[str, int]:
    """How many rows of the log lie in each partition that has any."""
    async with db.pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT e.tableoid::regclass::text AS name, count(*) AS n FROM event_log AS e GROUP BY 1"
        )
    return {row["name"]: row["n"] for row in rows}


async def keep_all(db: Database, account: int, now: datetime) -> None:
    looking = retention.Looking()
    while await looking.run_once(db, account, now=now):
        pass


async def test_months_are_made_ahead_and_events_lie_in_theirs(db: Database) -> None:
    account = await accounts.create(db, "demo", now=T0)
    for _ in range(2):
        await retention.keep_log(db, now=T0)
    assert await log_partitions.months(db) == [Month(2026, 3), Month(2026, 4), Month(2026, 5)]
    for at in (T0, T0 + 20 * DAY, T0 + 300 * DAY):
        await tell(db, account, at)
    assert await where(db) == {"event_log_2026_03": 1, "event_log_2026_04": 1, "event_log_default": 1}
    assert await numbers(db, account) == [1, 2, 3]
    assert await log_partitions.make(db, Month(2026, 12), begun=False)
    # What is in the default partition already stays there, and nothing refuses it.
    assert not await log_partitions.make(db, Month(2027, 1), begun=False)
    await tell(db, account, T0 + 300 * DAY)
    assert await numbers(db, account) == [1, 2, 3, 4]


async def test_a_month_that_has_begun_in_the_default_partition_stays_there(db: Database) -> None:
    account = await accounts.create(db, "demo", now=T0)
    await tell(db, account, T0)
    await retention.keep_log(db, now=T0)
    assert await log_partitions.months(db) == [Month(2026, 4), Month(2026, 5)]
    await tell(db, account, T0)
    await tell(db, account, T0 + 15 * DAY)
    assert await where(db) == {"event_log_default": 2, "event_log_2026_04": 1}
    assert await numbers(db, account) == [1, 2, 3]


async def test_writers_go_on_while_months_are_made_and_dropped(db: Database) -> None:
    account = await accounts.create(db, "demo", now=T0)
    await tell(db, account, T0)
    stop = asyncio.Event()

    async def write() -> int:
        n = 0
        while not stop.is_set():
            await tell(db, account, T0 + timedelta(seconds=n))
            n += 1
        return n

    writers = [asyncio.create_task(write()) for _ in range(3)]
    for n in range(4):
        await retention.keep_log(db, now=T0 + n * 31 * DAY)
    stop.set()
    written = sum(await asyncio.gather(*writers))
    assert await numbers(db, account) == list(range(1, written + 2))


async def test_an_event_that_waits_while_its_month_is_made_lies_in_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await accounts.create(db, "demo", now=T0)
    attach, writers = log_partitions._attach, list[asyncio.Task[None]]()

    async def while_somebody_writes(connection: Any, month: Month) -> None:
        writers.append(asyncio.create_task(tell(db, account, T0)))
        while not await connection.fetchval(WAITING):  # noqa: ASYNC110 (PostgreSQL tells nobody)
            await asyncio.sleep(0.01)
        await attach(connection, month)

    monkeypatch.setattr(log_partitions, "_attach", while_somebody_writes)
    assert await log_partitions.make(db, Month.of(T0), begun=True)
    await asyncio.gather(*writers)
    assert await where(db) == {"event_log_2026_03": 1}


async def test_each_account_keeps_its_own_days_and_months_go_when_nobody_needs_them(db: Database) -> None:
    short, long = [await accounts.create(db, name, now=T0) for name in ("short", "long")]
    async with db.transaction(short, now=T0, actor=WRITER) as tx:
        await accounts.change_settings(tx, {"event_days": 2})
    await retention.keep_log(db, now=T0)
    for day in range(5):
        for account in (short, long):
            await tell(db, account, T0 + day * DAY, 3)
    now = T0 + 4 * DAY + timedelta(hours=1)
    for account in (short, long):
        await keep_all(db, account, now)
    assert await numbers(db, short) == list(range(10, 16))
    assert await numbers(db, long) == list(range(1, 16))
    await retention.keep_log(db, now=T0 + 30 * DAY)
    assert Month(2026, 3) in await log_partitions.months(db)
    await retention.keep_log(db, now=T0 + 50 * DAY)
    assert Month(2026, 3) not in await log_partitions.months(db)
    assert await numbers(db, long) == []


async def test_what_goes_is_the_beginning_of_the_log_so_that_no_gap_is_left(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOT", 2)
    account = await accounts.create(db, "demo", now=T0)
    # A transaction that was slow: its time is older than what was committed before it.
    for at in (T0, T0 + 10 * DAY, T0 + DAY, T0 + 11 * DAY):
        await tell(db, account, at, 2)
    await keep_all(db, account, T0 + 35 * DAY)
    assert await numbers(db, account) == list(range(3, 9))
    await keep_all(db, account, T0 + 90 * DAY)
    assert await numbers(db, account) == []


async def test_a_cursor_behind_which_anything_is_gone_is_told_so_and_what_is_the_oldest(db: Database) -> None:
    account = await accounts.create(db, "demo", now=T0)
    for _ in range(5):
        await tell(db, account, T0)
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        await tx.execute("DELETE FROM event_log AS e WHERE e.account_id = $1 AND e.seq <= 2")
    for after, oldest in ((0, 3), (1, 3)):
        with pytest.raises(CursorExpired) as told:
            await anext(feed.follow(db, account, ENROLLED, after))
        assert told.value.details["oldest"] == oldest
    async with aclosing(feed.follow(db, account, ENROLLED, 2)) as batches:
        assert [event.seq for event in (await anext(batches)).events] == [3, 4, 5]
    # A gap in the middle is told when it is reached.
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        await tx.execute("DELETE FROM event_log AS e WHERE e.account_id = $1 AND e.seq = 4")
    heard: list[int] = []
    with pytest.raises(CursorExpired):
        async with aclosing(feed.follow(db, account, ENROLLED, 2)) as batches:
            async for batch in batches:
                heard += [event.seq for event in batch.events]
    assert heard == [3]


async def test_keys_are_forgotten_after_their_days(db: Database) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    async with opened(db, now=lambda: now) as client:
        given = {"objectType": "contacts", "records": [{"properties": {}}], "idempotencyKey": "k"}
        first = await client.do("createRecords", "results { record { id } }", given)
        await keep_all(db, client.account_id, now + 6 * DAY)
        assert await client.do("createRecords", "results { record { id } }", given) == first
        await client.do("updateAccountSettings", "userErrors { code }", {"idempotencyDays": 3})
        await keep_all(db, client.account_id, now + 4 * DAY)
        assert await client.do("createRecords", "results { record { id } }", given) != first
        refused = await client.do("updateAccountSettings", "userErrors { code }", {"eventDays": 0})
        assert refused["userErrors"] == [{"code": "INVALID_SETTING"}]
