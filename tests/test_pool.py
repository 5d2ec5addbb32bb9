"""Connections are lent to all who ask, in turn, and come back good, however their block ended."""

import asyncio
from typing import Any

import asyncpg
import pytest

from server.deadlines import Deadlines
from storage.database import connect
from tests.hurry import later
from tests.processes import PATIENCE

SLEEPING = """SELECT count(*) FROM pg_stat_activity AS s
  WHERE s.query LIKE '%pg_sleep(61)%' AND s.state = 'active' AND s.pid <> pg_backend_pid()
    AND s.datname = current_database()"""


async def test_more_ask_than_there_are_connections(database_url: str) -> None:
    async with connect(database_url, size=2) as db:

        async def one(n: int) -> tuple[int, int]:
            async with db.pool.acquire() as connection:
                pid = await connection.fetchval("SELECT pg_backend_pid()")
                await asyncio.sleep(0)
                return pid, await connection.fetchval("SELECT $1::int", n)

        told = await asyncio.gather(*(one(n) for n in range(50)))
        assert [n for _, n in told] == list(range(50))
        assert len({pid for pid, _ in told}) == 2


async def test_whoever_stops_waiting_takes_nothing_along(database_url: str) -> None:
    """Before a connection was handed over, and in the very moment that it is."""
    async with connect(database_url, size=1) as db:

        async def ask() -> int:
            return int(await db.pool.fetchval("SELECT 1"))

        for handed in (False, True):
            async with db.pool.acquire():
                waiting = [asyncio.create_task(ask()) for _ in range(3)]
                await asyncio.sleep(0.01)
                if not handed:
                    waiting[0].cancel()
            if handed:
                waiting[0].cancel()
            told = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(told[0], asyncio.CancelledError)
            assert told[1:] == [1, 1]


async def test_a_cancelled_statement_is_ended_before_its_connection_goes_on(database_url: str) -> None:
    async with connect(database_url, size=1) as db:
        deadlines = Deadlines(0.1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with deadlines.next():
                    await db.pool.execute("SELECT pg_sleep(61)")
            assert await db.pool.fetchval(SLEEPING) == 0


async def test_what_a_block_leaves_open_is_undone(database_url: str) -> None:
    async with connect(database_url, size=1) as db:
        async with db.pool.acquire() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute("BEGIN")
        async with db.pool.acquire() as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT pg_backend_pid()") == pid


async def test_lost_connections_are_opened_anew(database_url: str) -> None:
    """Idle ones, and one in the middle of a block."""
    async with connect(database_url, size=2) as db:
        async with db.pool.acquire() as first, db.pool.acquire() as second:
            # What the pool lends is a stand-in for the one block.
            idle: list[Any] = [each._con for each in (first, second)]
            lost = [await each.fetchval("SELECT pg_backend_pid()") for each in idle]
        other = await asyncpg.connect(database_url)
        try:
            for pid in lost:
                await other.execute(f"SELECT pg_terminate_backend({pid})")
            async with asyncio.timeout(PATIENCE):
                while not all(each.is_closed() for each in idle):  # noqa: ASYNC110 (the driver tells nobody)
                    await asyncio.sleep(0.01)
            assert await db.pool.fetchval("SELECT 1") == 1
            with pytest.raises(
                (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
            ):
                async with db.pool.acquire() as connection:
                    await other.execute(
                        f"SELECT pg_terminate_backend({await connection.fetchval('SELECT pg_backend_pid()')})"
                    )
                    await connection.fetchval("SELECT pg_sleep(1)")
            told = await asyncio.gather(*(db.pool.fetchval("SELECT 1") for _ in range(4)))
            assert told == [1, 1, 1, 1]
        finally:
            await other.close()


async def test_a_connection_that_is_lost_while_it_is_given_back_is_nobodys_error(database_url: str) -> None:
    """As when PostgreSQL dies while a process ends: asyncpg takes the connection back before it is asked to."""
    async with connect(database_url, size=1) as db:
        assert await db.pool.fetchval("SELECT 1") == 1
        (lease,) = db.pool._idle
        closing = asyncio.create_task(db.pool.settle(db.pool._idle.pop()))
        # Between the first step of giving it back and the second.
        asyncio.get_running_loop().call_soon(lease.connection._con.terminate)
        await closing
        assert await db.pool.fetchval("SELECT 1") == 1


async def test_a_deadline_is_the_block_s_own() -> None:
    """What ends in time is left alone; a cancellation from elsewhere stays one; the first to begin ends first."""
    deadlines = Deadlines(60.0)
    never, soon, at_once = asyncio.Event(), asyncio.Event(), asyncio.Event()
    at_once.set()

    async def work(end: asyncio.Event) -> str:
        try:
            async with deadlines.next():
                await end.wait()
        except TimeoutError:
            return "late"
        return "done"

    async def begun(*ends: asyncio.Event) -> list[asyncio.Task[str]]:
        tasks = [asyncio.create_task(work(end)) for end in ends]
        await asyncio.sleep(0)
        return tasks

    first = await begun(never, at_once, soon)
    later(40)
    (second,) = await begun(never)
    soon.set()
    assert [await one for one in first[1:]] == ["done", "done"]
    later(30)
    assert await first[0] == "late"
    assert not second.done()
    later(30)
    assert await second == "late"

    again = await begun(never, at_once)
    later(60)
    assert list(await asyncio.gather(*again)) == ["late", "done"]

    (cancelled,) = await begun(never)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    later(60)
    await asyncio.sleep(0.001)
    assert await work(at_once) == "done"
