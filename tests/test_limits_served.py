"""Limits at the face: the same over HTTP, event streams and WebSockets, told with their numbers, and all settable."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from server.app import create_app
from server.limits import Limits
from server.settings import BadSetting, Settings
from storage.database import Database, connect
from tests.face import Client, opened
from tests.hurry import later
from tests.processes import PATIENCE
from tests.served import served, talk

ACCOUNT = "{ account { id } }"
PAGE = 'query ($n: Int) { records(objectType: "contacts", first: $n) { nodes { id } } }'
MIXED = 'query ($n: Int) { account { id } records(objectType: "contacts", first: $n) { nodes { id } } }'


async def code(client: Client, query: str, **variables: Any) -> str | None:
    """The code of the one error of an answer without data, if there is one."""
    answer = await client.ask(query, **variables)
    if "errors" not in answer:
        return None
    assert "data" not in answer
    (error,) = answer["errors"]
    found: str = error["extensions"]["code"]
    return found


@pytest.mark.parametrize("query", [PAGE, MIXED])
async def test_every_answer_tells_its_cost(db: Database, query: str) -> None:
    """Compiled or not: one query is answered whole by one statement, the other beside an ordinary field."""
    async with opened(db) as client:
        small, large = [(await client.ask(query, n=n))["extensions"]["cost"] for n in (10, 100)]
        assert small["limit"] == large["limit"] == Limits().cost
        assert 10 < small["requested"] < large["requested"] < 130
        for answer in (
            await client.ask("{ record(id: 5) { id } }"),
            await client.ask("{ __typename }"),
            await client.ask("mutation { archiveRecords(input: {ids: []}) { userErrors { code } } }"),
        ):
            assert answer["extensions"]["cost"]["requested"] >= 1


@pytest.mark.parametrize("query", [PAGE, MIXED])
async def test_what_costs_too_much_is_refused_with_both_numbers(db: Database, query: str) -> None:
    async with opened(db, limits=Limits(cost=60)) as client:
        assert await code(client, query, n=50) is None
        response = await client.post(query, {"n": 100}, extensions={})
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
        told = error["extensions"]["details"]
        assert told["limit"] == 60 < told["cost"]
        assert str(told["cost"]) in error["message"]
        assert response.json()["extensions"]["cost"] == {"requested": told["cost"], "limit": 60}
        strict = {"Accept": "application/graphql-response+json"} | client.headers
        body = {"query": query, "variables": {"n": 100}}
        assert (await client.http.post("/graphql", json=body, headers=strict)).status_code == 400


async def test_a_mutation_that_costs_too_much_writes_nothing(db: Database) -> None:
    text = """mutation ($i: CreateRecordsInput!) {
      createRecords(input: $i) { results { record { id } } userErrors { code } } }"""
    async with opened(db, limits=Limits(cost=5_000)) as client:
        records = {"objectType": "contacts", "records": [{"properties": {}}] * 600}
        assert await code(client, text, i=records) == "COST_LIMIT_EXCEEDED"
        count = '{ records(objectType: "contacts") { totalCount } }'
        assert (await client.get(count))["records"]["totalCount"] == 0


async def test_each_limit_can_be_set(db: Database) -> None:
    tight = Limits(depth=3, aliases=2, directives=1, tokens=60, fields=10, page=50, batch=2)
    async with opened(db, limits=tight) as client:
        assert await code(client, ACCOUNT) is None
        assert (
            await code(client, PAGE.replace("id", "enrollments { nodes { id } }")) == "DEPTH_LIMIT_EXCEEDED"
        )
        assert await code(client, "{ a: account { x: id y: id } }") == "ALIAS_LIMIT_EXCEEDED"
        assert await code(client, "{ account { id id id id } }") == "REPETITION_LIMIT_EXCEEDED"
        two = "{ account @include(if: true) { id @skip(if: false) } }"
        assert await code(client, two) == "DIRECTIVE_LIMIT_EXCEEDED"
        assert await code(client, "{ account { id } }" + " #\n," * 70 + " x" * 70) == "TOKEN_LIMIT_EXCEEDED"
        record = "{ record(id: 1) { id objectType createdAt updatedAt archivedAt displayName a: id p: properties } }"
        assert await code(client, record.replace("}", "lastAssociationChangeAt __typename }", 1)) == (
            "FIELD_LIMIT_EXCEEDED"
        )
        assert await code(client, PAGE, n=51) == "INVALID_PAGE_SIZE"
        assert await code(client, MIXED, n=51) == "INVALID_PAGE_SIZE"
        told = await client.do(
            "archiveRecords", "userErrors { code details }", {"ids": ["rec_1", "rec_2", "rec_3"]}
        )
        assert told["userErrors"] == [{"code": "BATCH_TOO_LARGE", "details": {"size": 3, "limit": 2}}]
    async with opened(db, "other", limits=Limits(page=600, introspection=False)) as client:
        assert await code(client, PAGE, n=600) is None
        assert await code(client, MIXED, n=600) is None
        assert await code(client, '{ __type(name: "Query") { name } }') == "GRAPHQL_VALIDATION_FAILED"
        assert await code(client, "{ __typename }") is None


def test_settings_become_limits() -> None:
    assert Settings().limits() == Limits()
    chosen = Settings.from_environment({"RELATA_MAX_COST": "7", "RELATA_INTROSPECTION": "off"}).limits()
    assert (chosen.cost, chosen.introspection) == (7, False)
    for name, value in {
        "RELATA_MAX_PAGE": "10001",
        "RELATA_MAX_DEPTH": "0",
        "RELATA_CORS_ORIGINS": "crm.example",
        "RELATA_DOCUMENTS_ONLY": "yes",
    }.items():
        with pytest.raises(BadSetting, match=name):
            Settings.from_environment({name: value})


async def test_sockets_and_streams_keep_the_same_limits(db: Database) -> None:
    text = "subscription ($n: Int) {{ enrollmentEvents {{ record {{ {} }} }} }}"
    page = 'associations(to: "deals", first: $n) { nodes { id } }'
    watch = text.format(page)
    async with opened(db, limits=Limits(cost=60, depth=5)) as client:
        app: Any = client.http._transport.app  # type: ignore[attr-defined]
        async with served(app) as path, talk(path, key=client.key) as socket:
            for ident, query, variables, wanted in (
                ("1", PAGE, {"n": 100}, "COST_LIMIT_EXCEEDED"),
                ("2", watch, {"n": 100}, "COST_LIMIT_EXCEEDED"),
                ("3", text.format(page.replace("id", page)), {"n": 1}, "DEPTH_LIMIT_EXCEEDED"),
                ("4", PAGE, {"n": 501}, "INVALID_PAGE_SIZE"),
            ):
                await socket.subscribe(ident, query, **variables)
                told = await socket.hear()
                assert (told["type"], told["id"]) == ("error", ident)
                assert told["payload"][0]["extensions"]["code"] == wanted
            await socket.subscribe("5", PAGE, n=10)
            assert (await socket.hear())["payload"]["extensions"]["cost"]["requested"] == 12
        for query in (PAGE, watch):
            headers = client.headers | {"Accept": "text/event-stream"}
            body = {"query": query, "variables": {"n": 100}}
            response = await client.http.post("/graphql", json=body, headers=headers)
            (line,) = [part[6:] for part in response.text.splitlines() if part.startswith("data: {")]
            assert json.loads(line)["errors"][0]["extensions"]["code"] == "COST_LIMIT_EXCEEDED"


async def test_what_is_too_entangled_to_be_validated_is_told_so(db: Database) -> None:
    names = range(400)
    spreads = " ".join(f"...F{n}" for n in names)
    text = f"{{ {spreads} }} " + " ".join(f"fragment F{n} on Query {{ account {{ id }} }}" for n in names)
    async with opened(db) as client:
        (error,) = (await client.ask(text))["errors"]
        assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert "too many" in error["message"]


SLEEPING = """SELECT count(*) FROM pg_stat_activity AS s
  WHERE s.query LIKE '%pg_sleep(60)%' AND s.state = 'active' AND s.pid <> pg_backend_pid()
    AND s.datname = current_database()"""


async def until_sleeping(url: str, asking: Sequence[asyncio.Task[Any]]) -> None:
    """Until some of them have come to where they take long, or all are through."""
    other: Any = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(PATIENCE):
            while not (await other.fetchval(SLEEPING) or all(one.done() for one in asking)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await other.close()


async def test_time_that_is_up_ends_the_work_in_the_database_too(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than there are connections: each is free again, and good."""
    from engine import accounts

    async def slow(reader: Any) -> None:
        await reader.fetchval("SELECT pg_sleep(60) WHERE $1::bigint IS NOT NULL")

    async with connect(database_url, size=2) as db, opened(db) as client:
        with monkeypatch.context() as patched:
            patched.setattr(accounts, "read", slow)
            asking = [asyncio.create_task(client.ask(ACCOUNT)) for _ in range(6)]
            # Two at a time, each pair until its time is up.
            while not all(one.done() for one in asking):
                await until_sleeping(database_url, asking)
                later(Limits().seconds)
            told = await asyncio.gather(*asking)
        assert {answer["errors"][0]["extensions"]["code"] for answer in told} == {"TIMEOUT"}
        assert await db.pool.fetchval(SLEEPING) == 0
        for _ in range(5):
            assert "errors" not in await client.ask(ACCOUNT)


