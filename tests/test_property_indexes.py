"""Equality on any property, range and order on searchable ones, by an index that is made while others write."""

import asyncio
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from engine import indexing, properties
from engine.properties import PropertyBeingIndexed
from resolvers import listings
from storage import property_keys
from storage.database import Database
from storage.filters.tree import Index
from storage.selection.plans import compile
from storage.selection.tree import (
    Connection,
    EdgeFact,
    Edges,
    Identity,
    PageFact,
    PageInfo,
    RecordParts,
    Selection,
)
from tests.crm import T0, Crm, crm, made
from tests.filtering import POOLS, World, associated, leaf, some_values, world
from tests.filtering_past import ZONES, clocks
from tests.online import flag, meanwhile, prop, reach, read_by
from tests.test_filters_folds import check, populated, trees

# --- marking, online ----------------------------------------------------------------------------------------


async def kept(of: Crm, name: str) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """What the two side tables hold of a property: (record, value) and (record, hash)."""
    row = await prop(of, name)
    async with of.db.read(of.account) as reader:
        values = await reader.fetch(
            "SELECT v.record_id, coalesce(v.text_value, v.number_value::text) FROM property_value AS v"
            " WHERE v.account_id = $1 AND v.property_id = $2",
            row.id,
        )
        keys = await reader.fetch(
            "SELECT k.record_id, k.value_hash FROM property_key AS k"
            " WHERE k.account_id = $1 AND k.property_id = $2",
            row.id,
        )
    return {tuple(one) for one in values}, {tuple(one) for one in keys}


async def held(of: Crm, name: str) -> dict[int, list[Any]]:
    """The values that records hold, as lists."""
    rows = await of.table("SELECT r.id, r.properties FROM record AS r WHERE r.account_id = $1")
    found = {record_id: given[name] for record_id, given in rows if name in given}
    return {n: one if isinstance(one, list) else [one] for n, one in found.items()}


async def exact(of: Crm, name: str) -> None:
    """The one index that is to be there holds what the records hold, the other one nothing."""
    values, keys = await kept(of, name)
    pairs = [(record_id, one) for record_id, several in (await held(of, name)).items() for one in several]
    assert pairs
    if (await prop(of, name)).searchable:
        assert values == {(record_id, str(one)) for record_id, one in pairs}
        assert keys == set()
    else:
        assert keys == {(record_id, property_keys.value_hash(one)) for record_id, one in pairs}
        assert values == set()


@pytest.mark.parametrize("name", ["text", "grade", "tags"])
async def test_an_index_is_made_while_others_write(
    db: Database, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 7)
    of = await world(db)
    chance = random.Random(3)
    pool = ["a", "b", "c"] if name != "grade" else [1, 2, 3]

    def some() -> Any:
        return chance.sample(pool, chance.randint(1, 3)) if name == "tags" else chance.choice(pool)

    ids = [row.id for row in made(await of.create(*({name: some()} for _ in range(60))))]

    async def write() -> None:
        """Change values, clear some, create records: what is told of them is never wrong meanwhile."""
        one, other = chance.sample(ids, 2)
        made(await of.update((one, {name: some()}), (other, {name: None})))
        ids.append(await of.contact(**{name: some()}))
        wanted = leaf(name, "ANY_OF", some()[0] if name == "tags" else some())
        # The catalogue of the filter may be an older one: whoever still has it is answered rightly, too.
        await of.folds(await of.bind(wanted), "contacts", ids)

    async def change(searchable: bool) -> None:
        await flag(of, name, searchable=searchable)
        now = of.now
        while (await prop(of, name)).index_state != "READY":
            await indexing.run_once(db, of.account, now=now)
            now += timedelta(seconds=20)
            await asyncio.sleep(0.005)

    async with meanwhile(write) as written:
        for searchable in (True, False, True):
            await change(searchable)
            await written()
            assert (await prop(of, name)).searchable is searchable
    await exact(of, name)
    await flag(of, name, searchable=False)
    await reach(of, name, index_state="READY")
    await exact(of, name)


