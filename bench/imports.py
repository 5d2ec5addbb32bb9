"""Imports beside COPY: contacts (six columns, two searchable, one of these unique), and their labelled associations.

    python -m bench.imports [--rows 1000000] [--json FILE]

The same CSV files: by PostgreSQL's COPY into bare tables without any index, and by `engine.imports` into an account,
all rules, unique checks, history, property indexes and the change log included; then the contacts again, which changes
nothing. Rows a second, and their ratio to COPY. No worker runs beside it.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from engine import accounts, imports, labels, properties
from server.postgres import start
from storage.database import Actor, Database, connect
from storage.migrate import migrate

ACTOR = Actor("BENCH")
COLUMNS = ("email", "first", "lastname", "city", "size", "score")
CITIES = ("Boston", "Rome", "Köln", "Paris", "Lima", "Oslo", "Wien", "Bern")
TABLES = {
    "contacts": "CREATE TABLE bare_contacts (email text, first text, last text, city text, size int, score int)",
    "companies": "CREATE TABLE bare_companies (number text)",
    "associations": "CREATE TABLE bare_associations (who text, whom text, labels text)",
}


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Files:
    """What is imported."""

    contacts: Path
    companies: Path
    associations: Path

    @classmethod
    def written(cls, place: Path, rows: int) -> "Files":
        """Files with so many contacts and associations, and a fifth as many companies; the same each time."""
        made = cls(*(place / f"{name}.csv" for name in ("contacts", "companies", "associations")))
        chance, companies = random.Random(9), max(rows // 5, 1)
        with made.contacts.open("w") as file:
            file.write(",".join(COLUMNS) + "\n")
            for n in range(rows):
                file.write(
                    f"person{n}@example{chance.randrange(5_000)}.com,First{chance.randrange(3_000)},"
                    f"Last{chance.randrange(50_000)},{chance.choice(CITIES)},{chance.randrange(1_000)},"
                    f"{chance.randrange(100)}\n"
                )
        with made.companies.open("w") as file:
            file.write("number\n" + "".join(f"F{n}\n" for n in range(companies)))
        chance = random.Random(9)
        with made.associations.open("w") as file:
            file.write("from,to,labels\n")
            domains = made.contacts.open()
            next(domains)
            for line in domains:
                who = line.split(",", 1)[0]
                file.write(f"{who},F{chance.randrange(companies)},{chance.choice(('Billing', 'Decision'))}\n")
            domains.close()
        return made


async def timed(work: Awaitable[Any], rows: int) -> float:
    """Rows a second."""
    began = time.perf_counter()
    await work
    return rows / (time.perf_counter() - began)


async def run(url: str, db: Database, files: Files, rows: int) -> dict[str, Any]:
    """Measure everything once."""
    account = await accounts.create(db, f"imports {now():%F %T}", now=now())
    async with db.transaction(account, now=now(), actor=ACTOR, defining=True) as tx:
        for name in ("first", "city", "size", "score"):
            kind = "NUMBER" if name in ("size", "score") else "STRING"
            label = f"Imported {name}"
            await properties.create(
                tx, "contacts", name=f"i_{name}", label=label, type=kind, searchable=False
            )
        await properties.create(
            tx, "companies", name="i_number", label="I number", type="STRING", unique=True
        )
        await labels.create(tx, "contacts", "companies", label="Billing", inverse_label="Billed by")
        await labels.create(tx, "contacts", "companies", label="Decision", inverse_label="Decided by")
    copied: dict[str, float] = {}
    connection = await asyncpg.connect(url)
    for name, table in TABLES.items():
        await connection.execute(f"DROP TABLE IF EXISTS bare_{name}")
        await connection.execute(table)
        source = getattr(files, name)
        work = connection.copy_to_table(f"bare_{name}", source=source, format="csv", header=True)
        copied[name] = await timed(work, rows)
        await connection.execute(f"DROP TABLE bare_{name}")
    await connection.close()
    mapped = {name: name if name in ("email", "lastname") else f"i_{name}" for name in COLUMNS}

    def contacts() -> Awaitable[Any]:
        return imports.records(
            db, account, files.contacts, object_type="contacts", key="email", columns=mapped, clock=now
        )

    imported = {"contacts": await timed(contacts(), rows)}
    number = {"number": "i_number"}
    await imports.records(
        db, account, files.companies, object_type="companies", key="number", columns=number, clock=now
    )
    imported["associations"] = await timed(
        imports.associations(
            db,
            account,
            files.associations,
            from_type="contacts",
            from_key="email",
            to_type="companies",
            to_key="i_number",
            clock=now,
        ),
        rows,
    )
    imported["contacts again"] = await timed(contacts(), rows)
    return {
        name: {
            "copy": round(copied[name.split()[0]]),
            "import": round(rate),
            "ratio": round(rate / copied[name.split()[0]], 4),
        }
        for name, rate in imported.items()
    }


async def main(rows: int) -> dict[str, Any]:
    """Measure on a PostgreSQL of our own, or on the one that RELATA_BENCH_DATABASE names."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    with tempfile.TemporaryDirectory(prefix="relata-bench-") as place:
        files = Files.written(Path(place), rows)
        given = os.environ.get("RELATA_BENCH_DATABASE")
        if given:
            return await _measured(given, files, rows)
        with start(Path(place) / "data") as postgres:
            return await _measured(postgres.url(), files, rows)


async def _measured(url: str, files: Files, rows: int) -> dict[str, Any]:
    await migrate(url)
    async with connect(url) as db:
        return await run(url, db, files, rows)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    figures = asyncio.run(main(chosen.rows))
    print(f"{'':16} {'COPY':>12} {'import':>12} {'ratio':>8}")
    for what, one in figures.items():
        print(f"{what:16} {one['copy']:12,} {one['import']:12,} {one['ratio']:8.4f}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": chosen.rows, **figures}, indent=2))
