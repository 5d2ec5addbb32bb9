"""The first page of a hub's dependents against that of a package with one page of them, on the Debian package graph.

    python -m bench.hub [--rounds 5] [--seconds 3] [--json FILE]

Loads `examples/debian-graph` once into the data directory. libc6 has 21,783 packages that depend on it, gnupg 50:
the default order reads a page, so both should cost the same. Needs wrk.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import load, processes
from server.postgres import start
from storage.migrate import migrate

PORT = 18_011
RELATA = Path(sys.executable).parent / "relata"
LOAD = Path(__file__).parent.parent / "examples/debian-graph/load.sh"
QUERY = """query Dependents($name: JSON!) {
  record(objectType: "packages", by: {property: "package_name", value: $name}) {
    displayName
    associations(to: "packages", labels: ["required_by"], first: 50) {
      pageInfo { hasNextPage endCursor }
      edges { labels { label } node { id displayName } } } } }"""
PACKAGES = {"hub (libc6)": "libc6", "one page (gnupg)": "gnupg"}


def key_of(environment: dict[str, str]) -> str:
    """Load the graph; running it again changes nothing. A key to it."""
    told = subprocess.run(
        ["sh", str(LOAD)],
        env={**os.environ, **environment, "RELATA": str(RELATA)},
        capture_output=True,
        text=True,
    )
    if told.returncode:
        raise SystemExit(told.stdout + told.stderr)
    return told.stdout.rsplit(": ", 1)[1].strip()


def edges(url: str, key: str, name: str) -> int:
    """How many edges the answer has."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body(name).encode(), headers)) as response:
        answer = json.load(response)
    return len(answer["data"]["record"]["associations"]["edges"])


def body(name: str) -> str:
    """The request for a package's dependents."""
    return json.dumps({"query": QUERY, "variables": {"name": name}})


def compare(url: str, key: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Both packages at 1 and 16 clients, interleaved; medians, and the median of the rounds' ratios."""
    headers = {"Authorization": f"Bearer {key}"}
    for name in PACKAGES.values():
        if edges(url, key, name) != 50:
            raise SystemExit(f"{name} does not answer with a page of 50")
    results: dict[str, Any] = {}
    for clients in (1, 16):
        runs: dict[str, list[load.Load]] = {title: [] for title in PACKAGES}
        for _ in range(rounds + 1):
            for title, name in PACKAGES.items():
                runs[title].append(load.run(url, [body(name)], headers, clients=clients, seconds=seconds))
        # The first round warms up.
        kept = {title: found[1:] for title, found in runs.items()}
        hub, page = kept.values()
        results[f"x{clients}"] = {
            **{title: statistics.median(run.p50_ms for run in found) for title, found in kept.items()},
            "hub / one page": round(
                statistics.median(a.p50_ms / b.p50_ms for a, b in zip(hub, page, strict=True)), 2
            ),
        }
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(".data/bench-hub"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    with start(given.data / "postgres") as server:
        environment = {
            "DATABASE_URL": server.url("postgres"),
            "RELATA_PORT": str(PORT),
            "RELATA_WORKERS": "0",
        }
        asyncio.run(migrate(server.url("postgres")))
        key = key_of(environment)
        address = f"http://127.0.0.1:{PORT}/"
        with processes.serving([str(RELATA), "serve"], environment, address, given.data / "relata.log"):
            results = compare(f"{address}graphql", key, given.rounds, given.seconds)
    for name, row in results.items():
        told = "   ".join(
            f"{title} {figure:.2f}{'' if '/' in title else ' ms'}" for title, figure in row.items()
        )
        print(f"{name:4} {told}")
    if given.json:
        given.json.write_text(
            json.dumps({"cores": os.cpu_count(), "at": f"{datetime.now(UTC):%F}", **results}, indent=1)
        )


if __name__ == "__main__":
    main()