async def test_a_new_index_is_read_when_it_is_complete_and_the_old_one_written_until_nobody_reads_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 2)
    of = await world(db)
    await of.make(ann={"text": "x"}, bob={"text": "y"}, cy={"text": "x"})

    x = leaf("text", "EQUALS", "x")
    old = await of.bind(x)
    assert await read_by(of, x) is Index.KEYS
    await flag(of, "text", searchable=True)
    # Half filled.
    assert await indexing.run_once(db, of.account, now=of.now)
    assert len((await kept(of, "text"))[0]) == 2
    assert await read_by(of, x) is Index.KEYS
    await reach(of, "text", index_state="RETIRING")
    assert await read_by(of, x) is Index.VALUES
    # Who planned before the change is still right.
    await of.make(dan={"text": "x"})
    expected = {of.ids["ann"], of.ids["cy"], of.ids["dan"]}
    assert await of.folds(old, "contacts", of.ids.values()) == expected
    # It has its time to end.
    assert not await indexing.run_once(db, of.account, now=of.now)
    with pytest.raises(PropertyBeingIndexed):
        await flag(of, "text", searchable=False)
    await reach(of, "text", index_state="READY")
    await exact(of, "text")


async def test_an_archived_property_leaves_nothing_behind_even_where_its_index_was_being_made(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 1)
    of = await world(db)
    await of.make(ann={"text": "x"}, bob={"text": "y"}, cy={"text": "z"})
    await flag(of, "text", searchable=True)
    assert await indexing.run_once(db, of.account, now=of.now)
    async with db.transaction(of.account, now=of.now, actor=of.actor, defining=True) as tx:
        await properties.archive(tx, "contacts", "text")
    await reach(of, "text", index_state="READY")
    assert await kept(of, "text") == (set(), set())


async def test_keys_follow_updates_merges_and_several_choices(db: Database) -> None:
    of = await world(db)
    await of.make(
        ann={"text": "x", "tags": ["a", "b"]},
        bob={"grade": 1.0, "active": True},
        cy={"text": "y", "grade": 0.1},
    )
    ann, bob, cy = (of.ids[name] for name in ("ann", "bob", "cy"))
    made(await of.update((ann, {"tags": ["b", "c"], "text": None}), (cy, {"grade": 2})))
    await of.merge(bob, cy)
    for name in ("text", "tags", "grade", "active"):
        await exact(of, name)
    assert (bob, property_keys.value_hash("y")) in (await kept(of, "text"))[1]


