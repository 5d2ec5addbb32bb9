"""Workflows from the change to the last step, beside the same steps as jobs: three actions over 100,000 records.

    python -m bench.workflows [--records 100000] [--jobs 8000] [--rounds 3] [--seconds 20] [--only PART] [--json FILE]

The workflow branches by a property, sets another one, and labels the associated company. Histories, diagnoses and
events are written. All contacts are enrolled by one `relata work`, in two ways: those who meet the trigger when the
workflow is turned on, and by changes that were written in batches of 500 while the worker was stopped. The clock runs
from the turning on, or from the worker's going on, until the last enrollment has come to its end and what its steps
changed is evaluated.

Beside it, in every round, on the same PostgreSQL, on tables of the same shape with the same records in them: the steps
as three jobs of pgqueuer, and as a DBOS workflow of three steps, a process each, with fewer records (rates compare; see
`bench/peers/queues`). Deciding who is enrolled, the enrolling and evaluators are left out there: enrollments and jobs
stand there when the clock begins. Each step is one statement that does all its reads and writes in one trip.

Then, with 20, 200 and 2,000 published workflows of which one concerns the probes: the time from a record's commit to
its enrollment at 50 changes a second, and the time a change takes in a backlog.

Processor time is the worker's and PostgreSQL's. Ratios are medians of the rounds' ratios.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.flows import BATCH, Flows, change, prop, three_actions, working
from bench.peers.queues import Peers
from bench.processes import cpu_seconds
from server.postgres import start
from storage.database import connect
from storage.migrate import migrate
from storage.wake import Notify

WAYS = ("turned on", "changes")
PEERS = {"pgqueuer": 1.0, "dbos": 0.1}
PUBLISHED = (20, 200, 2_000)
BACKLOG = 40_000


@dataclass(slots=True)
class Meter:
    """Processor time and time that enrolling takes; `postgres` is the server's process."""

    postgres: int

    async def run(self, pid: int, records: int, work: Callable[[], Awaitable[None]]) -> dict[str, float]:
        """Enrollments a second, and microseconds of processor time an enrollment."""
        used, began = cpu_seconds(pid), time.perf_counter()
        beside = cpu_seconds(self.postgres)
        await work()
        took = time.perf_counter() - began
        worker, server = cpu_seconds(pid) - used, cpu_seconds(self.postgres) - beside
        each = 1e6 / records
        return {"a second": records / took, "worker, us": worker * each, "PostgreSQL, us": server * each}


async def ours(flows: Flows, meter: Meter, url: str, way: str, n: int) -> dict[str, float]:
    """Enroll everybody in a workflow of its own."""
    name = f"{way} {n}"
    await flows.label(f"l{n}_{WAYS.index(way)}")
    anybody, marked = prop("score", "GREATER_THAN", value=-1), prop("state", "EQUALS", value=name)
    definition = three_actions(anybody if way == "turned on" else marked, name, f"l{n}_{WAYS.index(way)}")
    workflow_id = await flows.publish(name, definition)
    with working(url) as pid:
        # It is up, and has its plans.
        await flows.write_all(flows.contacts[:BATCH], {"state": "warm"})
        await asyncio.sleep(2)
        await flows.rest()
        if way == "changes":
            await flows.turn(workflow_id, True)
            await asyncio.sleep(0.5)
            os.kill(pid, signal.SIGSTOP)
            await flows.write_all(flows.contacts, {"state": name})

        async def work() -> None:
            if way == "changes":
                os.kill(pid, signal.SIGCONT)
            else:
                await flows.turn(workflow_id, True, existing=True)
            await flows.rest()

        found = await meter.run(pid, len(flows.contacts), work)
    assert await flows.completed(workflow_id) == len(flows.contacts)
    await flows.turn(workflow_id, False)
    return found


async def theirs(flows: Flows, peers: Peers, meter: Meter, peer: str, jobs: int) -> dict[str, float]:
    """The same steps as jobs; the process has worked on some before."""
    chance = random.Random(peers.rounds)
    warm, records = chance.sample(flows.contacts, 100), chance.sample(flows.contacts, jobs)
    with peers.working(peer) as pid:
        await peers.put(peer, warm)
        await peers.rest()
        os.kill(pid, signal.SIGSTOP)
        await peers.put(peer, records)

        async def work() -> None:
            os.kill(pid, signal.SIGCONT)
            await peers.rest()

        return await meter.run(pid, jobs, work)


