"""A whole story through the face: kinds of record, records, labels, associations, and reading them nested."""

from typing import Any

from storage.database import Database
from tests.face import Client, opened

ERRORS = "userErrors { code message path }"
RECORDS = f"results {{ record {{ id properties }} created {ERRORS} }} {ERRORS}"
PAIRS = f"""
    results {{ association {{ associated fromId toId labels {{ name label }} }} changed {ERRORS} }}
    {ERRORS}
"""


async def make(client: Client, object_type: str, *properties: dict[str, Any]) -> list[str]:
    """New records; their ids."""
    payload = await client.do(
        "createRecords",
        RECORDS,
        {"objectType": object_type, "records": [{"properties": p} for p in properties]},
    )
    assert payload["userErrors"] == []
    return [result["record"]["id"] for result in payload["results"]]


async def test_from_a_new_kind_of_record_to_a_nested_answer(db: Database) -> None:
    async with opened(db) as client:
        await client.do(
            "createObjectType",
            "userErrors { code }",
            {"name": "boats", "singular": "Boat", "plural": "Boats"},
        )
        for name, kind in (("name", "STRING"), ("length", "NUMBER")):
            payload = await client.do(
                "createProperty",
                "property { name type field } userErrors { code }",
                {"objectType": "boats", "name": name, "label": name.title(), "type": kind},
            )
            assert payload["property"]["name"] == name
        made = await client.do(
            "createAssociationLabel",
            "associationLabel { id name label from to inverse { name label from to } } warnings userErrors { code }",
            {"from": "contacts", "to": "boats", "label": "Sails", "inverseLabel": "Sailed by", "maxCount": 2},
        )
        label = made["associationLabel"]
        assert (label["name"], label["inverse"]["name"]) == ("sails", "sailed_by")
        (ann,) = await make(client, "contacts", {"firstname": "Ann", "email": "ann@acme.example"})
        boats = await make(client, "boats", *({"name": f"Boat {n}", "length": n} for n in range(3)))

        payload = await client.do(
            "associate",
            PAIRS,
            {"associations": [{"fromId": ann, "toId": boat, "labels": ["sails"]} for boat in boats[:2]]},
        )
        assert [result["association"]["labels"] for result in payload["results"]] == [
            [{"name": "sails", "label": "Sails"}]
        ] * 2

        over = await client.do(
            "associate", PAIRS, {"associations": [{"fromId": ann, "toId": boats[2], "labels": ["sails"]}]}
        )
        assert over["results"][0]["association"] is None
        assert over["userErrors"][0]["code"] == "LABEL_LIMIT_REACHED"
        assert over["userErrors"][0]["path"][:3] == ["input", "associations", 0]

        data = await client.get(
            """query ($id: ID!) {
                record(id: $id) {
                    displayName
                    associationCount(to: "boats", labels: ["sails"])
                    associations(to: "boats", orderBy: [{property: "length", direction: DESC}]) {
                        totalCount
                        edges {
                            labels { name label category }
                            node { displayName associations(to: "contacts") {
                                edges { labels { name } node { id property(name: "email") } } } }
                        }
                    }
                }
            }""",
            id=ann,
        )
        found = data["record"]
        assert (found["displayName"], found["associationCount"]) == ("Ann", 2)
        assert found["associations"]["totalCount"] == 2
        edges = found["associations"]["edges"]
        assert [edge["node"]["displayName"] for edge in edges] == ["Boat 1", "Boat 0"]
        assert edges[0]["labels"] == [{"name": "sails", "label": "Sails", "category": "USER_DEFINED"}]
        back = edges[0]["node"]["associations"]["edges"]
        assert back == [
            {"labels": [{"name": "sailed_by"}], "node": {"id": ann, "property": "ann@acme.example"}}
        ]


async def test_a_record_is_changed_put_away_brought_back_and_merged(db: Database) -> None:
    async with opened(db) as client:
        ann, bob = await make(
            client, "contacts", {"email": "ann@acme.example"}, {"email": "bob@acme.example"}
        )
        payload = await client.do(
            "updateRecords",
            RECORDS,
            {"records": [{"id": ann, "properties": {"firstname": "Ann", "lastname": None}}]},
        )
        assert payload["results"][0]["record"]["properties"] == {
            "email": "ann@acme.example",
            "firstname": "Ann",
        }
        payload = await client.do(
            "upsertRecords",
            RECORDS,
            {
                "objectType": "contacts",
                "by": "email",
                "records": [
                    {"properties": {"email": "ann@acme.example", "lastname": "Lee"}},
                    {"properties": {"email": "cy@acme.example"}},
                ],
            },
        )
        assert [result["created"] for result in payload["results"]] == [False, True]
        assert payload["results"][0]["record"]["id"] == ann

        await client.do("archiveRecords", RECORDS, {"ids": [bob]})
        listed = '{ records(objectType: "contacts") { nodes { id } } }'
        assert bob not in [node["id"] for node in (await client.get(listed))["records"]["nodes"]]
        payload = await client.do(
            "restoreRecords",
            "results { record { id archivedAt } refused { code } } userErrors { code }",
            {"ids": [bob]},
        )
        assert payload["results"][0] == {"record": {"id": bob, "archivedAt": None}, "refused": []}

        payload = await client.do(
            "mergeRecords",
            "record { id properties } refused { code } userErrors { code }",
            {"survivorId": ann, "mergedId": bob},
        )
        assert payload["record"]["id"] == ann
        data = await client.get("query ($id: ID!) { record(id: $id) { id } }", id=bob)
        assert data["record"]["id"] == ann


