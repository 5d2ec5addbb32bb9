"""Three queries, three servers: Relata as served, hand-written SQL behind a bare endpoint, PostGraphile 5.

    python -m bench.queries [--scale 1.0] [--rounds 5] [--seconds 4] [--json FILE] [--no-peer]

Interleaved and warm; 1 and 16 clients; the numbers of nodes are checked before anything is timed. Needs wrk, and for
the peer Node with npm (fetched on demand into the data directory).
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import graph, load, processes
from bench.peers import postgraphile
from engine import accounts, keys
from engine.access import Role
from server.postgres import start
from storage.database import connect
from storage.migrate import migrate

PORTS = {"relata": 18_001, "floor": 18_002, "postgraphile": 18_003}
POOL = 10
CITY, INDUSTRY = "Berlin", "software"

RELATA = {
    "Q1": """query Q1 { records(objectType: "contacts", first: 50) { nodes {
      id properties(names: ["firstname", "lastname", "email"])
      associations(to: "companies", first: 10) { edges { labels { name label typeId } node {
        id properties(names: ["name", "domain"])
        associations(to: "deals", first: 10) { edges { labels { name label typeId } node {
          id properties(names: ["name", "amount"]) } } } } } } } } }""",
    "Q2": """query Q2($id: ID!) { record(id: $id) {
      id properties(names: ["firstname", "lastname", "email"])
      associations(to: "companies", first: 10) { edges { labels { name label typeId } node {
        id properties(names: ["name", "domain"]) } } } } }""",
    "Q3": """query Q3($city: JSON!, $industry: JSON!) { records(objectType: "contacts", first: 50, where: {and: [
        {property: {name: "city", operator: EQUALS, value: $city}},
        {associated: {to: "companies", labels: ["decision_maker"],
                      where: {property: {name: "industry", operator: EQUALS, value: $industry}}}}]}) {
      nodes { id properties(names: ["firstname", "lastname"]) } } }""",
}

POSTGRAPHILE = {
    "Q1": """query Q1 { allContacts(first: 50, orderBy: ROW_ID_ASC) { nodes { rowId firstname lastname email
      companies(first: 10, orderBy: COMPANY_ID_ASC) { nodes { labels { nodes { name label typeId } } company {
        rowId name domain
        deals(first: 10, orderBy: DEAL_ID_ASC) { nodes { labels { nodes { name label typeId } } deal {
          rowId name amount } } } } } } } } }""",
    "Q2": """query Q2($id: BigInt!) { contactByRowId(rowId: $id) { rowId firstname lastname email
      companies(first: 10, orderBy: COMPANY_ID_ASC) { nodes { labels { nodes { name label typeId } } company {
        rowId name domain } } } } }""",
    "Q3": """query Q3($city: String!, $industry: String!) { allContacts(first: 50, orderBy: ROW_ID_ASC, filter: {
        city: {equalTo: $city},
        companies: {some: {labels: {some: {name: {equalTo: "decision_maker"}}},
                           company: {industry: {equalTo: $industry}}}}}) {
      nodes { rowId firstname lastname } } }""",
}


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that answers, and what it takes to ask it."""

    name: str
    pid: int
    bodies: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{PORTS[self.name]}/graphql"


