"""Associating, against plain inserts of the same rows: 8 writers, batches of 1 and of 1,000, 8 accounts and one.

    python -m bench.associations [--rounds 5] [--seconds 3] [--records 240000] [--json FILE]

Ours is the command behind the mutation: records looked up and held, a limit in force both ways, both directions,
counters, the moment of the last association change, the queue for the evaluators, an event each, all in one durable
transaction a batch. Plain is an `unnest` insert of the same rows (contact and deal, unlabelled and labelled, both
directions: four a pair) into a table with the same columns and the same primary key, with the same driver, the same
processes and also one transaction a batch. By hand, for single pairs, is one statement in a transaction that writes all
rows that ours writes, into copies of the tables, and checks nothing.

Each writer is a process with one connection. Tables hold pairs already, and are analysed. Rounds are interleaved;
ratios are medians of the rounds' ratios. Processor time is that of all writers and of PostgreSQL, flushes included.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from bench.association_writers import (
    ACTOR,
    HAND_TABLES,
    LABEL,
    PLAIN_TABLE,
    WRITERS,
    Pace,
    Place,
    Writer,
    Writers,
)
from engine import accounts, labels
from server.postgres import start
from storage.database import Database, Transaction, connect
from storage.migrate import migrate

BATCHES = (1, 1_000)
SPREADS = (8, 1)
ROWS_A_PAIR = 4
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 1_000_000
SIDES = {"ours": "ours", "plain": "plain", "hand": "by hand"}
# Pairs that an account has from the beginning; the first of as many as its writers.
STANDING = 4_000


async def prepare(url: str, records: int) -> dict[int, list[Place]]:
    """By number of accounts, the accounts of the eight writers; `records` in all for each number."""
    await migrate(url)
    async with connect(url, size=1) as db:
        places = {
            spread: [await _account(db, f"bench-{spread}-{n}", records // spread) for n in range(spread)]
            for spread in SPREADS
        }
        for statement in (PLAIN_TABLE, *HAND_TABLES):
            await db.pool.execute(statement)
        # Whoever plans on empty tables plans to read them whole.
        for place in (place for group in places.values() for place in group):
            await _fill(Writer(WRITERS, db), place)
        await db.pool.execute("VACUUM ANALYZE")
    return places


async def _fill(writer: Writer, place: Place) -> None:
    for side in ("ours", "plain"):
        pairs = writer.pairs(place, side)
        for _ in range(0, STANDING, 1_000):
            await writer.write(side, place, list(islice(pairs, 1_000)))
    for pair in islice(writer.pairs(place, "hand"), STANDING // 10):
        await writer.write("hand", place, [pair])


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


def measure(writers: Writers, places: dict[int, list[Place]], rounds: int, seconds: float) -> dict[str, Any]:
    """Every case, interleaved, after one round that is not counted."""
    cases = [(spread, batch) for batch in BATCHES for spread in SPREADS]
    found: dict[tuple[int, int], list[dict[str, Pace]]] = {case: [] for case in cases}
    for n in range(rounds + 1):
        for case in cases:
            spread, batch = case
            sides = [side for side in SIDES if side != "hand" or batch == 1]
            paces = {side: writers.pace(side, places[spread], batch, seconds) for side in sides}
            if n:
                found[case].append(paces)
    return {
        f"{spread} account{'s' * (spread > 1)}, {'one by one' if batch == 1 else f'batches of {batch:,}'}": _told(
            runs
        )
        for (spread, batch), runs in found.items()
    }


def _told(runs: Sequence[dict[str, Pace]]) -> dict[str, Any]:
    def middle(figure: Callable[[Pace, Pace], float], side: str) -> float:
        return statistics.median(figure(run["ours"], run[side]) for run in runs)

    told: dict[str, Any] = {}
    for side in runs[0]:
        told[side] = {
            "pairs a second": round(middle(lambda _, one: one.per_second, side)),
            "us a pair": round(middle(lambda _, one: one.cpu, side), 1),
            "Python": round(middle(lambda _, one: one.python, side), 1),
            "PostgreSQL": round(middle(lambda _, one: one.postgres, side), 1),
        }
        if side != "ours":
            told[f"ours to {side}"] = {
                "pairs a second": round(middle(lambda ours, one: ours.per_second / one.per_second, side), 3),
                "CPU": round(middle(lambda ours, one: one.cpu / ours.cpu, side), 3),
                "rounds": [round(run["ours"].per_second / run[side].per_second, 3) for run in runs],
            }
    return told


def show(results: dict[str, Any]) -> None:
    """The table."""
    print(f"{WRITERS} writers; {ROWS_A_PAIR} association rows a pair")
    head = (
        "pairs/s",
        "us a pair:",
        "Python",
        "PostgreSQL",
        "ours against it:",
        "pairs/s",
        "in CPU",
        "rounds",
    )
    print(" " * 34 + "{:>9} {:>11} {:>7} {:>11}   {} {:>8} {:>7}   {}".format(*head))
    for name, row in results.items():
        for side, title in SIDES.items():
            if side not in row:
                continue
            one, ratio = row[side], row.get(f"ours to {side}")
            line = f"{name if side == 'ours' else '':26} {title:7} {one['pairs a second']:8,}"
            line += f" {one['us a pair']:11.1f} {one['Python']:7.1f} {one['PostgreSQL']:11.1f}"
            if ratio is not None:
                low, high = min(ratio["rounds"]), max(ratio["rounds"])
                line += f" {ratio['pairs a second']:27.2f} {ratio['CPU']:7.2f}   {low:.2f} to {high:.2f}"
            print(line)


def _postmaster(folder: Path) -> int:
    return int(next(folder.rglob("postmaster.pid")).read_text().split()[0])


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
        writers = Writers(url, _postmaster(given.data))
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