async def test_a_write_whose_time_is_up_is_undone(
    db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import records

    create = records.create

    async def slow(tx: Any, *rest: Any) -> Any:
        made = await create(tx, *rest)
        await tx.fetchval("SELECT pg_sleep(60) WHERE $1::bigint IS NOT NULL")
        return made

    async with opened(db) as client:
        with monkeypatch.context() as patched:
            patched.setattr(records, "create", slow)
            asking = asyncio.create_task(
                client.ask(
                    """mutation { createRecords(input: {objectType: "contacts", records: [{properties: {}}]}) {
                      userErrors { code } } }"""
                )
            )
            await until_sleeping(database_url, [asking])
            later(Limits().seconds)
            answer = await asking
        assert answer["errors"][0]["extensions"]["code"] == "TIMEOUT"
        assert await db.pool.fetchval(SLEEPING) == 0
        count = '{ records(objectType: "contacts") { totalCount } }'
        assert (await client.get(count))["records"]["totalCount"] == 0


async def test_nothing_is_cut_short(db: Database) -> None:
    """What does not fit on a page says so, and what is beyond a limit is refused: never less than was asked for."""
    async with opened(db, limits=Limits(page=60)) as client:
        records = {"objectType": "contacts", "records": [{"properties": {}}] * 130}
        assert (await client.do("createRecords", "userErrors { code }", records))["userErrors"] == []
        query = """query ($after: String) { records(objectType: "contacts", first: 60, after: $after) {
          totalCount nodes { id } pageInfo { hasNextPage endCursor } } }"""
        seen: set[str] = set()
        after = None
        for more in (True, True, False):
            page = (await client.get(query, after=after))["records"]
            seen |= {node["id"] for node in page["nodes"]}
            after = page["pageInfo"]["endCursor"]
            assert page["pageInfo"]["hasNextPage"] is more
        assert len(seen) == page["totalCount"] == 130


def test_an_application_has_limits_even_when_nobody_says_so() -> None:
    assert create_app.__kwdefaults__ is not None
    assert Limits().seconds == 30
