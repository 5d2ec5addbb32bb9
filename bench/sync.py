"""Data sync: 100,000 contacts from a table in, and out to an empty one; changes between two Relatas.

    python -m bench.sync [--records 100000] [--rounds 3] [--changes 240] [--only tables|latency] [--json FILE]

In: a table of a PostgreSQL database is synced into an account that has a tenth of the contacts already, by one
`relata work` and the processes that it starts to help: matched by e-mail address, merged, written with history, links,
attempts and events, and evaluated. The clock runs from the sync's start until it is live and nothing is left to
evaluate. Out: an account's contacts into an empty table, the same way.

Beside them, in every round, between databases of the same server: COPY of the same rows from one bare table into
another, through a client; and pipelines of dlt, which write the rows into a new table: "plain" and "fast" (see
`bench/peers/dlt`), from when their modules are there.

Processor time is PostgreSQL's, and the client's, or the worker's with all of its processes. Ratios are medians of the
rounds' ratios.

Latency: two `relata serve` with a worker each, on databases of their own, the one connected to the other, which pushes.
Contacts are changed on both sides through the API, a few a second; each way, from the sending of the mutation until
the other side's table has the value.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.sync_latency import latency
from bench.sync_tables import Tables
from server.postgres import start

WAYS = {"in": ("copy", "dlt plain", "dlt fast"), "out": ("copy",)}
FIGURES = ("a second", "client, us", "PostgreSQL, us")


async def tables(given: argparse.Namespace, url: Any, postgres: int) -> list[dict[str, Any]]:
    """Rounds of who moves the same rows, one after the other."""
    measured = await Tables.build(given.data, url, postgres, given.records)
    rounds = []
    for n in range(given.rounds):
        one: dict[str, Any] = {}
        for who, run in (("in", measured.come_in), ("out", measured.go_out), ("copy", measured.copied)):
            one[who] = await run(n)
        for who in ("plain", "fast"):
            one[f"dlt {who}"] = await measured.loaded(n, who)
        rounds.append({**one, "load": os.getloadavg()[0]})
        print(
            f"round {n + 1}: " + ", ".join(f"{who} {one[who]['a second']:,.0f}/s" for who in one), flush=True
        )
    return rounds


def show(results: dict[str, Any]) -> None:
    """The tables."""
    if rounds := results["rounds"]:
        print(f"\n{'':10} {'records/s':>10} {'client, us':>11} {'PostgreSQL, us':>15}   ours against it")
        for who in (name for name in rounds[0] if name != "load"):
            figures = [statistics.median(one[who][name] for one in rounds) for name in FIGURES]
            line = f"{who:10} {figures[0]:10,.0f} {figures[1]:11,.1f} {figures[2]:15,.1f}"
            for way in (way for way, others in WAYS.items() if who in others):
                ratios = sorted(one[way]["a second"] / one[who]["a second"] for one in rounds)
                line += f"   {way}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(line)
    for way, row in results["latency"].items():
        print(f"{way:10} " + ", ".join(f"{name} {value:,.0f}" for name, value in row.items()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(".data/bench-sync"))
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=240, help="each way")
    parser.add_argument("--rate", type=float, default=4.0, help="changes a second, each way")
    parser.add_argument("--only", choices=("tables", "latency"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    shutil.rmtree(given.data / "postgres", ignore_errors=True)
    given.data.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"records": given.records, "rounds": [], "latency": {}}
    with start(given.data / "postgres") as server:
        postgres = int(next((given.data / "postgres").rglob("postmaster.pid")).read_text().split()[0])
        if given.only != "latency":
            results["rounds"] = asyncio.run(tables(given, server.url, postgres))
        if given.only != "tables":
            results["latency"] = asyncio.run(latency(given, server.url))
    show(results)
    if given.json:
        about = {"cores": os.cpu_count(), "at": f"{datetime.now(UTC):%F}", "load": os.getloadavg()}
        given.json.write_text(json.dumps({**about, **results}, indent=1))


if __name__ == "__main__":
    main()
