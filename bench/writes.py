"""What property indexes cost on writes: batches of 1,000 records with 0, 2, 6 and 12 of 12 properties searchable.

The others' values are kept as hashes, for equality. "none" is the same values in JSON properties, which have no index.

    python -m bench.writes [--rounds 7] [--batches 5] [--filled 50000] [--json FILE]

One connection, through the same commands as the API: history, the change log and each property's index included. All
variants side by side in one run, each with an object type of its own that already holds records; medians and ratios.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine import accounts, object_types, properties, records
from engine.batches import Mode
from server.postgres import start
from storage.database import Actor, Database, connect
from storage.migrate import migrate

# None: no index at all.
SEARCHABLE = (None, 0, 2, 6, 12)
PROPERTIES = 12
BATCH = 1_000
ACTOR = Actor("BENCH")
TYPES = ("STRING", "NUMBER", "DATE")


@dataclass(slots=True)
class Variant:
    """An object type with so many searchable properties, its records, and what was measured: rows a second."""

    searchable: int | None
    ids: list[int] = field(default_factory=list)
    created: list[float] = field(default_factory=list)
    updated: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The object type's."""
        return f"things_{self.called}"

    @property
    def called(self) -> str:
        """In the table."""
        return "none" if self.searchable is None else str(self.searchable)


async def run(db: Database, rounds: int, batches: int, filled: int) -> dict[str, Any]:
    """Measure all variants, round by round."""
    account = await accounts.create(db, f"writes {datetime.now(UTC):%F %T}", now=datetime.now(UTC))
    chance = random.Random(7)
    variants = [Variant(n) for n in SEARCHABLE]
    for variant in variants:
        await _define(db, account, variant)
        for _ in range(filled // BATCH):
            await _create(db, account, variant, chance)
        variant.created.clear()
    for table in ("record", "property_value", "property_key", "property_history"):
        await db.pool.execute(f"VACUUM ANALYZE {table}")
    for n in range(rounds):
        # Each round begins with another one, so that none always pays for what another left behind.
        for variant in variants[n % len(variants) :] + variants[: n % len(variants)]:
            for _ in range(batches):
                await _create(db, account, variant, chance)
                await _update(db, account, variant, chance)
    return {variant.called: _figures(variant, variants[0]) for variant in variants}


async def _define(db: Database, account: int, variant: Variant) -> None:
    async with db.transaction(account, now=datetime.now(UTC), actor=ACTOR, defining=True) as tx:
        await object_types.create(tx, name=variant.name, singular=variant.name, plural=variant.name)
        for n in range(PROPERTIES):
            await properties.create(
                tx,
                variant.name,
                name=f"p{n}",
                label=f"p{n}",
                type="JSON" if variant.searchable is None else TYPES[n % len(TYPES)],
                searchable=n < (variant.searchable or 0),
            )


def _values(chance: random.Random, names: Sequence[int]) -> dict[str, Any]:
    """Texts of which half are rare, numbers and days."""
    makers = (
        lambda: f"value {chance.randrange(1_000 if chance.random() < 0.5 else 1_000_000)}",
        lambda: chance.randrange(1_000_000),
        lambda: f"20{chance.randrange(10, 30)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 28):02}",
    )
    return {f"p{n}": makers[n % len(makers)]() for n in names}


async def _create(db: Database, account: int, variant: Variant, chance: random.Random) -> None:
    given = [_values(chance, range(PROPERTIES)) for _ in range(BATCH)]
    began = time.perf_counter()
    async with db.transaction(account, now=datetime.now(UTC), actor=ACTOR) as tx:
        outcomes = await records.create(tx, tx.catalogue.by_name[variant.name], given, Mode.ATOMIC)
    variant.created.append(BATCH / (time.perf_counter() - began))
    variant.ids += [outcome.value.id for outcome in outcomes if outcome.value is not None]


async def _update(db: Database, account: int, variant: Variant, chance: random.Random) -> None:
    """Change one property of each record: the same ones whatever is searchable, all in turn."""
    given = [
        (record_id, _values(chance, [n % PROPERTIES]))
        for n, record_id in enumerate(chance.sample(variant.ids, BATCH))
    ]
    began = time.perf_counter()
    async with db.transaction(account, now=datetime.now(UTC), actor=ACTOR) as tx:
        await records.update(tx, given, Mode.ATOMIC)
    variant.updated.append(BATCH / (time.perf_counter() - began))


def _figures(variant: Variant, base: Variant) -> dict[str, float]:
    """Medians, and the median of the ratios to the variant without any index, batch by batch."""
    found: dict[str, float] = {}
    for name in ("created", "updated"):
        ours, theirs = getattr(variant, name), getattr(base, name)
        found[f"{name}_per_second"] = round(statistics.median(ours))
        found[f"{name}_ratio"] = round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2)
    return found


def show(results: dict[str, Any]) -> None:
    """The table."""
    print(f"{'searchable':>10}  {'created/s':>10} {'ratio':>6}  {'updated/s':>10} {'ratio':>6}")
    for name, row in results.items():
        print(
            f"{name:>10}  {row['created_per_second']:>10.0f} {row['created_ratio']:>6.2f}"
            f"  {row['updated_per_second']:>10.0f} {row['updated_ratio']:>6.2f}"
        )


async def _measured(url: str, given: argparse.Namespace) -> dict[str, Any]:
    await migrate(url)
    async with connect(url, size=2) as db:
        return await run(db, given.rounds, given.batches, given.filled)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(".data/bench-writes"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--filled", type=int, default=50_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    with start(given.data / "postgres") as server:
        results = asyncio.run(_measured(server.url("postgres"), given))
    show(results)
    if given.json:
        given.json.write_text(
            json.dumps(
                {"cores": os.cpu_count(), "at": f"{datetime.now(UTC):%F}", "variants": results}, indent=1
            )
        )


if __name__ == "__main__":
    main()
