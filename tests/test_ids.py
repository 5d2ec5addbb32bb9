"""Ids, when PostgreSQL crashes: none that anybody has is given again."""

import asyncio
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from engine import accounts
from server.postgres import start
from storage.database import Actor, Database, connect
from storage.ids import BLOCK
from storage.migrate import migrate
from storage.notes import Event, EventKind
from tests.processes import dead, until
from tests.test_postgres_supervisor import place, postmaster

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)

__all__ = ["place"]


async def account_in(url: str) -> int:
    await migrate(url)
    async with connect(url, size=1) as db:
        return await accounts.create(db, "one", now=T0)


async def taken(url: str, account: int, server: int) -> list[Sequence[int]]:
    """Ids for a transaction that commits, and one of a block that is kept; at that moment the server dies."""
    async with connect(url, size=2) as db:
        async with db.transaction(account, now=T0, actor=Actor("API")) as tx:
            many = await tx.new_ids(5 * BLOCK)
            tx.happened(Event(EventKind.RECORD_CREATED, 1, many[-1]))
        few = await db.ids.take(account, 1)
        sessions = [
            await connection.fetchval("SELECT pg_backend_pid()")
            for connection in (db.pool, db.ids._connection)
        ]
        os.kill(server, signal.SIGKILL)
        # Nothing is left to be closed in order, and nobody here has heard of it yet.
        until(lambda: all(map(dead, sessions)))
        return [many, few]


def test_ids_that_were_used_or_kept_are_not_given_again_after_a_crash(place: Path) -> None:
    with start(place / "data") as server:
        account = asyncio.run(account_in(server.url()))
    seen = set[int]()
    for _ in range(3):
        with start(place / "data") as server:
            found = asyncio.run(taken(server.url(), account, postmaster(place / "data")))
        for ids in found:
            assert not seen.intersection(ids)
            seen.update(ids)


async def test_ids_that_were_expected_are_handed_out_first_and_none_twice(db: Database) -> None:
    account = await accounts.create(db, "one", now=T0)
    given: list[int] = []
    for _ in range(2):
        async with db.transaction(account, now=T0, actor=Actor("API")) as tx:
            await tx.expect_ids(3 * BLOCK)
            # Others take some meanwhile.
            given += await db.ids.take(account, 1)
            mine = [*await tx.new_ids(2 * BLOCK), *await tx.new_ids(1), *await tx.new_ids(BLOCK - 1)]
            assert mine == list(range(mine[0], mine[0] + 3 * BLOCK))
            # More than were expected: there are others.
            beyond = [*await tx.new_ids(2), *await tx.new_ids(BLOCK)]
            assert beyond == sorted(beyond)
            assert beyond[0] > mine[-1]
            given += [*mine, *beyond]
    assert len(set(given)) == len(given)


def test_who_takes_many_changes_nothing_for_who_comes_next(place: Path) -> None:
    async def asked(url: str, account: int) -> None:
        async with connect(url, size=2) as db:
            await db.ids.take(account, 5 * BLOCK)
            connection = db.ids._connection
            assert await connection.fetchval("SHOW synchronous_commit") == "on"

    with start(place / "data") as server:
        account = asyncio.run(account_in(server.url()))
        asyncio.run(asked(server.url(), account))
