"""From a commit to subscribers: how long it takes, and how many deliveries a second one node makes.

    python -m bench.live [--database postgresql://…] [--seconds 5] [--loads light] [--json FILE]

A node (a process of `relata serve`) serves subscribers of `changes`, with a filter, whose selection reads the record.
A writer commits updates of records in a process of its own, as the API's own commands. Subscribers share a process that
notes when bytes came and reads them later, as the bare notification carries nothing that would have to be read. That
goes to one asyncpg connection that listens, in a process of its own, right behind a commit of the same kind: under
light load at a moment of its own (another account's record, of which nobody is told), else behind the same commit. All
measure from the commit, on one clock. What the subscribers heard is compared with what was written: each update once,
in order. `ratio` is the median beside that of the bare notification, which is one message to one connection, without a
look at any data.

Who listens has a processor of his own, where there are at least three, as if he were on another machine: else he is
woken on the node's processor, and waits there until the node is done with all others.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from bench.processes import listening_apart, serving
from bench.sockets import Listener, receive
from engine import accounts, keys, records
from engine.access import Role
from engine.batches import Mode
from storage.database import Actor, Database, connect
from storage.migrate import migrate
from storage.wake import Notify

PORT = 8_931
URL = f"http://127.0.0.1:{PORT}/graphql"
QUERY = """subscription { changes(objectType: "contacts", kinds: [RECORD_UPDATED], where:
    {property: {name: "city", operator: EQUALS, value: "Boston"}}) {
      cursor at kind recordId properties { property new } record { displayName property(name: "jobtitle") }
} }"""
BENCH = Actor("BENCH")
# Seconds from one commit to the next, and how many records each updates.
LOADS = {"light": (0.1, 1), "heavy": (0.0, 20)}
# Processes that listen. A message costs one of them half of what it costs the node; more of them are in its way.
LISTENERS = 1
# From so many seconds between commits on, bare notifications have moments of their own.
ALONE = 0.05
# Seconds without anything new after which all has come.
QUIET = 2.5


@dataclass(frozen=True, slots=True)
class Figure:
    """What one number of subscribers got under one load. Times in milliseconds, from the commit."""

    subscribers: int
    load: str
    commits_a_second: float
    p50_ms: float
    p99_ms: float
    raw_p50_ms: float
    raw_p99_ms: float
    ratio: float
    deliveries_a_second: float
    lost: int


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--database", default=os.environ.get("DATABASE_URL"), required=False)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--subscribers", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--loads", nargs="+", choices=list(LOADS), default=list(LOADS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not given.database:
        sys.exit("Name an empty database: --database, or DATABASE_URL.")
    figures = asyncio.run(measure(given.database, given.subscribers, given.loads, given.seconds))
    head = (
        "subscribers",
        "load",
        "commits/s",
        "p50 ms",
        "p99 ms",
        "raw p50",
        "raw p99",
        "ratio",
        "deliveries/s",
        "lost",
    )
    sys.stdout.write(" ".join(f"{name:>12}" for name in head) + "\n")
    for one in figures:
        row = [f"{value:.2f}" if isinstance(value, float) else str(value) for value in asdict(one).values()]
        sys.stdout.write(" ".join(f"{value:>12}" for value in row) + "\n")
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in figures], indent=2))


async def measure(url: str, subscribers: list[int], loads: list[str], seconds: float) -> list[Figure]:
    """All figures, one after the other."""
    await migrate(url)
    async with connect(url) as db:
        account_id = await accounts.create(db, f"bench {time.time_ns()}", now=datetime.now(UTC))
        async with db.transaction(account_id, now=datetime.now(UTC), actor=BENCH) as tx:
            _, key = await keys.create(tx, name="bench", role=Role.VIEWER)
    environment = {"DATABASE_URL": url, "RELATA_PORT": str(PORT), "RELATA_WORKERS": "0"}
    figures = []
    listening_apart(listens=False)
    command = [sys.executable, "-m", "server.cli", "serve"]
    with serving(command, environment, f"http://127.0.0.1:{PORT}/healthz", Path("/dev/null")):
        for n in subscribers:
            for load in loads:
                pause, batch = LOADS[load]
                # What 1,000 can be told of is less than what one can.
                beat = pause or max(0.01, n * batch / 25_000)
                figures.append(await one(url, account_id, key, n, load, beat, batch, seconds))
    return figures


async def one(
    url: str,
    account_id: int,
    key: str,
    n: int,
    load: str,
    pause: float,
    batch: int,
    seconds: float,
) -> Figure:
    """One number of subscribers under one load."""
    with listeners(key, n) as (ready, results), bare(url) as (listening, times_of_bare):
        for _ in range(min(n, LISTENERS)):
            await asyncio.to_thread(ready.get, True, 120)
        await asyncio.to_thread(listening.get, True, 120)
        sent = await write(url, account_id, pause, batch, seconds)
        raw: list[float] = await asyncio.to_thread(times_of_bare.get, True, 120)
        heard: list[list[tuple[int, float]]] = []
        for _ in range(min(n, LISTENERS)):
            heard += await asyncio.to_thread(results.get, True, 120)
    for one_heard in heard:
        numbers = [number for number, _ in one_heard]
        if numbers != sorted(set(numbers)):
            raise SystemExit("Updates were told twice, or not in order.")
    times = [(at - sent[number]) * 1000 for one_heard in heard for number, at in one_heard]
    span = max(at for one_heard in heard for _, at in one_heard) - min(sent.values())
    return Figure(
        n,
        load,
        len({at for at in sent.values()}) / seconds,
        *_percentiles(times),
        *_percentiles(raw),
        statistics.median(times) / statistics.median(raw),
        len(times) / span,
        len(sent) * n - len(times),
    )


def _percentiles(times: list[float]) -> tuple[float, float]:
    ordered = sorted(times)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)]


async def write(url: str, account_id: int, pause: float, batch: int, seconds: float) -> dict[int, float]:
    """Commit for a time: {number of the update: when it was committed}. See above for the bare notifications."""
    sent: dict[int, float] = {}
    notifying = await asyncpg.connect(url)
    async with Notify(url).running() as wake, connect(url, wake=wake) as db, connect(url) as silent:
        told = await Records.made(db, account_id, batch)
        other = await accounts.create(silent, f"bench {time.time_ns()}", now=datetime.now(UTC))
        untold = await Records.made(silent, other, batch)
        number, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            numbers = range(number + 1, number + batch + 1)
            number += batch
            sent |= dict.fromkeys(numbers, await told.update(numbers))
            if pause >= ALONE:
                await asyncio.sleep(pause / 2)
                await untold.update(numbers)
            await notifying.execute("SELECT pg_notify('bench', $1)", str(time.monotonic()))
            await asyncio.sleep(max(0.0, began + pause - time.monotonic()))
        await asyncio.sleep(3.0)
    await notifying.execute("SELECT pg_notify('bench', 'end')")
    await notifying.close()
    return sent


@dataclass(frozen=True, slots=True)
class Records:
    """Contacts that are updated together."""

    db: Database
    account_id: int
    ids: list[int]

    @classmethod
    async def made(cls, db: Database, account_id: int, count: int) -> "Records":
        """So many new ones."""
        async with db.transaction(account_id, now=datetime.now(UTC), actor=BENCH) as tx:
            contacts = tx.catalogue.by_name["contacts"]
            made = await records.create(tx, contacts, [{"city": "Boston"}] * count, Mode.ATOMIC)
        return cls(db, account_id, [outcome.value.id for outcome in made if outcome.value is not None])

    async def update(self, numbers: Iterable[int]) -> float:
        """Give each of them its number; when that was committed."""
        async with self.db.transaction(self.account_id, now=datetime.now(UTC), actor=BENCH) as tx:
            given = [(ident, {"jobtitle": str(n)}) for ident, n in zip(self.ids, numbers, strict=True)]
            await records.update(tx, given, Mode.ATOMIC)
        return time.monotonic()


@contextmanager
def listeners(key: str, n: int) -> Iterator[tuple[Any, Any]]:
    """Processes that hold `n` subscribers together; one queue says that they listen, the other what they heard."""
    ready: Any = multiprocessing.Queue()
    results: Any = multiprocessing.Queue()
    shares = [n // LISTENERS + (1 if i < n % LISTENERS else 0) for i in range(LISTENERS)]
    processes = [
        multiprocessing.Process(target=_listen, args=(key, share, ready, results))
        for share in shares
        if share
    ]
    for process in processes:
        process.start()
    yield ready, results
    for process in processes:
        process.join()


@contextmanager
def bare(url: str) -> Iterator[tuple[Any, Any]]:
    """A process with one connection that listens, as the subscribers have one."""
    ready: Any = multiprocessing.Queue()
    results: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=_bare, args=(url, ready, results))
    process.start()
    yield ready, results
    process.join()


def _bare(url: str, ready: Any, results: Any) -> None:
    listening_apart(listens=True)

    async def listen() -> list[float]:
        times: list[float] = []
        end = asyncio.Event()

        def told(_connection: Any, _pid: int, _channel: str, payload: Any) -> None:
            if payload == "end":
                end.set()
                return
            times.append((time.monotonic() - float(payload)) * 1000)

        connection = await asyncpg.connect(url)
        await connection.add_listener("bench", told)
        gc.freeze()
        gc.disable()
        ready.put(True)
        await end.wait()
        await connection.close()
        return times

    results.put(asyncio.run(listen()))


def _listen(key: str, n: int, ready: Any, results: Any) -> None:
    listening_apart(listens=True)
    sockets = [Listener(URL, key, QUERY) for _ in range(n)]
    time.sleep(2.0)
    # Whatever is there stays; a collection would be noted as a delay.
    gc.freeze()
    gc.disable()
    ready.put(True)
    receive(sockets, quiet=QUIET, every=15.0)
    for one in sockets:
        one.close()
    results.put(
        [
            [(int(change["new"]), at) for at, told in one.heard for change in told["changes"]["properties"]]
            for one in sockets
        ]
    )


if __name__ == "__main__":
    main()
