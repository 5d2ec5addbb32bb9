"""Many at once through the face: nothing twice, nothing lost, nobody told of a collision that could be mended."""

import asyncio
from itertools import pairwise
from typing import Any

from engine.records.keeping import MANY
from server.app import create_app
from storage.database import Database, connect
from tests.face import Client, clients, new_key, opened
from tests.statements import counted

RECORDS = """
    results { record { id property(name: "firstname") } created userErrors { code } }
    userErrors { code message }
"""


async def test_upserts_of_one_key_that_race_make_one_record(db: Database) -> None:
    async with opened(db) as client:

        async def upsert(n: int) -> Any:
            record = {"properties": {"email": "ann@acme.example", "firstname": f"Ann {n}"}}
            return await client.do(
                "upsertRecords", RECORDS, {"objectType": "contacts", "by": "email", "records": [record]}
            )

        payloads = await asyncio.gather(*(upsert(n) for n in range(8)))
        assert [payload["userErrors"] for payload in payloads] == [[]] * 8
        assert sum(payload["results"][0]["created"] for payload in payloads) == 1
        assert len({payload["results"][0]["record"]["id"] for payload in payloads}) == 1


async def test_one_idempotency_key_sent_many_times_at_once_does_its_work_once(db: Database) -> None:
    async with opened(db) as client:
        asked = {"objectType": "contacts", "records": [{"properties": {}}], "idempotencyKey": "k"}
        payloads = await asyncio.gather(*(client.do("createRecords", RECORDS, asked) for _ in range(6)))
        assert len({payload["results"][0]["record"]["id"] for payload in payloads}) == 1
        count = '{ records(objectType: "contacts", first: 0) { totalCount } }'
        assert (await client.get(count))["records"]["totalCount"] == 1


async def test_pairs_taken_in_opposite_orders_both_arrive(db: Database) -> None:
    async with opened(db) as client:
        made = await client.do(
            "createRecords",
            "results { record { id } }",
            {"objectType": "contacts", "records": [{"properties": {}}] * 20},
        )
        ids = [result["record"]["id"] for result in made["results"]]
        pairs = [{"fromId": one, "toId": other} for one, other in pairwise(ids)]
        back = [{"fromId": pair["toId"], "toId": pair["fromId"]} for pair in reversed(pairs)]
        changes = [{"id": one, "properties": {"firstname": "x"}} for one in reversed(ids)]
        payloads = await asyncio.gather(
            *(
                client.do("associate", "userErrors { code }", {"associations": one})
                for one in (pairs, back) * 3
            ),
            *(client.do("updateRecords", "userErrors { code }", {"records": changes}) for _ in range(3)),
        )
        assert [payload["userErrors"] for payload in payloads] == [[]] * 9


async def test_definitions_that_are_made_at_once_all_stand(db: Database) -> None:
    async with opened(db) as client:
        payloads = await asyncio.gather(
            *(
                client.do(
                    "createProperty",
                    "userErrors { code }",
                    {"objectType": "contacts", "name": f"p{n % 3}", "label": "x", "type": "STRING"},
                )
                for n in range(6)
            )
        )
        assert sorted(len(payload["userErrors"]) for payload in payloads) == [0, 0, 0, 1, 1, 1]


async def test_what_one_process_defines_the_others_know_at_once(db: Database, database_url: str) -> None:
    async with opened(db) as client, connect(database_url) as second, clients(create_app(second)) as http:
        other = Client(http, await new_key(db, client.account_id), client.account_id)
        text = '{ records(objectType: "contacts") { nodes { property(name: "shoe") } } }'
        assert (await other.ask(text))["errors"][0]["extensions"]["code"]
        await client.do(
            "createProperty",
            "userErrors { code }",
            {"objectType": "contacts", "name": "shoe", "label": "Shoe", "type": "NUMBER"},
        )
        made = {"objectType": "contacts", "records": [{"properties": {"shoe": 42}}]}
        assert (await other.do("createRecords", RECORDS, made))["userErrors"] == []
        assert (await other.get(text))["records"]["nodes"] == [{"property": 42}]
        await client.do("archiveProperty", "userErrors { code }", {"objectType": "contacts", "name": "shoe"})
        assert (await other.ask(text))["errors"][0]["extensions"]["code"]


async def test_statements_do_not_grow_with_the_batch(db: Database) -> None:
    async with opened(db) as client:
        text = """mutation ($input: CreateRecordsInput!) { createRecords(input: $input) {
            results { record { displayName associations(to: "companies") { nodes { id } }
                               associationCount(to: "deals") history { nodes { version } } } } } }"""
        counts = []
        # The first also loads the definitions; from the fourth on they are copied.
        for size in (2, 3, MANY - 1, MANY, 300):
            records = [{"properties": {"email": f"{size}.{n}@acme.example"}} for n in range(size)]
            with counted() as seen:
                await client.get(text, input={"objectType": "contacts", "records": records})
            counts.append(len(seen))
        assert counts[1] == counts[2]
        assert counts[3] == counts[4]
