"""Behind a pooler that lends its connections in turns: all works that works without one, or a start says what to do."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine import accounts
from server.database import IN_TURNS, UNPREPARED, CannotOpen, migrated, opened
from server.settings import Settings
from storage.database import connect
from storage.pooling import in_turns
from storage.pooling import opened as unpooled
from tests.flows import Flows, equals, set_property
from tests.graph import T0
from tests.pgbouncer import CARRYING, needed, pgbouncer, version

PATIENCE = 60
WRITERS = 8
# Of this database: others on the same server are migrated meanwhile.
LOCKS = """
SELECT count(*) FROM pg_locks AS l WHERE l.locktype = 'advisory'
   AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
"""
# So many that several processes share them.
IMPORTED = 6_000


async def test_nobody_pools_where_postgresql_itself_answers(database_url: str) -> None:
    async with unpooled(database_url) as connection:
        assert not await in_turns(connection, database_url)


@needed()
@pytest.mark.parametrize("options", [{}, {"server_round_robin": 1}], ids=["the last one", "in a circle"])
async def test_a_start_behind_a_pooler_says_that_postgresql_itself_is_needed(
    database_url: str, options: dict[str, Any]
) -> None:
    async with pgbouncer(database_url, "transaction", **options) as behind:
        chosen = Settings(database_url=behind)
        with pytest.raises(CannotOpen, match="RELATA_DIRECT_URL") as told:
            await migrated(chosen)
        assert IN_TURNS in str(told.value)
        with pytest.raises(CannotOpen, match="RELATA_DIRECT_URL"):
            async with opened(chosen):
                pass
        # The lock of migrations was not taken: no session is left with it.
        async with unpooled(database_url) as connection:
            assert await connection.fetchval(LOCKS) == 0


@needed()
async def test_a_pooler_that_does_not_carry_statements_is_told_at_the_start(database_url: str) -> None:
    options = {"max_prepared_statements": 0} if version() >= CARRYING else {}
    async with pgbouncer(database_url, "transaction", **options) as behind:
        with pytest.raises(CannotOpen) as told:
            async with opened(Settings(database_url=behind, direct_url=database_url)):
                pass
        assert UNPREPARED in str(told.value)


@needed()
async def test_a_pooler_that_lends_a_session_for_good_is_none_to_us(database_url: str) -> None:
    ignored = "jit,max_parallel_workers_per_gather,plan_cache_mode"
    async with pgbouncer(
        database_url, "session", ignore_startup_parameters=ignored, default_pool_size=20
    ) as behind:
        async with unpooled(behind) as connection:
            assert not await in_turns(connection, behind)
        async with opened(Settings(database_url=behind)) as db:
            assert db.direct is None
            await db.ping()


@needed(CARRYING)
async def test_a_node_and_a_worker_behind_a_pooler_do_all_that_they_do_without(
    database_url: str, tmp_path: Path
) -> None:
    async with pgbouncer(database_url, "transaction", max_prepared_statements=50) as behind:
        settings = Settings(database_url=behind, direct_url=database_url)
        async with opened(settings) as db, working(behind, database_url):
            assert db.direct == database_url
            crm = Flows(db, await accounts.create(db, "demo", now=T0))
            flow = await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "x"))
            # Writers in each other's way, on more connections than there are sessions.
            await asyncio.gather(*(writes(crm, n) for n in range(WRITERS)))
            contacts = [row[0] for row in await crm.read(CONTACTS)]
            assert len(contacts) == WRITERS * 40
            async with asyncio.timeout(PATIENCE):
                while len(await crm.who(flow)) < len(contacts) or await crm.read(UNFINISHED):  # noqa: ASYNC110 (as in tests/test_worker.py)
                    await asyncio.sleep(0.05)
            assert {await crm.value(one, "jobtitle") for one in contacts} == {"x"}
            # A wake-up of another process comes through PostgreSQL itself: the worker's, when it has enrolled.
            heard: list[int] = []
            db.wake.listen(heard.append)
            await crm.create("contacts", {"city": "Boston"})
            async with asyncio.timeout(PATIENCE):
                while heard.count(crm.account) < 2:  # noqa: ASYNC110 (what is listened to is a list)
                    await asyncio.sleep(0.01)
            # Shared by several processes; and read by a cursor.
            people, back = tmp_path / "people.csv", tmp_path / "back.csv"
            people.write_text("email,lastname\n" + "".join(f"p{n}@x.example,P{n}\n" for n in range(IMPORTED)))
            given = ("-a", "demo", "--type", "contacts")
            await command(behind, database_url, "import", str(people), *given, "--key", "email")
            await command(behind, database_url, "export", str(back), *given, "-c", "email", "-c", "companies")
            assert len(back.read_text().splitlines()) == 1 + len(contacts) + 1 + IMPORTED


@needed(CARRYING)
async def test_statements_that_the_driver_does_not_keep_are_found_in_whatever_session(
    database_url: str,
) -> None:
    async with (
        pgbouncer(database_url, "transaction", max_prepared_statements=50) as behind,
        connect(behind, size=8, direct=database_url) as db,
    ):

        async def asks(n: int) -> None:
            for k in range(20):
                words = f"/* {'long ' * 4_000} */ SELECT $1::int + {n * 100 + k} FROM pg_sleep(0.002)"
                assert await db.pool.fetchval(words, 1) == 1 + n * 100 + k

        await asyncio.gather(*map(asks, range(8)))


CONTACTS = """
SELECT r.id FROM record AS r
       JOIN object_type AS t ON t.account_id = $1 AND t.id = r.object_type_id AND t.name = 'contacts'
 WHERE r.account_id = $1
"""
UNFINISHED = "SELECT 1 FROM enrollment AS e WHERE e.account_id = $1 AND e.status = 'ACTIVE' LIMIT 1"


async def writes(crm: Flows, n: int) -> None:
    """Contacts of a company, in four transactions."""
    acme = await crm.one("companies", name=f"Firm {n}")
    for k in range(4):
        made = await crm.create("contacts", *({"city": "Boston", "lastname": f"{n} {k}"} for _ in range(10)))
        await crm.associate(*((acme, one) for one in made))


async def command(behind: str, direct: str, *words: str) -> None:
    """A command that ends well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server.cli", *words),
        env=environment(behind, direct),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, told.decode()


def environment(behind: str, direct: str) -> dict[str, str]:
    """Of a process that is to go through the pooler."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELATA_")}
    return {**kept, "DATABASE_URL": behind, "RELATA_DIRECT_URL": direct, "RELATA_LOG_LEVEL": "error"}


@contextlib.asynccontextmanager
async def working(behind: str, direct: str) -> AsyncIterator[None]:
    """A worker, which ends well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server.cli", "work"), env=environment(behind, direct)
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
