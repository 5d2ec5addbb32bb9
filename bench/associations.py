"""Associating, against plain inserts of the same rows: 8 writers, batches of 1 and of 1,000, 8 accounts and one.

    python -m bench.associations [--rounds 5] [--seconds 3] [--records 240000] [--json FILE]

Ours is the command behind the mutation: records looked up and held, a limit in force both ways, both directions,
counters, the moment of the last association change, the queue for the evaluators, an event each, all in one durable
transaction a batch. Plain is an `unnest` insert of the same rows (contact and deal, unlabelled and labelled, both
directions: four a pair) into a table with the same columns and the same primary key, with the same driver, the same
processes and also one transaction a batch. Each writer is a process with one connection. Rounds are interleaved;
ratios are medians of the rounds' ratios.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import random
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from engine import accounts, associations, labels
from engine.associations import Pair
from engine.batches import Mode
from server.postgres import start
from storage.database import Actor, Database, Transaction, connect
from storage.migrate import migrate

WRITERS = 8
BATCHES = (1, 1_000)
SPREADS = (8, 1)
ROWS_A_PAIR = 4
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACTOR = Actor("BENCH")
LABEL, LIMIT = "decision_maker", 1_000_000

PLAIN_TABLE = """
CREATE TABLE plain_association (LIKE association, PRIMARY KEY (account_id, from_id, to_object_type_id, to_id, type_id))
"""
PLAIN = """
INSERT INTO plain_association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source, source_id,
                               user_id)
SELECT $1, e.from_id, e.to_object_type_id, e.to_id, e.type_id, $6, $7, $8, $9
  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
       AS e(from_id, to_object_type_id, to_id, type_id)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """An account with its records, and the types of the rows of a pair: (from contact to deal, back), plain first."""

    account_id: int
    contacts: range
    deals: range
    contact_type: int
    deal_type: int
    types: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What a writer is to do for `seconds` from `begin` (monotonic) on. `side`: "ours" or "plain"."""

    side: str
    place: Place
    batch: int
    begin: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """Pairs that a writer wrote, and how long it took from the order's beginning."""

    pairs: int
    seconds: float


async def prepare(url: str, records: int) -> dict[int, list[Place]]:
    """By number of accounts, the accounts of the eight writers; `records` in all for each number."""
    await migrate(url)
    async with connect(url) as db:
        places = {
            spread: [await _account(db, f"bench-{spread}-{n}", records // spread) for n in range(spread)]
            for spread in SPREADS
        }
        await db.pool.execute(PLAIN_TABLE)
        for table in ("record", "association", "association_count", "plain_association"):
            await db.pool.execute(f"VACUUM ANALYZE {table}")
    return places


async def _account(db: Database, name: str, records: int) -> Place:
    account_id = await accounts.create(db, name, now=NOW)
    async with db.transaction(account_id, now=NOW, actor=ACTOR, defining=True) as tx:
        await labels.create(
            tx,
            "contacts",
            "deals",
            label="Decision maker",
            name=LABEL,
            inverse_label="Decided by",
            max_count=LIMIT,
            inverse_max_count=LIMIT,
        )
    async with db.transaction(account_id, now=NOW, actor=ACTOR) as tx:
        half = records // 2
        first = (await tx.new_ids(2 * half))[0]
        contact, deal = (tx.catalogue.by_name[name] for name in ("contacts", "deals"))
        await _records(tx, contact.id, range(first, first + half), _contact)
        await _records(tx, deal.id, range(first + half, first + 2 * half), _deal)
        plain, label = (
            tx.catalogue.unlabelled(contact.id, deal.id),
            tx.catalogue.label(contact.id, deal.id, LABEL),
        )
        assert label is not None
        return Place(
            account_id,
            range(first, first + half),
            range(first + half, first + 2 * half),
            contact.id,
            deal.id,
            ((plain.id, plain.inverse_id), (label.id, label.inverse_id)),
        )


async def _records(
    tx: Transaction, object_type_id: int, ids: range, properties: Callable[[int], dict[str, Any]]
) -> None:
    columns = ("id", "object_type_id", "properties", "created_at", "updated_at")
    await tx.copy(
        "record",
        (*columns, "created_source", "updated_source"),
        [(number, object_type_id, properties(number), NOW, NOW, "BENCH", "BENCH") for number in ids],
    )


def _contact(n: int) -> dict[str, Any]:
    return {"firstname": "Ann", "lastname": f"Costa-{n}", "email": f"person{n}@example.com", "city": "Lima"}


def _deal(n: int) -> dict[str, Any]:
    return {"name": f"Deal {n}", "amount": n, "stage": "contract_sent"}


def fresh_pairs(place: Place, writer: int, side: str) -> Iterator[tuple[int, int]]:
    """Random pairs of a contact and a deal, none twice; no two writers have the same."""
    chance = random.Random(f"{writer} {side}")
    used: set[tuple[int, int]] = set()
    contacts, deals = len(place.contacts), len(place.deals) // WRITERS
    while True:
        pair = (
            place.contacts[chance.randrange(contacts)],
            place.deals[chance.randrange(deals) * WRITERS + writer],
        )
        if pair not in used:
            used.add(pair)
            yield pair


class Writer:
    """One process with one connection; it carries out orders until there are no more."""

    def __init__(self, number: int, db: Database) -> None:
        self.number = number
        self.db = db
        self._pairs: dict[tuple[int, str], Iterator[tuple[int, int]]] = {}

    async def carry_out(self, order: Order) -> Done:
        """Write batches until the time is up; one that was begun is ended, and its time counts."""
        key = (order.place.account_id, order.side)
        pairs = self._pairs.setdefault(key, fresh_pairs(order.place, self.number, order.side))
        write: Callable[[Place, list[tuple[int, int]]], Awaitable[None]]
        write = self._associate if order.side == "ours" else self._insert
        await asyncio.sleep(max(order.begin - time.monotonic(), 0))
        done = 0
        while time.monotonic() < order.begin + order.seconds:
            batch = [next(pairs) for _ in range(order.batch)]
            await write(order.place, batch)
            done += order.batch
        return Done(done, time.monotonic() - order.begin)

    async def _associate(self, place: Place, batch: list[tuple[int, int]]) -> None:
        asked = [Pair(contact, deal, (LABEL,)) for contact, deal in batch]
        ends = [end for pair in batch for end in pair]
        async with self.db.transaction(
            place.account_id, now=datetime.now(UTC), actor=ACTOR, holding=ends
        ) as tx:
            outcomes = await associations.associate(tx, asked, Mode.PER_ITEM)
        if not all(outcome.value is not None and len(outcome.value.added) == 2 for outcome in outcomes):
            raise SystemExit("a pair was refused, or was there already")

    async def _insert(self, place: Place, batch: list[tuple[int, int]]) -> None:
        rows = [
            row
            for contact, deal in batch
            for there, back in place.types
            for row in (
                (contact, place.deal_type, deal, there),
                (deal, place.contact_type, contact, back),
            )
        ]
        async with self.db.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                PLAIN,
                place.account_id,
                *zip(*rows, strict=True),
                datetime.now(UTC),
                ACTOR.source,
                ACTOR.source_id,
                ACTOR.user_id,
            )


def work(number: int, url: str, orders: "Connection[Done, Order | None]") -> None:
    """A writer's process."""

    async def run() -> None:
        async with connect(url, size=1) as db:
            writer = Writer(number, db)
            # As a server does once it has loaded everything.
            gc.collect()
            gc.freeze()
            while (order := await asyncio.to_thread(orders.recv)) is not None:
                orders.send(await writer.carry_out(order))

    # The event loop that the server runs on.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


class Writers:
    """Eight processes that write together."""

    def __init__(self, url: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ends = []
        self._processes = []
        for number in range(WRITERS):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=work, args=(number, url, theirs), daemon=True)
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)

    def per_second(self, side: str, places: list[Place], batch: int, seconds: float) -> float:
        """Pairs a second of all writers, each in the account that falls to it."""
        begin = time.monotonic() + 0.2
        for number, end in enumerate(self._ends):
            end.send(Order(side, places[number % len(places)], batch, begin, seconds))
        finished: list[Done] = [end.recv() for end in self._ends]
        return sum(done.pairs / done.seconds for done in finished)

    def close(self) -> None:
        """Send them home."""
        for end in self._ends:
            end.send(None)
        for process in self._processes:
            process.join()