@pytest.mark.parametrize("state", ["FILLING", "RETIRING", "CLEARING", "READY"])
async def test_the_folds_agree_in_every_state_of_an_index(
    db: Database, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await populated(db, seed=13)
    monkeypatch.setattr(indexing, "CHUNK", 20)
    chance = random.Random(5)
    for name in POOLS:
        await flag(found, name, searchable=not (await prop(found, name)).searchable)
        if state == "FILLING":
            await indexing.run_once(db, found.account, now=found.now)
        else:
            await reach(found, name, index_state=state)
    # Written in that state.
    for n in range(8):
        await found.make(**{f"late{n}": some_values(chance)})
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=80,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(trees("contacts", depth=2), clocks(), st.sampled_from(ZONES))
    def agree(definition: Any, now: datetime, zone: ZoneInfo) -> None:
        asyncio.run_coroutine_threadsafe(check(found, "contacts", definition, now, zone), loop).result()

    await asyncio.to_thread(agree)


# --- plans, at the size of a company ------------------------------------------------------------------------

CONTACTS, COMPANIES, DEALS = 200_000, 40_000, 100_000
FIRST = 1_000_000
RECORDS = """
INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source, updated_source)
SELECT $1, $2 + n, $3, {properties}, $4, $4, 'API', 'API' FROM generate_series(1, $5) AS n
"""
# A tenth has the common value, one in ten thousand the rare one.
SOME = "CASE WHEN n % 10 = 0 THEN 'common' WHEN n % 10000 = 1 THEN 'rare' ELSE 'v' || n % 500 END"
SOMEWHERE = SOME.replace("= 1 ", "= 2 ")


@pytest.fixture
async def large(db: Database) -> Crm:
    """340,000 records, written at once: a hub with half of all contacts, and companies with five each."""
    of = await crm(db)
    await of.define(name="badge")
    await of.define("companies", name="badge")
    catalogue = await db.catalogue(of.account)
    contacts, companies, deals = (catalogue.by_name[name] for name in ("contacts", "companies", "deals"))
    words = f"jsonb_build_object('city', {SOME}, 'badge', {SOME}, 'score', n % 1000)"
    here = f"jsonb_build_object('name', 'Company ' || n, 'city', {SOMEWHERE}, 'badge', {SOMEWHERE})"
    sizes = (
        (contacts, words, FIRST, CONTACTS),
        (companies, here, FIRST + CONTACTS, COMPANIES),
        (deals, "jsonb_build_object('amount', n * 7919 % 1000000)", FIRST + CONTACTS + COMPANIES, DEALS),
    )
    async with db.pool.acquire() as session:
        for kind, given_values, first, n in sizes:
            sql = RECORDS.format(properties=given_values)
            await session.execute(sql, of.account, first, kind.id, T0, n)
            for row in kind.properties.values():
                table, value = ("number_value", "numeric") if row.type == "NUMBER" else ("text_value", "text")
                if row.searchable:
                    await session.execute(
                        f"INSERT INTO property_value (account_id, record_id, property_id, position, {table})"
                        f" SELECT $1, r.id, $2, 0, (r.properties ->> $3::text)::{value} FROM record AS r"
                        " WHERE r.account_id = $1 AND r.object_type_id = $4 AND r.properties ? $3",
                        *(of.account, row.id, row.name, kind.id),
                    )
            hashes = {
                one: property_keys.value_hash(one)
                for one in ("common", "rare", *(f"v{n}" for n in range(500)))
            }
            if "badge" in kind.properties:
                await session.execute(
                    "INSERT INTO property_key (account_id, property_id, value_hash, record_id)"
                    " SELECT $1, $2, h.hash, r.id FROM record AS r"
                    " JOIN unnest($3::text[], $4::bigint[]) AS h(text, hash) ON h.text = r.properties ->> 'badge'"
                    " WHERE r.account_id = $1 AND r.object_type_id = $5",
                    *(of.account, kind.properties["badge"].id, list(hashes), list(hashes.values()), kind.id),
                )
        there, back = (
            catalogue.unlabelled(contacts.id, companies.id),
            catalogue.unlabelled(companies.id, contacts.id),
        )
        hub, small = FIRST + CONTACTS + 1, f"{FIRST + CONTACTS} + n % {COMPANIES} + 1"
        far = f"CASE WHEN n % 2 = 0 THEN {hub} ELSE {small} END"
        for one, other, kind, type_id in (
            (f"{FIRST} + n", far, companies, there.id),
            (far, f"{FIRST} + n", contacts, back.id),
        ):
            await session.execute(
                "INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source)"
                f" SELECT $1, {one}, $2, {other}, $3, $4, 'API' FROM generate_series(1, {CONTACTS}) AS n",
                *(of.account, kind.id, type_id, T0),
            )
        await session.execute("VACUUM ANALYZE record, property_value, property_key, association, property")
    return of


async def touched(of: Crm, kind: str, mode: str, **asked: Any) -> tuple[int, dict[str, Any], set[str]]:
    """How many blocks a page touches, its answer, and the indexes and tables that its plan names."""
    catalogue = await of.db.catalogue(of.account)
    listing = listings.records(catalogue, catalogue.by_name[kind], listings.Asked(**asked))
    node = RecordParts((("id", Identity("rec_")),))
    parts = (
        ("edges", Edges((("cursor", EdgeFact.CURSOR), ("node", node)))),
        (
            "pageInfo",
            PageInfo((("hasNextPage", PageFact.HAS_NEXT), ("hasPreviousPage", PageFact.HAS_PREVIOUS))),
        ),
    )
    plan = compile(Selection((("records", Connection(listing, parts)),)))
    told = ", ".join(_literal(one) for one in (of.account, *plan.params))
    async with of.db.pool.acquire() as session, session.transaction():
        await session.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await session.execute(f"PREPARE asked AS {plan.sql}")
        rows = await session.fetch(f"EXECUTE asked({told})")
        explained = await session.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE asked({told})"
        )
        await session.execute("DEALLOCATE asked")
    top = orjson.loads(explained)[0]["Plan"]
    answer: dict[str, Any] = orjson.loads(rows[0]["answer"])["records"]
    return top["Shared Hit Blocks"] + top["Shared Read Blocks"], answer, set(_names(top))


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"ARRAY[{', '.join(_literal(one) for one in value)}]"
    return str(value) if isinstance(value, int) else f"'{value}'"


def _names(plan: dict[str, Any]) -> Iterator[str]:
    if plan["Node Type"] == "Seq Scan":
        yield f"all of {plan['Relation Name']}"
    elif "Index Name" in plan:
        yield plan["Index Name"]
    for below in plan.get("Plans", ()):
        yield from _names(below)


def both(*parts: Any) -> dict[str, Any]:
    """All of these."""
    return {"and": list(parts)}


