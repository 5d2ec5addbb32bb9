"""The first reading by real processes: hands and the worker that has them are killed in the middle of it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.sync import commands, connections
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault, new_key
from storage.changes import EventKind, read
from storage.database import Database
from tests.crm import Crm, crm, somebody_creates
from tests.processes import dead

PEOPLE, KNOWN, HANDS = 24_000, 250, 3
# Nothing here measures time.
PATIENCE = 180.0
FIELDS = {"email": "email", "firstname": "first_name", "city": "city"}
TABLE = """
CREATE TABLE people (id bigint PRIMARY KEY, email text UNIQUE, first_name text, city text,
                     updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
INSERT INTO people SELECT n, 'p' || n || '@example.com', 'P ' || n, 'City ' || n % 50 FROM generate_series(1, {n}) AS n
"""


@contextlib.asynccontextmanager
async def worker(url: str, key: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker with hands, which may be killed in the block."""
    given = {"DATABASE_URL": url, "RELATA_SECRET_KEY": key, "RELATA_SYNC_ALLOW_PRIVATE": "on"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server.cli",
        "work",
        env={**os.environ, **given, "RELATA_LOG_LEVEL": "error", "RELATA_HANDS": str(HANDS)},
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), PATIENCE)


def hands(worker: int) -> list[int]:
    """The processes that a worker has had started to share its work: forked from one that it has started itself."""
    return [hand for child in children(worker) for hand in children(child)]


def children(parent: int) -> list[int]:
    """Processes that another has started, and that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parts = stat.read_text().rsplit(")", 1)[1].split()
            if int(parts[1]) == parent and parts[0] != "Z":
                found.append(int(stat.parent.name))
    return sorted(found)


async def until(holds: Callable[[], Any]) -> Any:
    """Wait until something is so, and answer it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = holds()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.02)


async def synced(db: Database, theirs: str, key: str) -> tuple[Crm, int]:
    """An account with a sync that is about to begin."""
    it = await crm(db)
    it.now = datetime.now(UTC)
    await it.create(*({"email": f"P{n}@example.com", "firstname": "?"} for n in range(1, KNOWN + 1)))
    entered = connections.entered("sql", {"url": theirs})
    described = await connections.look(entered, Surroundings(allow_private=True))
    async with db.transaction(it.account, now=it.now, actor=it.actor) as tx:
        made = await connections.create(tx, Vault(lambda _making: [key]), "Theirs", entered, described)
        document = {
            "direction": "IN",
            "policy": "THEIRS",
            "mappings": [{"property": one, "field": other} for one, other in FIELDS.items()],
        }
        sync_id = (await commands.create(tx, made.id, "contacts", "people", document)).id
    async with db.transaction(it.account, now=it.now, actor=it.actor) as tx:
        await commands.start(tx, sync_id)
    return it, sync_id


@pytest.mark.slow
async def test_killed_hands_and_workers_lose_nothing_and_double_nothing(
    db: Database, database_url: str, empty_database_url: str
) -> None:
    their = await asyncpg.connect(empty_database_url)
    await their.execute(TABLE.format(n=PEOPLE))
    await their.close()
    key = new_key()
    it, sync_id = await synced(db, empty_database_url, key)

    async def linked() -> int:
        sql = "SELECT count(*) FROM sync_link AS l WHERE l.account_id = $1 AND l.sync_id = $2"
        async with db.read(it.account) as reader:
            return int(await reader.fetchval(sql, sync_id))

    async def phase() -> tuple[str, int]:
        sql = "SELECT s.phase, (s.progress ->> 'done')::int FROM sync AS s WHERE s.account_id = $1 AND s.id = $2"
        async with db.read(it.account) as reader:
            row = await reader.fetchrow(sql, sync_id)
        assert row is not None
        return row[0], row[1] or 0

    async def more_than(n: int) -> bool:
        return await linked() > n

    async with worker(database_url, key) as first:
        # The last page waits, so that neither is ever too late for a blow.
        async with somebody_creates(it, f"p{PEOPLE}@example.com"):
            crew = await until(lambda: hands(first.pid))
            await until(lambda: more_than(3_000))
            os.kill(crew[0], signal.SIGKILL)
            before = await linked()
            await until(lambda: more_than(min(before + 3_000, PEOPLE // 2)))
            crew = hands(first.pid)
            first.kill()
            await first.wait()
        # Who helped ends with whom they helped.
        await until(lambda: all(map(dead, crew)))
    assert (await phase())[0] == "INITIAL"
    assert await linked() < PEOPLE
    # Nobody need wait for it: the lease of the killed one is over.
    async with db.pool.acquire() as connection:
        await connection.execute("UPDATE sync SET leased_until = leased_until - interval '1 hour'")
    async with worker(database_url, key):
        async with asyncio.timeout(PATIENCE):
            while (await phase())[0] != "LIVE":  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.1)
    assert await phase() == ("LIVE", PEOPLE)
    async with db.read(it.account) as reader:
        row = await reader.fetchrow(
            """
            SELECT count(*) AS links, count(DISTINCT l.record_id) AS linked,
                   count(*) FILTER (WHERE l.state = 'IN_SYNC') AS fine,
                   (SELECT count(*) FROM record AS r WHERE r.account_id = $1) AS records,
                   (SELECT count(DISTINCT r.properties ->> 'email') FROM record AS r WHERE r.account_id = $1) AS people
              FROM sync_link AS l WHERE l.account_id = $1 AND l.sync_id = $2
            """,
            sync_id,
        )
        assert row is not None
        assert tuple(row) == (PEOPLE,) * 5
        told: dict[int, int] = {}
        after = 0
        while events := await read(reader, after, 10_000):
            after = events[-1].seq
            for event in events:
                if event.kind is EventKind.RECORD_CREATED and event.record_id is not None:
                    told[event.record_id] = told.get(event.record_id, 0) + 1
    assert len(told) == PEOPLE
    assert set(told.values()) == {1}
