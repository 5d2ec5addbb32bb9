"""From a change on one Relata to the same value on another: two servers with a worker each, one connected."""

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx

from bench.graph import ACTOR
from bench.processes import serving
from bench.sync_ours import connected, now, opened, rest
from engine import accounts, ids, keys, records
from engine.access import Role
from engine.batches import Mode
from engine.sync import commands
from engine.sync.credentials import new_key
from storage.migrate import migrate

PORT = 8_941
RECORDS = 1_000
CHANGE = """mutation ($id: ID!, $title: String!) {
  updateRecords(input: {records: [{id: $id, properties: {jobtitle: $title}}]}) {
    results { record { id } userErrors { message } }
  }
}"""
VALUES = """
SELECT r.id, r.properties ->> 'jobtitle' AS title FROM record AS r WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])
"""
LINKS = "SELECT l.record_id, l.external_id FROM sync_link AS l WHERE l.account_id = $1 AND l.sync_id = $2"
# How often the other side's table is looked at, and how long a change is waited for.
LOOK_SECONDS, LONGEST = 0.005, 60.0


@dataclass(slots=True)
class Side:
    """One Relata: where it is, its account and a key, and its contacts in the order of their numbers."""

    port: int
    url: str
    account: int
    key: str
    records: list[int] = field(default_factory=list)
    # {record: (value that is waited for, since when)}
    awaited: dict[int, tuple[str, float]] = field(default_factory=dict)
    found: list[float] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}/graphql"


async def latency(given: argparse.Namespace, url: Callable[[str], str]) -> dict[str, dict[str, float]]:
    """Both ways at once."""
    admin = await asyncpg.connect(url("postgres"))
    for name in ("here", "there"):
        await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    here, there = [await _side(url(name), PORT + n) for n, name in enumerate(("here", "there"))]
    environment = {
        "RELATA_SECRET_KEY": new_key(),
        "RELATA_SYNC_ALLOW_PRIVATE": "on",
        "RELATA_LOG_LEVEL": "error",
    }
    with contextlib.ExitStack() as stack:
        for one in (here, there):
            own = {
                **environment,
                "DATABASE_URL": one.url,
                "RELATA_PORT": str(one.port),
                "RELATA_WORKERS": "1",
            }
            command = [sys.executable, "-m", "server.cli", "serve"]
            log = given.data / f"{one.port}.log"
            stack.enter_context(serving(command, own, f"http://127.0.0.1:{one.port}/healthz", Path(log)))
        await _linked(here, there, environment["RELATA_SECRET_KEY"])
        await _run(here, there, given.changes, given.rate)
    return {"here to there": _figures(there), "there to here": _figures(here)}


async def _side(url: str, port: int) -> Side:
    await migrate(url)
    async with opened(url) as db:
        account = await accounts.create(db, "bench", now=now())
        async with db.transaction(account, now=now(), actor=ACTOR) as tx:
            _, key = await keys.create(tx, name="bench", role=Role.SUPER_ADMIN)
    return Side(port, url, account, key)


async def _linked(here: Side, there: Side, secret: str) -> None:
    """Contacts of one, synced to the other, and the two live."""
    async with opened(here.url) as db:
        given = [{"email": f"person{n}@example.com", "lastname": f"Person {n}"} for n in range(RECORDS)]
        async with db.transaction(here.account, now=now(), actor=ACTOR) as tx:
            made = await records.create(tx, tx.catalogue.by_name["contacts"], given, Mode.ATOMIC)
        here.records = [one.value.id for one in made if one.value is not None]
        settings = {"url": there.address, "key": there.key}
        sync_id = await connected(db, here.account, secret, "relata", settings, "contacts", {})
        async with db.transaction(here.account, now=now(), actor=ACTOR) as tx:
            await commands.start(tx, sync_id)
        await rest(db, here.account, sync_id)
        async with db.read(here.account) as reader:
            far = {
                row["record_id"]: ids.decode("record", row["external_id"])
                for row in await reader.fetch(LINKS, sync_id)
            }
        there.records = [far[one] for one in here.records]
    # The stream of hints is open, plans are made.
    await asyncio.sleep(5.0)


async def _run(here: Side, there: Side, changes: int, rate: float) -> None:
    """Change the first half of the contacts here and the other half there, each another one."""
    chance = random.Random(7)
    numbers = list(range(RECORDS))
    chance.shuffle(numbers)
    looking = [asyncio.create_task(_look(one)) for one in (here, there)]
    async with httpx.AsyncClient(timeout=30.0) as client:
        sending = [
            asyncio.create_task(_change(client, near, far, numbers[n::2], changes, rate))
            for n, (near, far) in enumerate(((here, there), (there, here)))
        ]
        await asyncio.gather(*sending)
    until = time.monotonic() + LONGEST
    while (here.awaited or there.awaited) and time.monotonic() < until:  # noqa: ASYNC110 (as below)
        await asyncio.sleep(0.1)
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)
    # What has not come is as late as was waited.
    for one in (here, there):
        one.found += [time.monotonic() - since for _, since in one.awaited.values()]


async def _change(
    client: httpx.AsyncClient, near: Side, far: Side, numbers: list[int], changes: int, rate: float
) -> None:
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {near.key}"}
    for n in range(changes):
        await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
        number = numbers[n % len(numbers)]
        title = f"Title {n}"
        variables = {"id": ids.encode("record", near.records[number]), "title": title}
        far.awaited[far.records[number]] = title, time.monotonic()
        answer = await client.post(
            near.address, json={"query": CHANGE, "variables": variables}, headers=headers
        )
        assert answer.json()["data"]["updateRecords"]["results"][0]["record"], answer.text


async def _look(side: Side) -> None:
    connection = await asyncpg.connect(side.url)
    try:
        while True:
            if side.awaited:
                for row in await connection.fetch(VALUES, side.account, list(side.awaited)):
                    wanted, since = side.awaited[row["id"]]
                    if row["title"] == wanted:
                        side.found.append(time.monotonic() - since)
                        del side.awaited[row["id"]]
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()


def _figures(side: Side) -> dict[str, float]:
    times = sorted(one * 1000 for one in side.found)
    return {
        "changes": len(times),
        "median, ms": statistics.median(times),
        "p99, ms": times[int(len(times) * 0.99)],
        "worst, ms": times[-1],
    }
