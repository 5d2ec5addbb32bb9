"""Undoing: everything as it was, but for what somebody has changed since; once, and told."""

from typing import Any

from storage.database import Database
from tests.face import Client, opened
from tests.statements import counted
from tests.test_workflow_explain_face import BOSTON, associate, change, enrolled, flow, record, work

UNDO = """enrollment { id status undoneAt steps { outcome action changes { kind status reason property } } }
  alreadyUndone userErrors { code path }
  changes { step status reason current change { kind recordId property associatedId labels createdId } }"""


async def undo(client: Client, enrollment: str) -> Any:
    return await client.do("undoEnrollment", UNDO, {"enrollmentId": enrollment})


async def seen(client: Client, ident: str) -> dict[str, Any]:
    text = """query ($id: ID!) { node(id: $id) { ... on Record { archivedAt
      properties(names: ["jobtitle", "city"])
      associations(to: "companies") { edges { labels { name } node { id } } } } } }"""
    found = (await client.get(text, id=ident))["node"]
    edges = found["associations"]["edges"]
    around = {edge["node"]["id"]: sorted(one["name"] for one in edge["labels"]) for edge in edges}
    return {"archived": found["archivedAt"] is not None, **found["properties"], "around": around}


async def label(client: Client, name: str) -> None:
    given = {"from": "contacts", "to": "companies", "label": name, "name": name}
    given |= {"inverseLabel": f"{name} of", "inverseName": f"{name}_of"}
    made = await client.do("createAssociationLabel", "userErrors { code }", given)
    assert made["userErrors"] == []


async def segment(client: Client) -> str:
    given = {"name": "hand", "objectType": "contacts", "kind": "STATIC"}
    made = await client.do("createSegment", "segment { id } userErrors { code }", given)
    ident: str = made["segment"]["id"]
    return ident


async def members(client: Client, ident: str) -> list[str]:
    text = "query ($id: ID!) { segment(id: $id) { members { nodes { id } } } }"
    return [one["id"] for one in (await client.get(text, id=ident))["segment"]["members"]["nodes"]]


async def test_all_of_it_is_taken_back_and_told(db: Database) -> None:
    async with opened(db) as client:
        for name in ("chief", "boss"):
            await label(client, name)
        hand = await segment(client)
        ident = await flow(
            client,
            BOSTON,
            {"setProperty": {"property": "jobtitle", "value": "one"}},
            {"setProperty": {"property": "jobtitle", "value": "two"}},
            {"applyLabel": {"to": "companies", "label": "chief"}},
            {"updateLabels": {"to": "companies", "label": "boss", "newLabel": "chief", "replace": True}},
            {"createTask": {"title": "Call"}},
            {"addToSegment": {"segment": hand}},
            {"setProperty": {"property": "city", "value": "Rome", "of": {"to": "companies"}}},
        )
        ann = await record(client, "contacts", city="Paris", jobtitle="was")
        acme = await record(client, "companies", name="Acme", city="Paris")
        await associate(client, ann, acme, "boss")
        before = [await seen(client, one) for one in (ann,)], await seen_company(client, acme)
        await change(client, ann, city="Boston")
        await work(db)
        assert await members(client, hand) == [ann]
        [enrollment] = await enrolled(client, ident)
        found = await undo(client, enrollment)
        assert (found["userErrors"], found["alreadyUndone"]) == ([], False)
        assert {one["status"] for one in found["changes"]} == {"UNDONE"}, found["changes"]
        await change(client, ann, city="Paris")
        assert ([await seen(client, one) for one in (ann,)], await seen_company(client, acme)) == before
        assert await members(client, hand) == []
        [task] = [one["change"]["createdId"] for one in found["changes"] if one["change"]["createdId"]]
        text = "query ($id: ID!) { node(id: $id) { ... on Record { archivedAt } } }"
        assert (await client.get(text, id=task))["node"]["archivedAt"] is not None
        last = found["enrollment"]["steps"][-1]
        assert (last["outcome"], last["action"]) == ("UNDONE", "undo")
        assert {one["kind"] for one in last["changes"]} == {"REVERSED"}
        again = await undo(client, enrollment)
        assert (again["alreadyUndone"], again["changes"]) == (True, found["changes"])
        events = await sources(client, ann)
        assert events[0] == "API"


async def seen_company(client: Client, ident: str) -> Any:
    text = 'query ($id: ID!) { node(id: $id) { ... on Record { property(name: "city") } } }'
    return (await client.get(text, id=ident))["node"]


async def sources(client: Client, ident: str) -> list[str]:
    text = "query ($id: ID!) { node(id: $id) { ... on Record { history { nodes { source } } } } }"
    return [one["source"] for one in (await client.get(text, id=ident))["node"]["history"]["nodes"]]


