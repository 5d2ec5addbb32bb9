"""Workflows to be measured: records to enroll, definitions, and one worker that does it all."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench import graph
from bench.graph import ACTOR, CITIES, Graph, Size
from engine import labels, records
from engine.batches import Mode
from engine.workflows import commands
from storage.database import Database

BATCH = 500
TITLES = ("Engineer", "Manager", "Director", "Assistant")
LETTERS = "ABCDEFGHIJKL"
# Anything that is not done: changes, walks, backfills, enrollments.
UNDONE = """
SELECT EXISTS (SELECT FROM change_queue AS q WHERE q.account_id = $1)
    OR EXISTS (SELECT FROM trigger_walk AS w WHERE w.account_id = $1)
    OR EXISTS (SELECT FROM workflow_backfill AS b WHERE b.account_id = $1)
    OR EXISTS (SELECT FROM enrollment AS e WHERE e.account_id = $1 AND e.status = 'ACTIVE')
"""
COMPLETED = """
SELECT count(*) FROM enrollment AS e WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.status = 'COMPLETED'
"""
ENROLLED = """
SELECT 1 FROM enrollment AS e WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.record_id = $3
"""


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def prop(name: str, operator: str, **more: Any) -> dict[str, Any]:
    """A filter of one property."""
    return {"property": {"name": name, "operator": operator, **more}}


def three_actions(trigger: dict[str, Any], value: str, label: str) -> dict[str, Any]:
    """Branch by a filter, set a property to another value either way, label the associated company."""
    high = prop("score", "GREATER_THAN", value=499)
    return {
        "triggers": [{"filterMet": {"where": trigger}}],
        "actions": [
            {
                "branch": {
                    "branches": [{"name": "high", "where": high, "actions": [_set(f"{value}, high")]}],
                    "otherwise": [_set(f"{value}, low")],
                }
            },
            {"applyLabel": {"to": "companies", "label": label}},
        ],
    }


def _set(value: str) -> dict[str, Any]:
    return {"setProperty": {"property": "jobtitle", "value": value}}


@dataclass(slots=True)
class Flows:
    """An account with contacts, one company each, in which workflows run."""

    db: Database
    made: Graph

    @classmethod
    async def build(cls, db: Database, name: str, contacts: int) -> "Flows":
        """Make it."""
        return cls(db, await graph.build(db, name, Size(contacts, max(contacts // 5, 10), 100, 1)))

    @property
    def contacts(self) -> Sequence[int]:
        """The contacts' ids."""
        return self.made.ids["contacts"]

    async def label(self, name: str) -> None:
        """A label from contacts to companies."""
        async with self.db.transaction(self.made.account_id, now=now(), actor=ACTOR, defining=True) as tx:
            await labels.create(tx, "contacts", "companies", label=name, name=name)

    async def publish(self, name: str, definition: dict[str, Any]) -> int:
        """A published workflow that is off."""
        async with self.db.transaction(self.made.account_id, now=now(), actor=ACTOR, defining=True) as tx:
            row = await commands.create(tx, name, "contacts", definition)
            await commands.publish(tx, row.id, row.draft_version)
            return row.id

    async def turn(self, workflow_id: int, on: bool, *, existing: bool = False) -> None:
        """Turn a workflow on or off."""
        async with self.db.transaction(self.made.account_id, now=now(), actor=ACTOR, defining=True) as tx:
            await commands.set_enabled(tx, workflow_id, on, enroll_existing=existing)

    async def write(self, changes: Sequence[tuple[int, dict[str, Any]]]) -> float:
        """Commit changes in one transaction; the moment when they were."""
        async with self.db.transaction(self.made.account_id, now=now(), actor=ACTOR) as tx:
            await records.update(tx, changes, Mode.PER_ITEM)
        return time.time()

    async def write_all(self, ids: Sequence[int], values: dict[str, Any]) -> None:
        """Give all of these records the same values, in batches."""
        for at in range(0, len(ids), BATCH):
            await self.write([(one, values) for one in ids[at : at + BATCH]])

    async def rest(self) -> None:
        """Until nothing is left to do."""
        async with self.db.read(self.made.account_id) as reader:
            while await reader.fetchval(UNDONE):  # noqa: ASYNC110 (the tables tell nobody)
                # The look itself is not free, where much was deleted.
                await asyncio.sleep(0.1)

    async def completed(self, workflow_id: int) -> int:
        """How many enrollments came to their end."""
        async with self.db.read(self.made.account_id) as reader:
            return int(await reader.fetchval(COMPLETED, workflow_id))

    async def enrolled(self, workflow_id: int, record_id: int) -> float:
        """The moment when a record is found to be enrolled."""
        async with self.db.read(self.made.account_id) as reader:
            while not await reader.fetchval(ENROLLED, workflow_id, record_id):  # noqa: ASYNC110 (as above)
                await asyncio.sleep(0.001)
        return time.time()


def change(contacts: Sequence[int], chance: random.Random) -> tuple[int, dict[str, Any]]:
    """A record and a new value of one of its properties."""
    name = chance.choice(("city", "jobtitle", "lastname"))
    values = {
        "city": chance.choice(CITIES),
        "jobtitle": chance.choice(TITLES),
        "lastname": f"{chance.choice(LETTERS)}-{chance.randrange(5_000)}",
    }
    return chance.choice(contacts), {name: values[name]}


@contextlib.contextmanager
def working(url: str) -> Iterator[int]:
    """One worker process; its process id."""
    environment = {**os.environ, "DATABASE_URL": url, "RELATA_LOG_LEVEL": "error"}
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "work"], env=environment, stdin=subprocess.DEVNULL
    )
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait(30)