@dataclass(frozen=True, slots=True)
class Figure:
    """One run: requests a second, latencies, CPU per request in milliseconds: all, and PostgreSQL's part of it."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    postgres_ms: float


async def prepare(url: str, scale: float) -> tuple[graph.Graph, str]:
    """The graph (made once for a data directory) and a key to its account."""
    await migrate(url)
    async with connect(url) as db:
        name = f"bench-{scale:g}"
        found = await accounts.find(db, name)
        if found is None:
            made = await graph.build(db, name, graph.Size().scaled(scale))
        else:
            made = await graph.read(db, found)
        async with db.transaction(made.account_id, now=datetime.now(UTC), actor=graph.ACTOR) as tx:
            _, secret = await keys.create(tx, name="bench", role=Role.VIEWER)
    return made, secret


def numbers(made: graph.Graph) -> dict[str, Any]:
    """What hand-written SQL and the views know by number."""
    names = made.catalogue.by_name
    labels = {
        str(row.id): json.dumps({"name": row.name, "label": row.label, "typeId": f"typ_{row.id}"})
        for row in made.catalogue.association_types.values()
        if row.name is not None
    }
    return {
        "account": made.account_id,
        "labels": json.dumps(labels),
        **{name: names[name].id for name in ("contacts", "companies", "deals")},
        "contact_company": made.label("contacts", "companies", None).id,
        "company_deal": made.label("companies", "deals", None).id,
        "decision_maker": made.label("contacts", "companies", "decision_maker").id,
    }


def bodies(made: graph.Graph, queries: dict[str, str] | None, *, raw_ids: bool) -> dict[str, list[str]]:
    """Request bodies by query; many for the query by id."""
    step = max(1, len(made.ids["contacts"]) // 500)
    some = made.ids["contacts"][::step]
    variables: dict[str, list[dict[str, Any]]] = {
        "Q1": [{}],
        "Q2": [{"id": str(number) if raw_ids else f"rec_{number}"} for number in some],
        "Q3": [{"city": CITY, "industry": INDUSTRY}],
    }
    return {
        name: [json.dumps({"query": queries[name] if queries else name, "variables": each}) for each in given]
        for name, given in variables.items()
    }


@contextlib.contextmanager
def contestants(
    folder: Path, url: str, made: graph.Graph, key: str, *, peer: bool
) -> Iterator[list[Contestant]]:
    """All servers, up and answering."""
    known = numbers(made)
    relata = {
        "DATABASE_URL": url,
        "RELATA_PORT": str(PORTS["relata"]),
        "RELATA_POOL_SIZE": str(POOL),
        "RELATA_WORKERS": "0",
    }
    floor = {"BENCH_FLOOR": json.dumps({**known, "url": url, "port": PORTS["floor"], "pool": POOL})}
    with contextlib.ExitStack() as stack:

        def up(name: str, command: list[str], environment: dict[str, str]) -> int:
            address = f"http://127.0.0.1:{PORTS[name]}/"
            return stack.enter_context(
                processes.serving(command, environment, address, folder / f"{name}.log")
            )

        found = [
            Contestant(
                "relata",
                up("relata", [str(Path(sys.executable).parent / "relata"), "serve"], relata),
                bodies(made, RELATA, raw_ids=False),
                {"Authorization": f"Bearer {key}"},
            ),
            Contestant(
                "floor",
                up("floor", [sys.executable, "-m", "bench.floor"], floor),
                bodies(made, None, raw_ids=False),
                {},
            ),
        ]
        if peer:
            command, environment = postgraphile.command(folder, url, known, PORTS["postgraphile"], POOL)
            found.append(
                Contestant(
                    "postgraphile",
                    up("postgraphile", command, environment),
                    bodies(made, POSTGRAPHILE, raw_ids=True),
                    {},
                )
            )
        yield found


def ask(contestant: Contestant, query: str) -> dict[str, Any]:
    """One answer."""
    request = urllib.request.Request(
        contestant.url,
        contestant.bodies[query][0].encode(),
        {"Content-Type": "application/json", **contestant.headers},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    if answer.get("errors"):
        raise SystemExit(f"{contestant.name} {query}: {answer['errors']}")
    return answer


def nodes(answer: Any) -> int:
    """How many records an answer holds: objects with an id (PostGraphile's `rowId`)."""
    if isinstance(answer, dict):
        return ("id" in answer or "rowId" in answer) + sum(nodes(value) for value in answer.values())
    return sum(nodes(value) for value in answer) if isinstance(answer, list) else 0


def compare(found: list[Contestant], postgres: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Every query on every server at 1 and at 16 clients, interleaved; medians."""
    results: dict[str, Any] = {}
    for query in RELATA:
        counted = {each.name: nodes(ask(each, query)["data"]) for each in found}
        if len(set(counted.values())) != 1:
            raise SystemExit(f"{query}: different answers: {counted}")
        print(f"{query}: {counted['relata']} records in each answer", flush=True)
        for clients in (1, 16):
            for each in found:
                load.run(each.url, each.bodies[query], each.headers, clients=clients, seconds=1)
            figures: dict[str, list[Figure]] = {each.name: [] for each in found}
            for _ in range(rounds):
                for each in found:
                    figures[each.name].append(_measure(each, query, clients, seconds, postgres))
            results[f"{query} x{clients}"] = {
                "records": counted["relata"],
                **{name: _median(runs) for name, runs in figures.items()},
                "ratios": _ratios(figures),
            }
    return results


def _measure(each: Contestant, query: str, clients: int, seconds: float, postgres: int) -> Figure:
    before = processes.cpu_seconds(each.pid), processes.cpu_seconds(postgres)
    got = load.run(each.url, each.bodies[query], each.headers, clients=clients, seconds=seconds)
    after = processes.cpu_seconds(each.pid), processes.cpu_seconds(postgres)
    server, database = ((b - a) / got.requests * 1000 for a, b in zip(before, after, strict=True))
    return Figure(got.per_second, got.p50_ms, got.p99_ms, server + database, database)


def _median(runs: list[Figure]) -> dict[str, float]:
    return {
        name: round(statistics.median(getattr(run, name) for run in runs), 3)
        for name in ("per_second", "p50_ms", "p99_ms", "cpu_ms", "postgres_ms")
    }


def _ratios(figures: dict[str, list[Figure]]) -> dict[str, float]:
    """Relata to each other, round by round; the median."""
    ratios = {}
    for name, runs in figures.items():
        if name != "relata":
            pairs = list(zip(figures["relata"], runs, strict=True))
            ratios[f"speed / {name}"] = round(
                statistics.median(a.per_second / b.per_second for a, b in pairs), 2
            )
            ratios[f"cpu of {name} / ours"] = round(
                statistics.median(b.cpu_ms / a.cpu_ms for a, b in pairs), 2
            )
    return ratios


def show(results: dict[str, Any]) -> None:
    """The table."""
    for name, row in results.items():
        print(f"\n{name} clients, {row['records']} records")
        for server, figure in row.items():
            if isinstance(figure, dict) and "per_second" in figure:
                print(
                    f"  {server:14}{figure['per_second']:10.0f} requests/s   p50 {figure['p50_ms']:8.2f} ms"
                    f"   p99 {figure['p99_ms']:8.2f} ms   CPU {figure['cpu_ms']:7.3f} ms a request"
                    f" (PostgreSQL {figure['postgres_ms']:.3f})"
                )
        print("  " + "   ".join(f"{what} {ratio}" for what, ratio in row["ratios"].items()))


def _postmaster(folder: Path) -> int:
    """The process that all of PostgreSQL's descend from."""
    found = next((folder / "postgres").rglob("postmaster.pid"))
    return int(found.read_text().split()[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(".data/bench"))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-peer", action="store_true")
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    with start(given.data / "postgres") as server:
        url = server.url("postgres")
        made, key = asyncio.run(prepare(url, given.scale))
        with contestants(given.data, url, made, key, peer=not given.no_peer) as found:
            results = compare(found, _postmaster(given.data), given.rounds, given.seconds)
    show(results)
    if given.json:
        given.json.write_text(
            json.dumps({"cores": os.cpu_count(), "at": f"{datetime.now(UTC):%F}", **results}, indent=1)
        )


if __name__ == "__main__":
    main()