async def test_what_somebody_has_changed_since_is_left_and_told(db: Database) -> None:
    async with opened(db) as client:
        await label(client, "chief")
        hand = await segment(client)
        ident = await flow(
            client,
            BOSTON,
            {"setProperty": {"property": "jobtitle", "value": "seen"}},
            {"setProperty": {"property": "lastname", "value": "Seen"}},
            {"applyLabel": {"to": "companies", "label": "chief"}},
            {"createTask": {"title": "Call"}},
            {"addToSegment": {"segment": hand}},
        )
        ann = await record(client, "contacts", city="Paris")
        acme = await record(client, "companies", name="Acme")
        await associate(client, ann, acme)
        await change(client, ann, city="Boston")
        await work(db)
        [enrollment] = await enrolled(client, ident)
        text = "query ($id: ID!) { node(id: $id) { ... on Enrollment { steps { changes { createdId } } } } }"
        steps = (await client.get(text, id=enrollment))["node"]["steps"]
        [task] = [one["createdId"] for step in steps for one in step["changes"] if one["createdId"]]
        await change(client, ann, jobtitle="mine")
        await change(client, task, subject="Call now")
        pair = {"associations": [{"fromId": ann, "toId": acme, "labels": ["chief"]}]}
        await client.do("removeLabels", "results { userErrors { code } }", pair)
        gone = {"segmentId": hand, "recordIds": [ann]}
        await client.do("removeFromSegment", "userErrors { code }", gone)
        found = await undo(client, enrollment)
        told = [(one["change"]["kind"], one["status"], one["reason"]) for one in found["changes"]]
        assert told == [
            ("SEGMENT_JOINED", "ALREADY", None),
            ("ASSOCIATION_ADDED", "UNDONE", None),
            ("RECORD_CREATED", "CONFLICT", "CHANGED_SINCE"),
            ("LABEL_ADDED", "ALREADY", None),
            ("PROPERTY", "UNDONE", None),
            ("PROPERTY", "CONFLICT", "CHANGED_SINCE"),
        ]
        assert found["changes"][-1]["current"] == "mine"
        assert (await seen(client, ann))["jobtitle"] == "mine"


async def test_an_active_one_ends_first_and_goes_nowhere_again(db: Database) -> None:
    async with opened(db) as client:
        delay = {"delay": {"duration": {"value": 1, "unit": "DAY"}}}
        other = await flow(client, BOSTON, delay, name="other", triggers=[{"manual": {}}])
        ident = await flow(client, BOSTON, {"enrollIn": {"workflow": other}}, delay)
        ann = await record(client, "contacts", city="Boston")
        await work(db)
        [enrollment] = await enrolled(client, ident)
        found = await undo(client, enrollment)
        assert found["enrollment"]["status"] == "UNENROLLED"
        assert found["enrollment"]["undoneAt"] is not None
        assert [(one["change"]["kind"], one["status"]) for one in found["changes"]] == [
            ("ENROLLED", "UNDONE")
        ]
        text = "query ($id: ID!) { enrollments(record: $id) { nodes { status error { code } } } }"
        nodes = (await client.get(text, id=ann))["enrollments"]["nodes"]
        assert nodes == [{"status": "UNENROLLED", "error": {"code": "UNDONE"}}] * 2
        await work(db)
        again = await client.do("retryStep", "userErrors { code }", {"enrollmentId": enrollment})
        assert [one["code"] for one in again["userErrors"]] == ["ENROLLMENT_NOT_FAILED"]


async def test_what_is_outside_cannot_be_undone_and_others_enrollments_are_not_found(db: Database) -> None:
    async with opened(db, "one") as one, opened(db, "two") as two:
        ident = await flow(one, BOSTON, {"setProperty": {"property": "jobtitle", "value": "seen"}})
        ann = await record(one, "contacts", city="Boston")
        await work(db)
        [enrollment] = await enrolled(one, ident)
        found = await undo(two, enrollment)
        assert [error["code"] for error in found["userErrors"]] == ["NOT_FOUND"]
        assert (await seen(one, ann))["jobtitle"] == "seen"


async def test_a_hub_is_undone_in_as_few_statements_as_one_record(db: Database) -> None:
    async with opened(db) as client:
        await label(client, "chief")
        ident = await flow(
            client,
            BOSTON,
            {"setProperty": {"property": "city", "value": "Rome", "of": {"to": "companies"}}},
            {"applyLabel": {"to": "companies", "label": "chief"}},
        )

        async def statements(n: int) -> int:
            ann = await record(client, "contacts", city="Paris")
            given = {"objectType": "companies", "records": [{"properties": {"city": "Paris"}}] * n}
            made = await client.do("createRecords", "results { record { id } }", given)
            several = [one["record"]["id"] for one in made["results"]]
            pairs = [{"fromId": ann, "toId": one, "labels": []} for one in several]
            await client.do("associate", "results { userErrors { code } }", {"associations": pairs})
            await change(client, ann, city="Boston")
            await work(db)
            enrollment = (await enrolled(client, ident))[0]
            with counted() as said:
                found = await undo(client, enrollment)
            assert [one["status"] for one in found["changes"]] == ["UNDONE"] * (2 * n)
            assert await seen_company(client, several[-1]) == {"property": "Paris"}
            held = {name for labels in (await seen(client, ann))["around"].values() for name in labels}
            assert held <= {"primary"}
            return len(said)

        few = await statements(1)
        assert await statements(150) <= few + 2


async def test_associations_that_were_removed_come_back_with_their_labels_unless_somebody_was_faster(
    db: Database,
) -> None:
    async with opened(db) as client:
        await label(client, "chief")
        remove = {"removeLabels": {"to": "companies", "labels": ["chief"], "withAssociation": True}}
        ident = await flow(client, BOSTON, remove)
        ann = await record(client, "contacts", city="Paris")
        acme, gone = [await record(client, "companies", name=name) for name in ("Acme", "Gone")]
        for one in (acme, gone):
            await associate(client, ann, one, "chief")
        await change(client, ann, city="Boston")
        await work(db)
        assert (await seen(client, ann))["around"] == {}
        await associate(client, ann, gone)
        [enrollment] = await enrolled(client, ident)
        found = await undo(client, enrollment)
        told = {one["change"]["associatedId"]: (one["status"], one["reason"]) for one in found["changes"]}
        assert told == {acme: ("UNDONE", None), gone: ("CONFLICT", "CHANGED_SINCE")}
        around = (await seen(client, ann))["around"]
        assert "chief" in around[acme]
        assert "chief" not in around[gone]