async def test_one_bad_record_of_a_thousand_is_told_and_the_others_stand(db: Database) -> None:
    async with opened(db) as client:
        records: list[dict[str, Any]] = [{"properties": {"email": f"p{n}@acme.example"}} for n in range(1000)]
        records[3] = {"properties": {"email": "p4@acme.example"}}
        records[7] = {"properties": {"nonsense": 1}}
        atomic = await client.do(
            "createRecords", RECORDS, {"objectType": "contacts", "records": records, "mode": "ATOMIC"}
        )
        assert all(result["record"] is None for result in atomic["results"])
        assert {tuple(error["path"][:3]) for error in atomic["userErrors"]} == {
            ("input", "records", 4),
            ("input", "records", 7),
        }
        count = '{ records(objectType: "contacts", first: 0) { totalCount } }'
        assert (await client.get(count))["records"]["totalCount"] == 0
        each = await client.do("createRecords", RECORDS, {"objectType": "contacts", "records": records})
        failed = [n for n, result in enumerate(each["results"]) if result["record"] is None]
        assert failed == [4, 7]
        assert each["results"][7]["userErrors"][0]["path"] == [
            "input",
            "records",
            7,
            "properties",
            "nonsense",
        ]
        assert [error["path"][2] for error in each["userErrors"]] == [4, 7]
        assert (await client.get(count))["records"]["totalCount"] == 998


async def test_a_batch_of_more_than_a_thousand_is_refused_as_a_whole(db: Database) -> None:
    async with opened(db) as client:
        records: list[dict[str, Any]] = [{"properties": {}}] * 1001
        payload = await client.do("createRecords", RECORDS, {"objectType": "contacts", "records": records})
        assert payload["results"] == []
        assert payload["userErrors"][0]["code"] == "BATCH_TOO_LARGE"


async def test_the_same_key_does_the_work_once_and_answers_the_same(db: Database) -> None:
    async with opened(db) as client:
        asked = {
            "objectType": "contacts",
            "records": [{"properties": {"email": "ann@acme.example"}}, {"properties": {"nonsense": 1}}],
            "idempotencyKey": "first",
        }
        once = await client.do("createRecords", RECORDS, asked)
        again = await client.do("createRecords", RECORDS, asked)
        assert once == again
        assert once["results"][0]["created"]
        other = await client.do("createRecords", RECORDS, asked | {"records": [{"properties": {}}]})
        assert other["results"] == []
        assert other["userErrors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_new_record_comes_with_its_associations(db: Database) -> None:
    async with opened(db) as client:
        (acme,) = await make(client, "companies", {"name": "Acme"})
        asked = {
            "objectType": "contacts",
            "records": [
                {"properties": {"firstname": "Ann"}, "associations": [{"toId": acme}]},
                {"properties": {"firstname": "Bob"}, "associations": [{"toId": "rec_99999999"}]},
                {"properties": {"firstname": "Cy"}, "associations": [{"toId": "rec_x"}]},
            ],
        }
        payload = await client.do("createRecords", RECORDS, asked)
        assert [result["record"] is not None for result in payload["results"]] == [True, True, False]
        assert payload["results"][1]["userErrors"][0]["path"][:5] == [
            "input",
            "records",
            1,
            "associations",
            0,
        ]
        assert payload["results"][2]["userErrors"][0]["code"] == "MALFORMED_ID"
        atomic = await client.do(
            "createRecords", RECORDS, asked | {"records": asked["records"][:2], "mode": "ATOMIC"}
        )
        assert atomic["results"][1]["userErrors"][0]["path"][:5] == ["input", "records", 1, "associations", 0]
        text = """{ records(objectType: "companies") { nodes {
            associations(to: "contacts") { edges { labels { name } node { displayName } } }
        } } }"""
        edges = (await client.get(text))["records"]["nodes"][0]["associations"]["edges"]
        assert [edge["node"]["displayName"] for edge in edges] == ["Ann"]
