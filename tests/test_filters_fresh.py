"""Filters over tables that were just filled: how much is read does not depend on what the planner believes."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import orjson
import pytest

from resolvers import listings
from storage.database import Database
from storage.dry_runs import count
from storage.filters import facts
from storage.selection.plans import compile
from storage.selection.tree import Connection, Edges, Identity, RecordParts, Selection, Total
from tests.filtering import World, associated, leaf, world
from tests.graph import T0

# Every contact is at one of many companies, and at one of ten hubs.
CONTACTS = 8_000
COMPANIES = 4_000
HUBS = 10
# Definitions that nobody meets: every one is asked to its end.
NOBODY = {"none"}
PART = 2_700
# The plan of a page and its total has some thirty nodes; each may see every association (both directions) once.
MOST = 30 * 2 * 2 * CONTACTS

TABLES = ("record", "property_value", "association", "association_count")
RECORDS = """
    INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source,
                        updated_source)
    SELECT $1, $3::bigint + n, $2, CASE WHEN n <= $6::int THEN jsonb_build_object($5::text, 'hub')
           ELSE jsonb_build_object($5::text, 'v' || n % 100) END, $7, $7, 'API', 'API'
      FROM generate_series(1, $4::int) AS n
"""
VALUES = """
    INSERT INTO property_value (account_id, record_id, property_id, position, text_value)
    SELECT $1, r.id, $2, 0, r.properties ->> $3::text FROM record AS r
     WHERE r.account_id = $1 AND r.object_type_id = $4
"""
FAR = f"$2::bigint + CASE WHEN n % 2 = 0 THEN n / 2 % {HUBS} ELSE n / 2 % {COMPANIES} END + 1"
ASSOCIATIONS = """
    INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source)
    SELECT DISTINCT $1::bigint, {ends[0]}, $3::bigint, {ends[1]}, $4::bigint, $5::timestamptz, 'API'
      FROM generate_series(2, {pairs}) AS n
"""

NAMED = associated("companies", leaf("name", "EQUALS", "v7"))
HUB = associated("companies", leaf("name", "EQUALS", "hub"))
ON = leaf("found", "EQUALS", "v5")
DEFINITIONS: dict[str, Any] = {
    "few": NAMED,
    "all": HUB,
    "own": {"and": [ON, HUB]},
    "two": {"and": [NAMED, HUB]},
    "either": {"or": [NAMED, ON]},
    "deep": associated("companies", associated("contacts", ON)),
    "deep and own": {"and": [ON, associated("companies", associated("contacts", HUB))]},
    "among many": {"and": [leaf("found", "ANY_OF", "v5", "v6", "v7"), HUB]},
    "own alone": ON,
    "deeper": associated("companies", associated("contacts", HUB)),
    "none": {"and": [ON, associated("companies", leaf("name", "EQUALS", "hub"), quantifier="NONE")]},
}


class Explained:
    """A reader that runs a statement twice: for the rows that its plan handles, and for its answer."""

    def __init__(self, connection: Any, account: int) -> None:
        self.connection = connection
        self.account = account
        self.handled = 0.0

    async def fetch(self, sql: str, *args: Any) -> Any:
        """As a reader's."""
        told = await self.connection.fetchval(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", self.account, *args
        )
        self.handled = handled(orjson.loads(told)[0]["Plan"])
        return await self.connection.fetch(sql, self.account, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """As a reader's."""
        return (await self.fetch(sql, *args))[0][0]


def handled(plan: dict[str, Any]) -> float:
    """The rows that a plan's nodes gave or threw away, each time that they were begun."""
    rows: float = plan["Actual Rows"] + sum(plan[key] for key in plan if key.startswith("Rows Removed by"))
    return rows * float(plan["Actual Loops"]) + sum(map(handled, plan.get("Plans", ())))


async def filled(db: Database, believed: str) -> World:
    """Records and associations, written at once; what the planner believes of them."""
    of = await world(db)
    catalogue = await of.catalogue()
    contacts, companies = catalogue.by_name["contacts"], catalogue.by_name["companies"]
    there, back = (
        catalogue.unlabelled(contacts.id, companies.id),
        catalogue.unlabelled(companies.id, contacts.id),
    )
    first = 10_000_000
    async with db.pool.acquire() as session:
        for table in TABLES:
            await session.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        if believed == "emptiness":
            await session.execute("ANALYZE")
        for kind, name, start, n, hubs in (
            (contacts, "found", first, CONTACTS, 0),
            (companies, "name", first + CONTACTS, COMPANIES, HUBS),
        ):
            await session.execute(RECORDS, of.account, kind.id, start, n, name, hubs, T0)
            await session.execute(VALUES, of.account, kind.properties[name].id, name, kind.id)
        near, far = f"{first} + n / 2", FAR
        for ends, kind, type_id in (
            ((near, far), companies, there.id),
            ((far, near), contacts, back.id),
        ):
            sql = ASSOCIATIONS.format(ends=ends, pairs=2 * CONTACTS + 1)
            await session.execute(sql, of.account, first + CONTACTS, kind.id, type_id, T0)
        if believed == "the truth":
            await session.execute("ANALYZE")
    of.ids = {str(n): first + n for n in range(1, CONTACTS + 1)}
    return of


@pytest.mark.parametrize("believed", ["nothing", "emptiness", "the truth"])
async def test_what_is_read_for_a_filter_does_not_depend_on_what_the_planner_believes(
    db: Database, believed: str
) -> None:
    of = await filled(db, believed)
    contacts = (await of.catalogue()).by_name["contacts"].id
    part = sorted(of.ids.values())[:PART]
    async with db.pool.acquire() as connection, connection.transaction():
        # A plan that goes astray would go on for minutes.
        await connection.execute("SET LOCAL statement_timeout = '60s'")
        for mode, (name, definition) in product(
            ("force_custom_plan", "force_generic_plan"), DEFINITIONS.items()
        ):
            await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
            reader: Any = Explained(connection, of.account)
            bound = await of.bind(definition)
            read: dict[str, float] = {}
            met = await facts.met(reader, bound, contacts, part, now=T0)
            read["met"] = reader.handled
            number = await count(reader, bound, contacts, now=T0)
            read["count"] = reader.handled
            for order in (), ({"property": "found"},):
                assert await page(reader, of, definition, order) == (min(number, 50), number)
                read[f"page {order}"] = reader.handled
            assert max(read.values()) < MOST, (name, mode, read)
            assert len(met) <= number
            assert (number > 0) is (name not in NOBODY), name


async def page(
    reader: Any, of: World, definition: dict[str, Any], order: Sequence[Mapping[str, Any]]
) -> tuple[int, int]:
    """How many records a page of 50 has, and how many all pages have, as one statement tells it."""
    catalogue = await of.catalogue()
    asked = listings.Asked(where=definition, order_by=order, first=50)
    listing = listings.records(catalogue, catalogue.by_name["contacts"], asked)
    edges = Edges((("node", RecordParts((("id", Identity("rec_")),))),))
    parts = (("edges", edges), ("totalCount", Total()))
    plan = compile(Selection((("records", Connection(listing, parts)),)))
    answer = orjson.loads((await reader.fetch(plan.sql, *plan.params))[0]["answer"])["records"]
    return len(answer["edges"]), answer["totalCount"]