def measure(writers: Writers, places: dict[int, list[Place]], rounds: int, seconds: float) -> dict[str, Any]:
    """Every case, interleaved, after one round that is not counted."""
    cases = [(spread, batch) for batch in BATCHES for spread in SPREADS]
    found: dict[tuple[int, int], list[tuple[float, float]]] = {case: [] for case in cases}
    for n in range(rounds + 1):
        for case in cases:
            spread, batch = case
            ours = writers.per_second("ours", places[spread], batch, seconds)
            plain = writers.per_second("plain", places[spread], batch, seconds)
            if n:
                found[case].append((ours, plain))
    return {
        f"{spread} account{'s' * (spread > 1)}, batches of {batch}": {
            "ours": round(statistics.median(ours for ours, _ in runs)),
            "plain": round(statistics.median(plain for _, plain in runs)),
            "ratio": round(statistics.median(ours / plain for ours, plain in runs), 3),
            "ratios": [round(ours / plain, 3) for ours, plain in runs],
        }
        for (spread, batch), runs in found.items()
    }


def show(results: dict[str, Any]) -> None:
    """The table."""
    print(f"{WRITERS} writers, pairs a second ({ROWS_A_PAIR} association rows each)")
    for name, row in results.items():
        print(
            f"  {name:28} ours {row['ours']:8,}   plain {row['plain']:8,}   ratio {row['ratio']:.2f}"
            f"   ({min(row['ratios']):.2f} to {max(row['ratios']):.2f})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(".data/bench-associations"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--records", type=int, default=240_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    # Tables that grew in an earlier run would be compared with ones that did not.
    shutil.rmtree(given.data, ignore_errors=True)
    given.data.mkdir(parents=True)
    with start(given.data / "postgres") as server:
        url = server.url()
        places = asyncio.run(prepare(url, given.records))
        writers = Writers(url)
        try:
            results = measure(writers, places, given.rounds, given.seconds)
        finally:
            writers.close()
    show(results)
    if given.json:
        given.json.write_text(
            json.dumps({"cores": os.cpu_count(), "at": f"{datetime.now(UTC):%F}", **results}, indent=1)
        )


if __name__ == "__main__":
    main()