# What is asked, how many are on the page, and an index that must be seen in the plan.
# 200,000 contacts cost 6,000 blocks when they are read, 800,000 when each is asked about its company.
FILTERS: dict[str, tuple[Any, int, str]] = {
    "rare, searchable": (leaf("city", "EQUALS", "rare"), 20, "property_value_text"),
    "rare, not searchable": (leaf("badge", "EQUALS", "rare"), 20, "property_key_pkey"),
    "common, searchable": (leaf("city", "EQUALS", "common"), 50, ""),
    "common, not searchable": (leaf("badge", "EQUALS", "common"), 50, ""),
    "rare among several": (leaf("badge", "ANY_OF", "rare", "none"), 20, "property_key_pkey"),
    "rare or another rare": (
        {"or": [leaf("badge", "EQUALS", "rare"), leaf("city", "EQUALS", "rare")]}, 20, "property_key_pkey"
    ),
    "rare and common": (both(leaf("badge", "EQUALS", "rare"), leaf("score", "EQUALS", 1)), 20, ""),
    "a narrow range": (leaf("score", "BETWEEN", 7, 8), 50, ""),
    "a wide range": (leaf("score", "GREATER_THAN", 100), 50, ""),
    "at rare companies": (associated("companies", leaf("badge", "EQUALS", "rare")), 20, "property_key_pkey"),
    "at a company by name": (associated("companies", leaf("name", "EQUALS", "Company 78")), 5, "property_value_text"),
    "at common companies": (associated("companies", leaf("city", "EQUALS", "common")), 50, ""),
    "at the hub": (associated("companies", leaf("name", "EQUALS", "Company 1")), 50, ""),
    "of a city, at common companies": (
        both(leaf("city", "EQUALS", "v9"), associated("companies", leaf("badge", "EQUALS", "common"))), 50, ""
    ),
}  # fmt: skip
ORDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "rising numbers": ("deals", {"property": "amount"}),
    "falling numbers": ("deals", {"property": "amount", "direction": "DESC"}),
    "rising texts, many alike": ("contacts", {"property": "city"}),
    "falling texts, many alike": ("contacts", {"property": "city", "direction": "DESC"}),
}


async def test_pages_of_340_000_records_are_read_by_index(large: Crm) -> None:
    for mode in ("force_custom_plan", "force_generic_plan"):
        for what, (where, found, index) in FILTERS.items():
            if what == "rare among several" and mode == "force_generic_plan":
                # How many of any values there are, nobody knows.
                continue
            blocks, answer, names = await touched(large, "contacts", mode, where=where)
            assert len(answer["edges"]) == found, (what, mode)
            most = 10_000 if "at common companies" in what or what == "at the hub" else 2_500
            assert blocks < most, (what, mode, blocks, names)
            assert "all of record" not in names, (what, mode)
            assert not index or index in names, (what, mode, names)
        for what, (kind, order) in ORDERS.items():
            first: dict[str, Any] = {"order_by": [order], "first": 50}
            _, answer, _ = await touched(large, kind, mode, **first)
            last = answer["edges"][-1]["cursor"]
            _, second, _ = await touched(large, kind, mode, **first, after=last)
            back = {"order_by": [order], "last": 50, "before": second["edges"][0]["cursor"]}
            for asked in (first, first | {"after": last}, back):
                blocks, page, names = await touched(large, kind, mode, **asked)
                assert blocks < 1_000, (what, mode, blocks, names)
                assert page["pageInfo"]["hasNextPage"] is True
                assert page["edges"] == (second if "after" in asked else answer)["edges"]


async def test_records_without_a_value_follow_those_that_have_one_on_one_page(db: Database) -> None:
    of = await world(db)
    await of.make(**{f"c{n}": {"points": n % 3} if n % 2 else {} for n in range(20)})
    assert isinstance(of, World)
    for direction in ("ASC", "DESC"):
        seen: list[str] = []
        asked: dict[str, Any] = {"order_by": [{"property": "points", "direction": direction}], "first": 3}
        while True:
            _, page, _ = await touched(of, "contacts", "auto", **asked)
            seen += [edge["node"]["id"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                break
            asked["after"] = page["edges"][-1]["cursor"]
        numbers = {f"rec_{of.ids[f'c{n}']}": n for n in range(20)}
        turned = direction == "DESC"
        valued = sorted((n % 3, n) for n in range(20) if n % 2)
        without = sorted(n for n in range(20) if not n % 2)
        expected = [n for _, n in (reversed(valued) if turned else valued)]
        assert [numbers[one] for one in seen] == expected + (without[::-1] if turned else without)
