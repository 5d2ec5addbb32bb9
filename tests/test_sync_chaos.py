"""A sync over real processes: workers killed while both sides of it are edited, and the other app cut off.

RELATA_CHAOS_ROUNDS=200 makes it long (a round is some edits and a blow), RELATA_CHAOS_SEED another story.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from engine.sync import commands, connections, credentials
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault
from storage.database import Database
from tests.crm import crm
from tests.gate import Gate
from tests.kinto import COMPANIES, CONTACTS, Kinto, serving
from tests.kinto_edits import FIRMS, PEOPLE, Both
from tests.sync_real import Real

ROUNDS = int(os.environ.get("RELATA_CHAOS_ROUNDS", "5"))
SEED = int(os.environ.get("RELATA_CHAOS_SEED", "7"))
WORKERS, EDITS = 2, 16
# Nothing here measures time.
PATIENCE = 180.0
OPTIONS = {"deletes": "BOTH", "deleteShare": 1.0, "paceSeconds": 1}


@pytest.fixture
def kinto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kinto]:
    with serving(tmp_path_factory.mktemp("kinto")) as server:
        server.empty(contacts=CONTACTS, companies=COMPANIES)
        yield server


@pytest.fixture
def gate(kinto: Kinto) -> Iterator[Gate]:
    passing = Gate(kinto.port)
    yield passing
    passing.close()


@contextlib.asynccontextmanager
async def working(url: str, key: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Worker processes, which end in peace."""
    workers = [await begin(url, key) for _ in range(WORKERS)]
    try:
        yield workers
    finally:
        for process in workers:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(asyncio.wait_for(process.wait(), PATIENCE) for process in workers))


async def begin(url: str, key: str) -> asyncio.subprocess.Process:
    """A worker process that knows how to open the connection."""
    given = {"DATABASE_URL": url, "RELATA_SECRET_KEY": key, "RELATA_SYNC_ALLOW_PRIVATE": "on"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server.cli",
        "work",
        env={**os.environ, **given, "RELATA_LOG_LEVEL": "error"},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def connected(db: Database, kinto: Kinto, port: int, key: str) -> Real:
    """An account whose people and firms are kept in sync with Kinto's, begun as the API does it."""
    it = await crm(db)
    it.now = datetime.now(UTC)
    entered = connections.entered("kinto", kinto.settings(port))
    described = await connections.look(entered, Surroundings(allow_private=True))
    async with db.transaction(it.account, now=it.now, actor=it.actor) as tx:
        made = await connections.create(tx, Vault(lambda _making: [key]), "Kinto", entered, described)
    rig = Real(it, cast(Any, None), made.id)
    for name, fields in (("companies", FIRMS), ("contacts", PEOPLE)):
        document: dict[str, Any] = {
            "direction": "BOTH",
            "policy": "THEIRS",
            "options": OPTIONS,
            "mappings": [{"property": one, "field": other} for one, other in fields.items()],
        }
        async with db.transaction(it.account, now=it.now, actor=it.actor) as tx:
            rig.syncs.append((await commands.create(tx, made.id, name, name, document)).id)
    for sync_id in rig.syncs:
        async with db.transaction(it.account, now=it.now, actor=it.actor) as tx:
            await commands.start(tx, sync_id)
    return rig


async def at_rest(sides: Both) -> None:
    """Wait until both sides hold the same but for what is left to a person, and go on holding it."""
    deadline = time.monotonic() + PATIENCE
    since, last = time.monotonic(), None
    while True:
        seen = await sides.ours(), await sides.theirs(), sides.kinto.records("contacts")
        if seen[0] != seen[1] or seen != last or await sides.unexplained():
            since, last = time.monotonic(), seen
        elif time.monotonic() - since > 4:
            return
        assert time.monotonic() < deadline, f"no rest: {seen[0]} {seen[1]} {await sides.unexplained()}"
        await asyncio.sleep(0.25)


@pytest.mark.slow
async def test_killed_workers_lose_nothing_and_double_nothing(
    db: Database, database_url: str, kinto: Kinto, gate: Gate
) -> None:
    dice, key = random.Random(SEED), credentials.new_key()
    it = await connected(db, kinto, gate.port, key)
    sides = Both(it, kinto, dice)
    async with working(database_url, key) as workers:
        for _ in range(ROUNDS):
            for _ in range(EDITS):
                it.crm.now = datetime.now(UTC)
                await sides.edit()
                await asyncio.sleep(dice.random() / 20)
            if dice.random() < 0.8:
                victim = dice.randrange(WORKERS)
                workers[victim].send_signal(signal.SIGKILL)
                await workers[victim].wait()
                workers[victim] = await begin(database_url, key)
            else:
                gate.shut()
                await asyncio.sleep(dice.random())
                gate.open()
        await at_rest(sides)

    people = [one["email"] for one in kinto.records("contacts").values()]
    assert len(set(people)) == len(people)
    firms = [one["name"] for one in kinto.records("companies").values()]
    assert len(set(firms)) == len(firms)
    assert (await sides.ours())[0], "something is left to agree on"
