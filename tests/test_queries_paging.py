"""Pages: every record once in a stable order, forward and backward; a hub costs no more than its page."""

# ruff: noqa: E501 - a query reads best in few lines

from datetime import timedelta
from itertools import pairwise, product
from typing import Any

import orjson
import pytest
from graphql import get_operation_ast, parse
from graphql.execution.values import get_variable_values

from engine import records
from engine.batches import Mode
from resolvers.selection.answering import prepare
from resolvers.selection.reading import Reading
from schema.root import SCHEMA
from storage.database import Database
from storage.filters import ways
from storage.selection import ordered
from storage.selection.plans import compile
from tests.queries import ACTOR, T0, Asker, asker, story
from tests.statements import counted

LIST = """query ($first: Int, $after: String, $last: Int, $before: String, $order: [OrderInput!]) {
    records(objectType: "contacts", first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } } } }"""
NESTED = """query ($id: ID, $first: Int, $after: String, $last: Int, $before: String, $order: [OrderInput!]) {
    record(objectType: "companies", id: $id) { associations(to: "contacts", first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } } } } }"""

ORDERS: list[list[dict[str, Any]]] = [
    [],
    [{"field": "ID", "direction": "DESC"}],
    [{"property": "points"}],
    [{"property": "points", "direction": "DESC"}],
    [{"property": "city", "direction": "DESC"}, {"property": "points"}],
    [{"field": "LAST_ASSOCIATION_CHANGE_AT", "direction": "DESC"}, {"property": "city"}],
    [{"field": "CREATED_AT"}, {"field": "ID", "direction": "DESC"}],
]


