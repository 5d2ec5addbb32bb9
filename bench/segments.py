"""Active segments that follow changes, against evaluating them all again: 200 segments over 200,000 records.

    python -m bench.segments [--scale 1.0] [--segments 200] [--seconds 20] [--changes 20000] [--json FILE]

A third of the segments look at associated records, half of those two levels deep, through labels; the others are
mixed filters of properties. Changes are updates of one property each: 80 % contacts, 12 % companies, 8 % deals, as
many of each property as it comes; a company has 15 contacts, and a deal leads to 30. Measured:

- first fill of all segments;
- evaluating every segment from scratch (SQL, whole tables, nothing written): what a change would cost without an
  inverted index;
- 50 changes a second, each a transaction of its own: from its commit until its membership is committed;
- a backlog of changes, written in batches of 500, worked off by one worker: what it sustains, and its time a change;
- batches at 2,000 changes a second with one worker following: how far it is behind when they end.

The worker is one `relata work`. At the end all members are compared with a fresh evaluation.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import graph
from bench.graph import ACTOR, CITIES, INDUSTRIES, STAGES, Graph, Size
from bench.processes import cpu_seconds
from engine import filters, records
from engine.batches import Mode
from engine.evaluation import run as evaluate
from engine.segments import commands, fill
from server.postgres import start
from storage import segments as stored
from storage.database import Database, connect
from storage.filters import facts
from storage.migrate import migrate
from storage.wake import Notify

TITLES = ("Engineer", "Manager", "Director", "Assistant")
LETTERS = "ABCDEFGHIJKL"
BATCH = 500
PAGE = 20_000


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def prop(name: str, operator: str, **more: Any) -> dict[str, Any]:
    """A filter of one property."""
    return {"property": {"name": name, "operator": operator, **more}}


def any_of(to: str, where: dict[str, Any], *labels: str) -> dict[str, Any]:
    """A filter of associated records."""
    return {"associated": {"to": to, "where": where, **({"labels": list(labels)} if labels else {})}}


def definitions(n: int, chance: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Object types and filters of `n` segments; every third is about associated records."""
    return [_associated(k // 3, chance) if k % 3 == 0 else _plain(k, chance) for k in range(n)]


def _associated(k: int, chance: random.Random) -> tuple[str, dict[str, Any]]:
    city, industry, stage = chance.choice(CITIES), chance.choice(INDUSTRIES), chance.choice(STAGES)
    label = chance.choice(("decision_maker", "billing_contact"))
    if k % 2 == 0:
        company = {"and": [prop("industry", "EQUALS", value=industry), prop("city", "EQUALS", value=city)]}
        return "contacts", {
            "and": [
                any_of("companies", company, label),
                prop("jobtitle", "EQUALS", value=chance.choice(TITLES)),
            ]
        }
    deal = {
        "and": [
            prop("stage", "EQUALS", value=stage),
            prop("amount", "GREATER_THAN", value=chance.randrange(500_000, 950_000)),
        ]
    }
    company = {"and": [any_of("deals", deal, "buyer"), prop("industry", "EQUALS", value=industry)]}
    return "contacts", {"and": [any_of("companies", company, label), prop("city", "NOT_EQUALS", value=city)]}


def _plain(k: int, chance: random.Random) -> tuple[str, dict[str, Any]]:
    city = prop("city", "ANY_OF", values=chance.sample(CITIES, 2))
    match k % 5:
        case 0:
            return "companies", {
                "and": [city, prop("annualrevenue", "GREATER_THAN", value=chance.randrange(10**7, 10**8))]
            }
        case 1:
            low = chance.randrange(0, 900_000)
            between = prop("amount", "BETWEEN", values=[low, low + 50_000])
            return "deals", {"and": [prop("stage", "EQUALS", value=chance.choice(STAGES)), between]}
        case 2:
            return "contacts", {
                "and": [city, {"not": prop("jobtitle", "EQUALS", value=chance.choice(TITLES))}]
            }
        case 3:
            name = prop("lastname", "STARTS_WITH", values=[chance.choice(LETTERS)])
            return "contacts", {"or": [{"and": [name, city]}, prop("email", "UNKNOWN")]}
        case _:
            return "contacts", {"and": [city, prop("jobtitle", "EQUALS", value=chance.choice(TITLES))]}


def change(made: Graph, chance: random.Random) -> tuple[int, dict[str, Any]]:
    """A record and a new value of one of its properties."""
    roll = chance.random()
    if roll < 0.8:
        name = chance.choice(("city", "jobtitle", "lastname"))
        values: dict[str, Any] = {
            "city": chance.choice(CITIES),
            "jobtitle": chance.choice(TITLES),
            "lastname": f"{chance.choice(LETTERS)}-{chance.randrange(5_000)}",
        }
        return chance.choice(made.ids["contacts"]), {name: values[name]}
    if roll < 0.92:
        name = chance.choice(("city", "industry", "annualrevenue"))
        values = {
            "city": chance.choice(CITIES),
            "industry": chance.choice(INDUSTRIES),
            "annualrevenue": chance.randrange(10_000, 100_000_000),
        }
        return chance.choice(made.ids["companies"]), {name: values[name]}
    name = chance.choice(("stage", "amount"))
    return chance.choice(made.ids["deals"]), {
        name: chance.choice(STAGES) if name == "stage" else chance.randrange(100, 1_000_000)
    }


@dataclass(slots=True)
class Bench:
    """A graph with its segments."""

    db: Database
    made: Graph

    async def define(self, n: int) -> float:
        """Make the segments, fill them; seconds that the filling took."""
        for k, (object_type, where) in enumerate(definitions(n, random.Random(3))):
            async with self.db.transaction(self.made.account_id, now=now(), actor=ACTOR, defining=True) as tx:
                await commands.create(tx, f"Segment {k}", object_type, "ACTIVE", where)
        began = time.perf_counter()
        await fill.run_all(self.db, now=now())
        took = time.perf_counter() - began
        for table in ("segment_member", "segment_history", "segment_ref", "segment_tally", "segment"):
            await self.db.pool.execute(f"VACUUM ANALYZE {table}")
        return took

    async def afresh(self) -> tuple[float, dict[int, set[int]]]:
        """Evaluate every segment from scratch: seconds, and who meets it."""
        catalogue = await self.db.catalogue(self.made.account_id)
        found: dict[int, set[int]] = {}
        began = time.perf_counter()
        async with self.db.read(self.made.account_id) as reader:
            for segment_id, where in (await stored.definitions(reader, list(catalogue.segments))).items():
                object_type = catalogue.object_types[catalogue.segments[segment_id].object_type_id]
                bound = filters.bind(where, object_type, catalogue)
                ids = self.made.ids[object_type.name]
                met: set[int] = set()
                for at in range(0, len(ids), PAGE):
                    met |= await facts.met(reader, bound, object_type.id, ids[at : at + PAGE], now=now())
                found[segment_id] = met
        return time.perf_counter() - began, found

    async def compare(self) -> None:
        """Fail unless all members are who meets the filters now."""
        _, found = await self.afresh()
        async with self.db.read(self.made.account_id) as reader:
            rows = await reader.fetch(
                "SELECT m.segment_id, array_agg(m.record_id) AS ids FROM segment_member AS m"
                " WHERE m.account_id = $1 GROUP BY m.segment_id"
            )
        members = {row["segment_id"]: set(row["ids"]) for row in rows}
        wrong = [one for one, met in found.items() if members.get(one, set()) != met]
        assert not wrong, f"segments that are not what their filters say: {wrong}"

    async def write(self, changes: Sequence[tuple[int, dict[str, Any]]]) -> float:
        """Commit changes in one transaction; the moment when they were."""
        async with self.db.transaction(self.made.account_id, now=now(), actor=ACTOR) as tx:
            await records.update(tx, changes, Mode.PER_ITEM)
        return time.time()

    async def waits(self) -> bool:
        """Whether anything is left to evaluate."""
        return bool(await evaluate.waiting(self.db, now()))

    async def rest(self) -> None:
        """Until nothing is."""
        while await self.waits():  # noqa: ASYNC110 (the tables tell nobody)
            await asyncio.sleep(0.02)

    async def latency(self, rate: float, seconds: float) -> list[float]:
        """Seconds from the commit of a change that must move its record to the commit of its membership.

        Every tenth change is a probe: a contact whose job title becomes one that a segment of its own waits for.
        """
        async with self.db.transaction(self.made.account_id, now=now(), actor=ACTOR, defining=True) as tx:
            where = prop("jobtitle", "STARTS_WITH", values=["Probe"])
            probe = await commands.create(tx, "Probe", "contacts", "ACTIVE", where)
        await self.rest()
        chance, found = random.Random(9), []
        probes = chance.sample(self.made.ids["contacts"], int(rate * seconds / 10) + 1)
        began, waiting = time.perf_counter(), []

        async def watch(record_id: int, committed: float) -> None:
            async with self.db.read(self.made.account_id) as reader:
                while not await reader.fetchval(  # noqa: ASYNC110 (the tables tell nobody)
                    "SELECT 1 FROM segment_member AS m"
                    " WHERE m.account_id = $1 AND m.segment_id = $2 AND m.record_id = $3",
                    probe.id,
                    record_id,
                ):
                    await asyncio.sleep(0.001)
            found.append(time.time() - committed)

        for n in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
            if n % 10:
                await self.write([change(self.made, chance)])
            else:
                record_id = probes[n // 10]
                committed = await self.write([(record_id, {"jobtitle": f"Probe {n}"})])
                waiting.append(asyncio.create_task(watch(record_id, committed)))
        await asyncio.gather(*waiting)
        return found

    async def queue(self, total: int) -> float:
        """Commit `total` changes in batches; seconds that writing took."""
        chance, began = random.Random(11), time.perf_counter()
        for _ in range(0, total, BATCH):
            await self.write([change(self.made, chance) for _ in range(BATCH)])
        return time.perf_counter() - began


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
        process.terminate()
        process.wait(30)


async def paced(bench: Bench, rate: float, seconds: float) -> float:
    """Write batches at a rate; seconds from the last commit until everything is evaluated."""
    chance, batch, began = random.Random(13), 200, time.perf_counter()
    for n in range(int(rate * seconds / batch)):
        await asyncio.sleep(max(0.0, began + n * batch / rate - time.perf_counter()))
        await bench.write([change(bench.made, chance) for _ in range(batch)])
    late = time.perf_counter()
    await bench.rest()
    return time.perf_counter() - late


async def measure(url: str, given: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    async with Notify(url).running() as wake, connect(url, wake=wake) as db:
        made = await graph.build(db, "bench", Size(117_600, 23_500, 58_900).scaled(given.scale))
        bench = Bench(db, made)
        results: dict[str, Any] = {
            "records": sum(len(ids) for ids in made.ids.values()),
            "segments": given.segments,
        }
        results["first fill, s"] = await bench.define(given.segments)
        full, found = await bench.afresh()
        results["members"] = sum(len(met) for met in found.values())
        results["full re-evaluation, s"] = full
        with working(url) as pid:
            await asyncio.sleep(2)
            times = sorted(await bench.latency(50, given.seconds))
        results["latency at 50/s, median, ms"] = statistics.median(times) * 1000
        results["latency at 50/s, p99, ms"] = times[int(len(times) * 0.99)] * 1000
        with working(url) as pid:
            # It is up, and has its plans.
            await bench.queue(BATCH)
            await asyncio.sleep(3)
            await bench.rest()
            os.kill(pid, signal.SIGSTOP)
            results["writing alone, changes/s"] = given.changes / await bench.queue(given.changes)
            used, began = cpu_seconds(pid), time.perf_counter()
            os.kill(pid, signal.SIGCONT)
            await bench.rest()
            took = time.perf_counter() - began
            results["one worker, changes/s"] = given.changes / took
            results["one worker's CPU a change, ms"] = (cpu_seconds(pid) - used) / given.changes * 1000
            results["behind after 2,000/s, s"] = await paced(bench, 2_000, given.seconds)
        results["times cheaper a change"] = full / (took / given.changes)
        await bench.compare()
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(".data/bench-segments"))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--segments", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    shutil.rmtree(given.data, ignore_errors=True)
    given.data.mkdir(parents=True)
    with start(given.data / "postgres") as server:
        url = server.url()
        asyncio.run(migrate(url))
        results = asyncio.run(measure(url, given))
    for name, value in results.items():
        sys.stdout.write(f"{name:32} {value:>14,.1f}\n")
    if given.json:
        given.json.write_text(json.dumps({"cores": os.cpu_count(), "at": f"{now():%F}", **results}, indent=1))


if __name__ == "__main__":
    main()
