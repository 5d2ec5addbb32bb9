"""The change feed: who follows hears every event behind his cursor once and in order, however he comes and goes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from engine import accounts, cursors, feed
from engine.cursors import CursorExpired, InvalidCursor
from engine.feed import Batch
from engine.interests import Interest
from storage import changes
from storage.changes import Event, EventKind, LoggedEvent
from storage.database import Actor, Database, on_statement
from tests.processes import PATIENCE

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRITER = Actor("API")
ENROLLED = Interest(frozenset({EventKind.ENROLLED}))


@pytest.fixture
async def account(db: Database) -> int:
    return await accounts.create(db, "demo", now=T0)


async def tell(db: Database, account: int, n: int, subject: int = 7) -> None:
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        tx.happened(Event(EventKind.ENROLLED, 1, n, subject))
        # Noise that nobody asked for stands between.
        tx.happened(Event(EventKind.RECORD_UPDATED, 1, n))


async def each(batches: AsyncIterator[Batch]) -> AsyncIterator[LoggedEvent]:
    async for batch in batches:
        for event in batch.events:
            yield event


async def collect(db: Database, account: int, after: int | None, n: int) -> list[LoggedEvent]:
    found: list[LoggedEvent] = []
    async with aclosing(feed.follow(db, account, ENROLLED, after)) as batches:
        async for event in each(batches):
            found.append(event)
            if len(found) == n:
                break
    return found


async def test_a_follower_hears_what_happens_from_now_on(db: Database, account: int) -> None:
    await tell(db, account, 1)
    hearing = asyncio.create_task(collect(db, account, None, 2))
    told = [1]
    # Until the follower has begun, an event is "before".
    while not hearing.done():
        told.append(told[-1] + 1)
        await tell(db, account, told[-1])
    first, second = (event.record_id for event in hearing.result())
    assert first in told[1:]
    assert second == told[told.index(first) + 1]


async def test_a_follower_hears_only_what_he_asked_for(db: Database, account: int) -> None:
    for n in range(6):
        await tell(db, account, n, subject=n % 2)
    interest = Interest(frozenset({EventKind.ENROLLED}), subject_id=1)
    async with aclosing(feed.follow(db, account, interest, 0)) as batches:
        assert [event.record_id async for event in _first(each(batches), 3)] == [1, 3, 5]


async def _first(events: AsyncIterator[LoggedEvent], n: int) -> AsyncIterator[LoggedEvent]:
    async for event in events:
        yield event
        n -= 1
        if n == 0:
            return


@pytest.mark.parametrize("slow", [False, True])
async def test_followers_that_come_and_go_among_concurrent_writers_miss_nothing_and_hear_nothing_twice(
    db: Database, account: int, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small enough that replay, hand-over and falling behind all happen.
    monkeypatch.setattr(feed, "PAGE", 7)
    monkeypatch.setattr(feed, "HELD", 3 if slow else 500)
    chance = random.Random(11)
    total = 120

    async def write(writer: int) -> None:
        for n in range(total // 4):
            await tell(db, account, writer * 1000 + n)
            await asyncio.sleep(chance.random() / 100)

    async def subscribe() -> list[int]:
        heard: list[int] = []
        cursor = 0
        while len(heard) < total:
            # Leave after some events, and come back by the cursor of the last one.
            for event in await collect(db, account, cursor, min(chance.randrange(1, 30), total - len(heard))):
                heard.append(event.seq)
                if slow:
                    await asyncio.sleep(chance.random() / 200)
            cursor = heard[-1]
        return heard

    writing = [write(writer) for writer in range(4)]
    followers = [subscribe() for _ in range(5)]
    results = await asyncio.wait_for(asyncio.gather(*followers, *writing), PATIENCE)
    async with db.read(account) as reader:
        logged = [e.seq for e in await changes.read(reader, 0, 10_000) if e.kind is EventKind.ENROLLED]
    assert len(logged) == total
    for heard in results[:5]:
        assert heard == logged
    assert not feed._feeds  # nobody follows, nobody reads


async def test_a_follower_who_does_not_listen_holds_up_nobody_and_costs_bounded_memory(
    db: Database, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "HELD", 10)
    async with aclosing(feed.follow(db, account, ENROLLED, 0)) as sleeper:
        await tell(db, account, 0)
        first = await asyncio.wait_for(anext(each(sleeper)), PATIENCE)
        hearing = asyncio.create_task(collect(db, account, 0, 40))
        for n in range(1, 40):
            await tell(db, account, n)
        assert len(await asyncio.wait_for(hearing, PATIENCE)) == 40
        # He wakes up late and still hears everything.
        rest = [event async for event in _first(each(sleeper), 39)]
        assert [event.record_id for event in [first, *rest]] == list(range(40))


async def test_cursors_are_opaque_belong_to_an_account_and_are_checked(db: Database, account: int) -> None:
    cursor = cursors.encode(account, 5)
    assert cursors.decode(account, cursor) == 5
    for wrong in (
        "",
        "5",
        "ü",
        "=",
        cursor[:-1],
        cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB"),
        cursors.encode(account + 1, 5),
        "A" * 5000,
    ):
        with pytest.raises(InvalidCursor):
            cursors.decode(account, wrong)
    with pytest.raises(InvalidCursor):
        await collect(db, account, 99, 1)  # ahead of the log


async def test_a_cursor_behind_what_is_kept_is_a_typed_error_and_not_silence(
    db: Database, account: int
) -> None:
    for n in range(5):
        await tell(db, account, n)
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        await tx.execute("DELETE FROM event_log AS e WHERE e.account_id = $1 AND e.seq <= 4")
    with pytest.raises(CursorExpired):
        await collect(db, account, 2, 1)
    assert [event.record_id for event in await collect(db, account, 4, 3)] == [2, 3, 4]


async def test_the_feed_outlives_a_cut_connection(db: Database, account: int) -> None:
    async with aclosing(feed.follow(db, account, ENROLLED, 0)) as batches:
        events = each(batches)
        await tell(db, account, 1)
        assert (await asyncio.wait_for(anext(events), PATIENCE)).record_id == 1
        async with db.pool.acquire() as connection:
            await connection.fetch(
                "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a"
                " WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
            )
        for attempt in range(20):
            try:
                await tell(db, account, 2)
                break
            except Exception:  # the pool finds out which of its connections are gone
                if attempt == 19:
                    raise
        assert (await asyncio.wait_for(anext(events), PATIENCE)).record_id == 2


async def test_one_feed_is_awake_for_a_moment_and_hands_over_nothing_to_who_wants_that(db: Database) -> None:
    first, second = [await accounts.create(db, name, now=T0) for name in ("first", "second")]
    told: dict[int, list[int | None]] = {first: [], second: []}
    heard: dict[int, list[int | None]] = {first: [], second: []}
    # How often nothing was handed over.
    handed = {first: 0, second: 0}
    looked: list[str] = []

    async def hear(account: int) -> None:
        async with aclosing(feed.follow(db, account, ENROLLED, 0, awake=True)) as batches:
            async for batch in batches:
                heard[account] += [event.record_id for event in batch.events]
                handed[account] += not batch.events

    async def awake(account: int) -> None:
        """Until it has heard all and was handed nothing three times; told of something as often as it takes."""
        before, n = handed[account], 0
        while handed[account] < before + 3 or heard[account] != told[account]:
            if n % 100 == 0:
                told[account].append(len(told[account]))
                await tell(db, account, len(told[account]) - 1)
            n += 1
            await asyncio.sleep(feed.BEAT)

    tasks = [asyncio.create_task(hear(account)) for account in (first, second)]
    try:
        await awake(first)
        await awake(second)
        # Whoever told something last is awake, and nobody else.
        before = handed[first]
        await awake(second)
        assert handed[first] == before
        # In the end nobody is: nothing is handed over, and the log is looked at as seldom as ever.
        await asyncio.sleep(feed.AWAKE + 0.1)
        asleep = dict(handed)
        on_statement.append(looked.append)
        await asyncio.sleep(feed.AWAKE)
        assert handed == asleep
        assert len(looked) <= 2
        assert heard == told
    finally:
        if looked.append in on_statement:
            on_statement.remove(looked.append)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
