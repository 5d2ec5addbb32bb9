"""Imports beside COPY: contacts (six columns, two searchable, one of these unique), and their labelled associations.

    python -m bench.imports [--rows 1000000] [--hands 4] [--parts] [--json FILE]

The same CSV files: by PostgreSQL's COPY into bare tables without any index, and by `engine.imports` into an account,
all rules, unique checks, history, property indexes and the change log included; then the contacts again, which changes
nothing. Rows a second, and their ratio to COPY. No worker runs beside it; as many processes share the work as the
command `relata import` would have. `--parts`: e-mail addresses are found by their parts, too.

The floor is what the import leaves behind and nothing else: the very rows that it wrote, put into words beforehand, by
COPY from as many connections at once into the same tables with all their indexes, in transactions of the same size.
CPU is what a row takes, of all processes, PostgreSQL's included, in microseconds.
"""

import argparse
import asyncio
import contextlib
import functools
import gc
import io
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from engine import accounts, imports, indexing, labels, properties
from engine.crew import Crew
from engine.imports.cutting import BATCH
from server.crew import Processes
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
# What one import writes, and nobody changes until the next one does: with all that tells of it.
WRITTEN = {
    "contacts": (
        "record", "property_history", "unique_value", "property_value", "property_key", "property_part",
        "import_record", "change_queue", "event_log",
    ),
    "associations": ("association", "association_count", "import_pair", "change_queue", "event_log"),
}  # fmt: skip


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


@dataclass(slots=True)
class Timed:
    """How many rows a second, and how much of the processors each row took (microseconds)."""

    rate: float
    cpu: float


class Meter:
    """Tells what work took. Processors: of this process and its children, and of PostgreSQL, where it runs here."""

    def __init__(self, postmaster: int) -> None:
        self._roots = os.getpid(), postmaster

    async def timed(self, work: Awaitable[Any], rows: int) -> Timed:
        """Do the work."""
        began, used = time.perf_counter(), self._busy()
        await work
        seconds = time.perf_counter() - began
        return Timed(rows / seconds, (self._busy() - used) / rows * 1e6)

    def _busy(self) -> float:
        """Seconds of processors so far. Linux tells."""
        known: dict[int, tuple[int, int]] = {}
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (place / "stat").read_text().rpartition(")")[2].split()
                known[int(place.name)] = int(words[1]), sum(map(int, words[11:15]))
        ticks = 0
        for process, (_, used) in known.items():
            above = process
            while above in known and above not in self._roots:
                above = known[above][0]
            ticks += used if above in self._roots else 0
        return ticks / os.sysconf("SC_CLK_TCK")