async def published(flows: Flows, url: str, total: int, seconds: float) -> dict[str, float]:
    """With so many workflows on, all but one of which wait for values that nothing takes."""
    chance = random.Random(total)
    there = await flows.db.pool.fetchval("SELECT count(*) FROM workflow AS w WHERE w.enabled")
    for n in range(there, total - 1):
        trigger = prop("website" if n % 2 else "salutation", "EQUALS", value=f"nobody {n}")
        await flows.turn(await flows.publish(f"other {n}", three_actions(trigger, "x", "probe")), True)
    where = prop("jobtitle", "STARTS_WITH", values=[f"Probe of {total} "])
    probe = await flows.publish(f"probe {total}", three_actions(where, "done", "probe"))
    await flows.turn(probe, True)
    found: list[float] = []
    with working(url) as pid:
        await flows.write([change(flows.contacts, chance) for _ in range(BATCH)])
        await asyncio.sleep(3)
        await flows.rest()
        probes = chance.sample(flows.contacts, int(50 * seconds / 5) + 1)
        began, waiting = time.perf_counter(), []

        async def watch(record_id: int, committed: float) -> None:
            found.append(await flows.enrolled(probe, record_id) - committed)

        for n in range(int(50 * seconds)):
            await asyncio.sleep(max(0.0, began + n / 50 - time.perf_counter()))
            if n % 5:
                await flows.write([change(flows.contacts, chance)])
            else:
                committed = await flows.write([(probes[n // 5], {"jobtitle": f"Probe of {total} {n}"})])
                waiting.append(asyncio.create_task(watch(probes[n // 5], committed)))
        await asyncio.gather(*waiting)
        os.kill(pid, signal.SIGSTOP)
        for _ in range(0, BACKLOG, BATCH):
            await flows.write([change(flows.contacts, chance) for _ in range(BATCH)])
        used, began = cpu_seconds(pid), time.perf_counter()
        os.kill(pid, signal.SIGCONT)
        await flows.rest()
        took, worker = time.perf_counter() - began, cpu_seconds(pid) - used
    await flows.turn(probe, False)
    found.sort()
    return {
        "median, ms": statistics.median(found) * 1000,
        "p99, ms": found[int(len(found) * 0.99)] * 1000,
        "us a change": took / BACKLOG * 1e6,
        "worker's CPU, us a change": worker / BACKLOG * 1e6,
    }


async def measure(url: str, postgres: int, given: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    meter = Meter(postgres)
    results: dict[str, Any] = {"records": given.records, "rounds": [], "published": {}}
    async with Notify(url).running() as wake, connect(url, wake=wake) as db:
        flows = await Flows.build(db, "bench", given.records)
        if given.only != "published":
            peers = await Peers.prepare(given.data, url, flows.made)
            for n in range(given.rounds):
                one = {way: await ours(flows, meter, url, way, n) for way in WAYS}
                for peer, share in PEERS.items():
                    one[peer] = await theirs(flows, peers, meter, peer, int(given.jobs * share))
                results["rounds"].append(one)
        if given.only != "peers":
            await flows.label("probe")
            for total in PUBLISHED:
                results["published"][total] = await published(flows, url, total, given.seconds)
    return results


def show(results: dict[str, Any]) -> None:
    """The tables."""
    rounds = results["rounds"]
    if rounds:
        print(
            f"{'':10} {'enrollments/s':>14} {'worker, us':>11} {'PostgreSQL, us':>15}   turned on, changes against it"
        )
    for who in rounds[0] if rounds else ():
        figures = [statistics.median(one[who][name] for one in rounds) for name in rounds[0][who]]
        line = f"{who:10} {figures[0]:14,.0f} {figures[1]:11,.0f} {figures[2]:15,.0f}"
        for way in WAYS if who in PEERS else ():
            ratios = sorted(one[way]["a second"] / one[who]["a second"] for one in rounds)
            line += f"   {statistics.median(ratios):5.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        print(line)
    for total, row in results["published"].items():
        print(f"{total:6,} published: " + ", ".join(f"{name} {value:,.1f}" for name, value in row.items()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(".data/bench-workflows"))
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=8_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", choices=("peers", "published"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    shutil.rmtree(given.data / "postgres", ignore_errors=True)
    given.data.mkdir(parents=True, exist_ok=True)
    with start(given.data / "postgres") as server:
        url = server.url()
        asyncio.run(migrate(url))
        postgres = int(next(given.data.rglob("postmaster.pid")).read_text().split()[0])
        results = asyncio.run(measure(url, postgres, given))
    show(results)
    if given.json:
        about = {"cores": os.cpu_count(), "at": f"{datetime.now(UTC):%F}", "load": os.getloadavg()}
        given.json.write_text(json.dumps({**about, **results}, indent=1))


if __name__ == "__main__":
    main()
