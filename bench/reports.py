"""Reports over 200,000 contacts, 40,000 companies and their labelled associations, beside hand-written SQL.

    python -m bench.reports [--scale 1.0] [--rounds 5] [--data DIR] [--json FILE]

Four reports, each as `runReport` runs it (one statement, keys told by their labels, a chart made) and as somebody would
write it for just this question: on the same tables, with the same connection settings, in turns, all warm. The answers
are compared before anything is timed. `totals` are asked for as well in the last column: each record once in every
total, which the hand-written statement does not answer.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import graph
from bench.graph import Graph, Size
from engine import accounts
from engine.reports.definition import bind
from engine.reports.run import Result, run
from server.postgres import start
from storage.database import Database, connect
from storage.migrate import migrate

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Shape:
    """A report, and the same by hand; `$1` is the account, `{…}` are numbers that only a program knows."""

    name: str
    definition: dict[str, Any]
    by_hand: str


SHAPES = (
    Shape(
        "contacts by label and city",
        {
            "objectType": "contacts",
            "joins": [{"to": "companies"}],
            "axes": [{"label": {"source": "companies"}}, {"property": {"name": "city"}}],
        },
        """
        SELECT l.type_id, c.properties ->> 'city', count(DISTINCT c.id)
          FROM record AS c
               LEFT JOIN (association AS a JOIN record AS o ON o.account_id = $1 AND o.id = a.to_id
                                                           AND o.archived_at IS NULL)
                 ON a.account_id = $1 AND a.from_id = c.id AND a.to_object_type_id = {companies}
                AND a.type_id = {contact_company}
               LEFT JOIN association AS l ON l.account_id = $1 AND l.from_id = a.from_id AND l.to_id = a.to_id
                AND l.to_object_type_id = {companies} AND l.type_id <> {contact_company}
         WHERE c.account_id = $1 AND c.object_type_id = {contacts} AND c.archived_at IS NULL
         GROUP BY 1, 2
        """,
    ),
    Shape(
        "only decision makers, by city",
        {
            "objectType": "contacts",
            "joins": [{"to": "companies", "labels": ["decision_maker"], "required": True}],
            "axes": [{"property": {"name": "city"}}],
        },
        """
        SELECT c.properties ->> 'city', count(*)
          FROM record AS c
         WHERE c.account_id = $1 AND c.object_type_id = {contacts} AND c.archived_at IS NULL
           AND EXISTS (SELECT FROM association AS a JOIN record AS o ON o.account_id = $1 AND o.id = a.to_id
                                                                    AND o.archived_at IS NULL
                        WHERE a.account_id = $1 AND a.from_id = c.id AND a.to_object_type_id = {companies}
                          AND a.type_id = {decision_maker})
         GROUP BY 1
        """,
    ),
    Shape(
        "revenue and decision makers by industry",
        {
            "objectType": "companies",
            "joins": [{"to": "contacts", "labels": ["decision_maker"]}],
            "axes": [{"property": {"name": "industry"}}],
            "measures": [
                {"function": "SUM", "property": "annualrevenue"},
                {"function": "COUNT", "source": "contacts"},
            ],
        },
        """
        SELECT d.industry, d.revenue, p.people
          FROM (SELECT c.properties ->> 'industry' AS industry,
                       sum((c.properties ->> 'annualrevenue')::numeric) AS revenue
                  FROM record AS c
                 WHERE c.account_id = $1 AND c.object_type_id = {companies} AND c.archived_at IS NULL
                 GROUP BY 1) AS d
               LEFT JOIN
               (SELECT c.properties ->> 'industry' AS industry, count(DISTINCT o.id) AS people
                  FROM record AS c
                       JOIN association AS a ON a.account_id = $1 AND a.from_id = c.id
                        AND a.to_object_type_id = {contacts} AND a.type_id = {decided_by}
                       JOIN record AS o ON o.account_id = $1 AND o.id = a.to_id AND o.archived_at IS NULL
                 WHERE c.account_id = $1 AND c.object_type_id = {companies} AND c.archived_at IS NULL
                 GROUP BY 1) AS p ON p.industry = d.industry
        """,
    ),
    Shape(
        "companies' deals as buyers, by stage",
        {
            "objectType": "companies",
            "joins": [{"to": "deals", "labels": ["buyer"], "required": True}],
            "axes": [{"property": {"name": "industry"}}, {"property": {"source": "deals", "name": "stage"}}],
            "measures": [{"function": "SUM", "source": "deals", "property": "amount"}],
        },
        """
        SELECT u.industry, u.stage, sum(u.amount)
          FROM (SELECT DISTINCT c.properties ->> 'industry' AS industry, d.properties ->> 'stage' AS stage, d.id,
                       (d.properties ->> 'amount')::numeric AS amount
                  FROM record AS c
                       JOIN association AS a ON a.account_id = $1 AND a.from_id = c.id
                        AND a.to_object_type_id = {deals} AND a.type_id = {buyer}
                       JOIN record AS d ON d.account_id = $1 AND d.id = a.to_id AND d.archived_at IS NULL
                 WHERE c.account_id = $1 AND c.object_type_id = {companies} AND c.archived_at IS NULL) AS u
         GROUP BY 1, 2
        """,
    ),
)


async def prepare(db: Database, scale: float) -> Graph:
    """The graph, made once for a data directory."""
    name = f"bench-{scale:g}"
    found = await accounts.find(db, name)
    return await (graph.build(db, name, Size().scaled(scale)) if found is None else graph.read(db, found))


def numbers(made: Graph) -> dict[str, int]:
    """What hand-written SQL knows by number."""
    names = made.catalogue.by_name
    decides = made.label("contacts", "companies", "decision_maker")
    return {
        **{name: names[name].id for name in ("contacts", "companies", "deals")},
        "contact_company": made.label("contacts", "companies", None).id,
        "decision_maker": decides.id,
        "decided_by": decides.inverse_id,
        "buyer": made.label("companies", "deals", "buyer").id,
    }


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    """Seconds that it takes."""
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def measure(url: str, scale: float, rounds: int) -> dict[str, Any]:
    """All shapes: seconds by hand, ours and ours with totals (medians), and the ratio of the first two."""
    results: dict[str, Any] = {}
    async with connect(url) as db:
        made = await prepare(db, scale)
        for shape in SHAPES:
            results[shape.name] = await compare(db, made, shape, rounds)
    return results


async def compare(db: Database, made: Graph, shape: Shape, rounds: int) -> dict[str, float]:
    """One shape, in turns."""
    bound = bind(shape.definition, made.catalogue)
    text = shape.by_hand.format(**numbers(made))
    async with db.read(made.account_id) as reader:

        async def ours(totals: bool = False) -> Result:
            return await run(reader, bound, now=NOW, totals=totals)

        async def by_hand() -> list[Any]:
            return await reader.fetch(text)

        told = sorted(tuple(float(one or 0) for one in row.measures) for row in (await ours()).groups)
        width = len(bound.measures)
        expected = sorted(tuple(float(one or 0) for one in tuple(row)[-width:]) for row in await by_hand())
        if told != expected:
            sys.exit(f"{shape.name}: the answers differ")
        times: dict[str, list[float]] = {"by hand": [], "report": [], "with totals": []}
        for _ in range(rounds):
            times["by hand"].append(await timed(by_hand))
            times["report"].append(await timed(ours))
            times["with totals"].append(await timed(lambda: ours(True)))
    found = {name: statistics.median(all_) for name, all_ in times.items()}
    ratios = [one / other for one, other in zip(times["by hand"], times["report"], strict=True)]
    return {**found, "ratio": statistics.median(ratios)}


def show(results: dict[str, Any]) -> None:
    """The table."""
    sys.stdout.write(f"{'milliseconds':44}{'by hand':>10}{'report':>10}{'totals':>10}{'ratio':>8}\n")
    for name, row in results.items():
        sys.stdout.write(
            f"{name:44}{row['by hand'] * 1000:10.0f}{row['report'] * 1000:10.0f}"
            f"{row['with totals'] * 1000:10.0f}{row['ratio']:8.2f}\n"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(".data/bench-reports"))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    with start(given.data) as server:
        url = server.url()
        asyncio.run(migrate(url))
        results = asyncio.run(measure(url, given.scale, given.rounds))
    show(results)
    if given.json:
        at = f"{datetime.now(UTC):%F}"
        given.json.write_text(json.dumps({"cores": os.cpu_count(), "at": at, "reports": results}, indent=1))


if __name__ == "__main__":
    main()