def _above(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


async def postmaster(connection: Any) -> int:
    """The process of PostgreSQL that is above all its others."""
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    try:
        return _above(backend)
    except OSError:
        # It runs elsewhere: what it uses is not counted.
        return 0


async def dumped(connection: Any, tables: Sequence[str], account: int, after: int) -> dict[str, bytes]:
    """What an import wrote into each table, in the order in which it was written, as COPY takes it."""
    texts = {}
    for table in tables:
        out = io.BytesIO()
        where = f"account_id = {account}" + (f" AND seq > {after}" if table == "event_log" else "")
        await connection.copy_from_query(f"SELECT * FROM {table} WHERE {where}", output=out)
        texts[table] = out.getvalue()
    return texts


async def floor(url: str, texts: dict[str, bytes], rows: int, hands: int) -> float:
    """Rows a second of COPY alone into empty tables of a database of its own, all indexes kept."""
    connection = await asyncpg.connect(url)
    await connection.execute("DROP DATABASE IF EXISTS bench_floor WITH (FORCE)")
    await connection.execute("CREATE DATABASE bench_floor TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    await connection.close()
    place = urlsplit(url)._replace(path="/bench_floor").geturl()
    await migrate(place)
    pieces = max(rows // BATCH, 1)
    cut = {name: list(_cut(text, pieces)) for name, text in texts.items()}
    each = iter(range(pieces))

    async def lane(one: Any) -> None:
        for n in each:
            async with one.transaction():
                for table, parts in cut.items():
                    if parts[n]:
                        await one.copy_to_table(table, source=io.BytesIO(parts[n]))

    lanes = [await asyncpg.connect(place) for _ in range(max(hands, 1))]
    began = time.perf_counter()
    await asyncio.gather(*map(lane, lanes))
    seconds = time.perf_counter() - began
    for one in lanes:
        await one.close()
    return rows / seconds


def _cut(text: bytes, pieces: int) -> Iterator[bytes]:
    """So many pieces of whole lines, about equal in length."""
    ends = [text.find(b"\n", len(text) * n // pieces) + 1 for n in range(1, pieces)]
    for begin, end in itertools.pairwise([0, *ends, len(text)]):
        yield text[begin:end]


async def defined(db: Database, parts: bool) -> int:
    """An account with what the files need; `parts`: addresses are found by theirs."""
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
        if parts:
            await properties.update(tx, "contacts", "email", parts_searchable=True)
    await indexing.run_all(db, account, now=now())
    return account


async def copied(connection: Any, files: Files, rows: int) -> dict[str, float]:
    """Rows a second of COPY into bare tables."""
    rates = {}
    for name, table in TABLES.items():
        await connection.execute(f"DROP TABLE IF EXISTS bare_{name}")
        await connection.execute(table)
        source = getattr(files, name)
        began = time.perf_counter()
        await connection.copy_to_table(f"bare_{name}", source=source, format="csv", header=True)
        rates[name] = rows / (time.perf_counter() - began)
        await connection.execute(f"DROP TABLE bare_{name}")
    return rates


async def run(
    url: str, db: Database, crew: Crew, files: Files, rows: int, hands: int, parts: bool
) -> dict[str, Any]:
    """Measure everything once."""
    account = await defined(db, parts)
    connection = await asyncpg.connect(url)
    bare = await copied(connection, files, rows)
    meter = Meter(await postmaster(connection))
    records = functools.partial(imports.records, db, account, clock=now, crew=crew)
    mapped = {name: name if name in ("email", "lastname") else f"i_{name}" for name in COLUMNS}
    contacts = functools.partial(records, files.contacts, object_type="contacts", key="email", columns=mapped)

    async def written(name: str, after: int) -> dict[str, bytes]:
        return await dumped(connection, WRITTEN[name], account, after)

    async def last() -> int:
        found = await connection.fetchval("SELECT seq FROM account_seq WHERE account_id = $1", account)
        # Who has worked off the queue is not measured here.
        await connection.execute("DELETE FROM change_queue WHERE account_id = $1", account)
        return int(found)

    texts = {}
    before = await last()
    imported = {"contacts": await meter.timed(contacts(), rows)}
    texts["contacts"] = await written("contacts", before)
    await records(
        files.companies, object_type="companies", key="number", columns={"number": "i_number"}
    )  # fmt: skip
    before = await last()
    ends: dict[str, Any] = {
        "from_type": "contacts",
        "from_key": "email",
        "to_type": "companies",
        "to_key": "i_number",
    }
    work = imports.associations(db, account, files.associations, **ends, clock=now, crew=crew)
    imported["associations"] = await meter.timed(work, rows)
    texts["associations"] = await written("associations", before)
    imported["contacts again"] = await meter.timed(contacts(), rows)
    await connection.close()
    floors = {name: await floor(url, texts[name], rows, hands) for name in texts}
    return {
        name: {
            "copy": round(bare[name.split()[0]]),
            "floor": round(floors[name]) if name in floors else None,
            "import": round(one.rate),
            "ratio": round(one.rate / bare[name.split()[0]], 4),
            "ofFloor": round(one.rate / floors[name], 3) if name in floors else None,
            "cpu": round(one.cpu, 1),
        }
        for name, one in imported.items()
    }


async def main(rows: int, hands: int, parts: bool) -> dict[str, Any]:
    """Measure on a PostgreSQL of our own, or on the one that RELATA_BENCH_DATABASE names."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    with tempfile.TemporaryDirectory(prefix="relata-bench-") as place:
        files = Files.written(Path(place), rows)
        given = os.environ.get("RELATA_BENCH_DATABASE")
        if given:
            return await _measured(given, files, rows, hands, parts)
        with start(Path(place) / "data") as postgres:
            return await _measured(postgres.url(), files, rows, hands, parts)


async def _measured(url: str, files: Files, rows: int, hands: int, parts: bool) -> dict[str, Any]:
    await migrate(url)
    async with connect(url) as db, contextlib.aclosing(Processes(db, now, hands)) as crew:
        return await run(url, db, crew, files, rows, hands, parts)


def shown(value: float | None, form: str) -> str:
    """A figure, or that there is none."""
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--hands", type=int, default=os.cpu_count() or 1)
    options.add_argument("--parts", action="store_true")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    figures = asyncio.run(main(chosen.rows, chosen.hands, chosen.parts))
    print(f"{'':16} {'COPY':>12} {'floor':>10} {'import':>10} {'of COPY':>8} {'of floor':>8} {'CPU us':>8}")
    for what, one in figures.items():
        print(
            f"{what:16} {one['copy']:12,} {shown(one['floor'], ','):>10} {one['import']:10,} "
            f"{one['ratio']:8.4f} {shown(one['ofFloor'], '.3f'):>8} {one['cpu']:8.1f}"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": chosen.rows, "hands": chosen.hands, **figures}, indent=2))