async def crowd(db: Database) -> Asker:
    """Contacts of one company, many with equal values or none."""
    of = await story(db)
    cities = ["Ulm", "Ålen", "ulm", "", "Ulm"]
    given = {
        f"p{n}": {"city": cities[n % 5]} | ({"points": [1, 2.5, -1][n % 3]} if n % 4 else {})
        for n in range(17)
    }
    await of.create("contacts", **given)
    for n in range(0, 17, 2):
        await of.associate(("core", f"p{n}"), now=T0 + timedelta(seconds=n // 4))
    return of


def connection(data: dict[str, Any]) -> dict[str, Any]:
    """The one connection of an answer."""
    found: dict[str, Any] = data.get("records") or data["record"]["associations"]
    return found


async def walked(of: Asker, text: str, size: int, backward: bool, **variables: Any) -> list[str]:
    """The ids on all pages, in the order of the list."""
    found: list[list[str]] = []
    cursor: str | None = None
    while True:
        step = {"last": size, "before": cursor} if backward else {"first": size, "after": cursor}
        page = connection(await of.both(text, variables | step))
        found.append([edge["node"]["id"] for edge in page["edges"]])
        facts = page["pageInfo"]
        assert facts["startCursor"] == page["edges"][0]["cursor"]
        assert facts["endCursor"] == page["edges"][-1]["cursor"]
        # What lies behind us is where we came from.
        assert facts["hasNextPage" if backward else "hasPreviousPage"] is (cursor is not None)
        if not facts["hasPreviousPage" if backward else "hasNextPage"]:
            break
        cursor = facts["startCursor" if backward else "endCursor"]
    return [one for page_ids in (reversed(found) if backward else found) for one in page_ids]


async def test_walking_pages_gives_every_record_once_in_both_directions(db: Database) -> None:
    of = await crowd(db)
    for text, variables in ((LIST, {}), (NESTED, {"id": of.ids["core"]})):
        for order in ORDERS:
            whole = connection(await of.both(text, {**variables, "order": order}))
            ids = [edge["node"]["id"] for edge in whole["edges"]]
            assert len(ids) == len(set(ids)) > 9
            assert await walked(of, text, 4, False, order=order, **variables) == ids
            assert await walked(of, text, 5, True, order=order, **variables) == ids


FILTERED = """query ($first: Int, $after: String, $last: Int, $before: String, $order: [OrderInput!]) {
    records(objectType: "contacts", first: $first, after: $after, last: $last, before: $before, orderBy: $order,
            where: {property: {name: "city", operator: STARTS_WITH, values: ["U", "u"], includeEmpty: true}}) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } } } }"""


async def test_a_page_is_the_same_wherever_the_walk_along_its_index_is_broken_off(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = await crowd(db)
    named = {f"q{n}": {"lastname": "BAB"[n % 3], "city": ("Ulm", "Rom")[n % 2]} for n in range(11)}
    await of.create("contacts", **named)
    for order in ([{"property": "lastname"}], [{"property": "lastname", "direction": "DESC"}]):
        expected = None
        for longest in (1000, 1, 2, 3, 5, 8, 11, 12, 13):
            monkeypatch.setattr(ordered, "WALKED", longest)
            # Another text each time: what is compiled is remembered.
            text = f"{FILTERED} # {longest}"
            whole = connection(await of.both(text, {"order": order}))
            ids = [edge["node"]["id"] for edge in whole["edges"]]
            expected = expected or ids
            assert ids == expected
            assert await walked(of, text, 4, False, order=order) == ids
            assert await walked(of, text, 5, True, order=order) == ids


async def test_records_without_a_value_come_last_in_both_directions(db: Database) -> None:
    of = await crowd(db)
    text = """query ($way: OrderDirection!) { records(objectType: "contacts", orderBy: [{property: "points", direction: $way}]) {
        nodes { id property(name: "points") } } }"""
    for way in ("ASC", "DESC"):
        nodes = (await of.both(text, {"way": way}))["records"]["nodes"]
        points = [node["property"] for node in nodes]
        known = [one for one in points if one is not None]
        assert points == known + [None] * (len(points) - len(known))
        assert known == sorted(known, reverse=way == "DESC")
        # Equal ones, and those without, follow each other by id, in the same direction.
        places = [(point, int(node["id"][4:])) for point, node in zip(points, nodes, strict=True)]
        ids = [(one[1], other[1]) for one, other in pairwise(places) if one[0] == other[0]]
        assert ids
        assert all(one < other if way == "ASC" else one > other for one, other in ids)


async def test_a_page_between_two_cursors_knows_of_both_sides(db: Database) -> None:
    of = await crowd(db)
    edges = connection(await of.both(LIST, {"first": 10}))["edges"]
    between = {"after": edges[1]["cursor"], "before": edges[5]["cursor"]}
    for size in ({"first": 2}, {"last": 2}, {"first": 10}, {"last": 10}, {}):
        page = connection(await of.both(LIST, between | size))
        assert page["pageInfo"]["hasNextPage"] is True
        assert page["pageInfo"]["hasPreviousPage"] is True
        inside = [edge["node"]["id"] for edge in edges[2:5]]
        wanted = inside[-2:] if size == {"last": 2} else inside[: size.get("first", 50)]
        assert [edge["node"]["id"] for edge in page["edges"]] == wanted


async def test_cursors_survive_a_change_of_what_they_point_to(db: Database) -> None:
    of = await crowd(db)
    order = [{"property": "points"}]
    page = connection(await of.both(LIST, {"first": 3, "order": order}))

    last = int(page["edges"][-1]["node"]["id"][4:])
    async with db.transaction(of.account, now=T0, actor=ACTOR) as tx:
        await records.archive(tx, [last], Mode.ATOMIC)
    rest = connection(await of.both(LIST, {"order": order, "after": page["pageInfo"]["endCursor"]}))
    seen = {edge["node"]["id"] for edge in [*page["edges"], *rest["edges"]]}
    assert len(seen) == 4 + 17


async def plan_of(of: Asker, text: str, variables: dict[str, Any], mode: str) -> dict[str, Any]:
    """The plan of a compiled query as it ran (EXPLAIN ANALYZE); `mode` is PostgreSQL's `plan_cache_mode`."""
    with counted() as told:
        assert await of.compiled(text, variables) is not None
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    values = get_variable_values(SCHEMA, operation.variable_definitions or (), variables)
    assert not isinstance(values, list)
    catalogue = await of.db.catalogue(of.account)
    prepared = prepare(document, operation)
    plan = compile(Reading(SCHEMA, prepared.fragments, operation, values, catalogue).selection())
    assert [plan.sql] == told
    texts = (
        orjson.dumps(one).decode()
        if isinstance(one, dict)
        else "{" + orjson.dumps(one).decode()[1:-1] + "}"
        if isinstance(one, list)
        else str(one)
        for one in plan.params
    )
    given = ", ".join([str(of.account), *("'" + one.replace("'", "''") + "'" for one in texts)])
    async with of.db.pool.acquire() as session, session.transaction():
        await session.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await session.execute(f"PREPARE asked AS {plan.sql}")
        told_plan = await session.fetchval(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE asked({given})"
        )
        await session.execute("DEALLOCATE asked")
    found: dict[str, Any] = orjson.loads(told_plan)[0]["Plan"]
    return found


def rows_read(plan: dict[str, Any], table: str) -> float:
    """How many rows of a table a plan read, those that it threw away included."""
    own = 0.0
    if plan.get("Relation Name") == table:
        read = (
            plan["Actual Rows"]
            + plan.get("Rows Removed by Filter", 0)
            + plan.get("Rows Removed by Index Recheck", 0)
        )
        own = read * plan["Actual Loops"]
    return own + sum(rows_read(below, table) for below in plan.get("Plans", ()))


async def hub(db: Database, degree: int) -> Asker:
    """A company with so many contacts; written at once, as no story needs to tell."""
    of = await asker(db)
    await of.create("companies", hub={"name": "Hub"})
    catalogue = await db.catalogue(of.account)
    contacts, companies = (catalogue.by_name[name] for name in ("contacts", "companies"))
    async with db.pool.acquire() as connection:
        await connection.execute(
            """INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source, updated_source, version)
               SELECT $1, 1000000 + n, $2, '{}', $3, $3, 'API', 'API', 1 FROM generate_series(1, $4) AS n""",
            of.account,
            contacts.id,
            T0,
            degree,
        )
        await connection.execute(
            """INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source)
               SELECT $1, $2, $3, 1000000 + n, $4, $5, 'API' FROM generate_series(1, $6) AS n""",
            of.account,
            of.number("hub"),
            contacts.id,
            catalogue.unlabelled(companies.id, contacts.id).id,
            T0,
            degree,
        )
    return of


HUB = """query ($id: ID, $first: Int, $after: String, $last: Int, $before: String) {
    record(objectType: "companies", id: $id) {
        associations(to: "contacts", first: $first, after: $after, last: $last, before: $before) {
            pageInfo { hasNextPage hasPreviousPage } edges { cursor labels { name } node { id } } } } }"""


async def test_a_page_of_a_hub_reads_a_page(db: Database) -> None:
    of = await hub(db, 20_000)
    of_hub: dict[str, Any] = {"id": of.ids["hub"]}
    first = connection(await of.both(HUB, of_hub | {"first": 1}))["edges"][0]["cursor"]
    middle = f"{first.split('_')[0]}_{1_000_000 + 12_345}"
    pages: list[dict[str, Any]] = [{}, {"after": middle}, {"last": 50}, {"last": 50, "before": middle}]
    # Without statistics, as after a bulk load, and with them; planned for its values, and for any.
    for analyzed in (False, True):
        if analyzed:
            async with db.pool.acquire() as session:
                await session.execute("ANALYZE")
        for page, mode in product(pages, ("force_custom_plan", "force_generic_plan")):
            plan = await plan_of(of, HUB, of_hub | page, mode)
            # The page, a row more to see whether it goes on, one before it, and the labels of each edge.
            assert 51 <= rows_read(plan, "association") <= 3 * 51
            assert rows_read(plan, "record") <= 2 * 51
    found = connection(await of.both(HUB, of_hub | {"after": middle}))
    assert found["edges"][0]["node"]["id"] == f"rec_{1_000_000 + 12_346}"
    assert found["pageInfo"] == {"hasNextPage": True, "hasPreviousPage": True}


async def test_ordinary_fields_run_as_many_statements_for_many_rows_as_for_few(db: Database) -> None:
    of = await story(db)
    text = """query ($n: Int) { records(objectType: "contacts", first: $n) { nodes { id history { nodes { at } }
        associationCount(to: "companies") associations(to: "companies") { totalCount edges { labels { name }
            node { id history { nodes { at } } associations(to: "contacts") { pageInfo { hasNextPage } nodes { displayName } } } } } } } }"""
    numbers = []
    for n in (1, 4):
        with counted() as told:
            answer = await of.executed(text, {"n": n}, compiles=True)
        assert "errors" not in answer
        numbers.append(len(told))
    assert numbers[0] == numbers[1] <= 8


async def test_a_page_in_an_order_begins_with_the_several_of_another_index(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = await story(db)
    await of.create("contacts", **{f"q{n}": {"lastname": f"L{n}", "city": "Rom"} for n in range(40)})
    await of.create("contacts", **{f"u{n}": {"lastname": f"M{n}", "city": f"Ulm {n}"} for n in range(5)})
    monkeypatch.setattr(ways, "FEW", 2)
    text = """query ($order: [OrderInput!]) { records(objectType: "contacts", orderBy: $order,
        where: {property: {name: "city", operator: STARTS_WITH, value: "Ulm "}}) { nodes { id } } }"""
    plan = await plan_of(of, text, {"order": [{"property": "lastname"}]}, "force_custom_plan")
    assert 5 <= rows_read(plan, "record") <= 15
