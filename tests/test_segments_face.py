"""Segments through GraphQL."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from engine import cursors
from engine.access import SCOPES, Principal, Role
from engine.evaluation import run as evaluate
from engine.segments import fill
from schema.root import SCHEMA
from server.operations import Operations
from storage.database import Database
from tests.face import T0, Client, new_key, opened
from tests.processes import PATIENCE

FIELDS = """
    userErrors { code path message details }
    segment { id name objectType kind where version size filling problems { code path } }
"""
BOSTON = {"property": {"name": "city", "operator": "EQUALS", "value": "Boston"}}
MEMBERS = """
    query ($id: ID!, $after: String) { segment(id: $id) {
      members(orderBy: [{field: ID, direction: DESC}], after: $after) { nodes { id } }
    } }
"""
HISTORY = """
    query ($id: ID!, $after: String, $record: ID) { segment(id: $id) {
      history(after: $after, record: $record) { edges { recordId } }
    } }
"""
RESULTS = "results { recordId changed userErrors { code } } userErrors { code path } segment { size }"


async def work(db: Database) -> None:
    while await evaluate.run_all(db, now=T0) or await fill.run_all(db, now=T0):
        pass


async def create(client: Client, **given: Any) -> Any:
    named = {"name": "Boston", "objectType": "contacts"} | given
    return await client.do("createSegment", FIELDS, named)


async def contacts(client: Client, *cities: str) -> list[str]:
    given = {"objectType": "contacts", "records": [{"properties": {"city": city}} for city in cities]}
    made = await client.do("createRecords", "results { record { id } } userErrors { code }", given)
    return [one["record"]["id"] for one in made["results"]]


async def test_from_a_filter_to_members_their_times_and_their_history(db: Database) -> None:
    async with opened(db) as client:
        ann, bob, carl = await contacts(client, "Boston", "Boston", "Paris")
        made = await create(client, where=BOSTON)
        assert made["userErrors"] == []
        segment = made["segment"]
        assert segment["where"]["property"]["includeEmpty"] is False
        assert (segment["kind"], segment["filling"], segment["version"]) == ("ACTIVE", True, 1)
        await work(db)
        found = await client.get(
            """
            query ($id: ID!) { segment(id: $id) {
              size filling uses { id }
              members(first: 1, orderBy: [{field: ID, direction: DESC}]) {
                edges { cursor joinedAt node { id properties } } pageInfo { hasNextPage endCursor } }
              none: members(where: {property: {name: "city", operator: EQUALS, value: "Paris"}}) { nodes { id } }
              history(first: 1) { edges { cursor at joined recordId cause } pageInfo { hasNextPage } }
            } }
            """,
            id=segment["id"],
        )
        told = found["segment"]
        assert (told["size"], told["filling"], told["uses"], told["none"]["nodes"]) == (2, False, [], [])
        (edge,) = told["members"]["edges"]
        assert edge["node"] == {"id": bob, "properties": {"city": "Boston"}}
        assert edge["joinedAt"] is not None
        assert told["members"]["pageInfo"]["hasNextPage"] is True
        rest = MEMBERS
        page = await client.get(rest, id=segment["id"], after=told["members"]["pageInfo"]["endCursor"])
        assert page["segment"]["members"]["nodes"] == [{"id": ann}]
        (line,) = told["history"]["edges"]
        assert (line["joined"], line["recordId"], line["cause"]) == (True, bob, line["cause"])
        assert (line["cause"]["kind"], line["cause"]["record"]) == ("CREATED", bob)
        older = HISTORY
        page = await client.get(older, id=segment["id"], after=line["cursor"])
        assert page["segment"]["history"]["edges"] == [{"recordId": ann}]
        page = await client.get(older, id=segment["id"], record=carl)
        assert page["segment"]["history"]["edges"] == []
        of_ann = (
            "query ($id: ID!) { record(id: $id) { segments { edges { joinedAt segment { id name } } } } }"
        )
        page = await client.get(of_ann, id=ann)
        assert [edge["segment"]["id"] for edge in page["record"]["segments"]["edges"]] == [segment["id"]]


async def test_by_hand_each_record_is_told_and_a_key_does_it_once(db: Database) -> None:
    async with opened(db) as client:
        ann, bob = await contacts(client, "Boston", "Paris")
        segment = (await create(client, kind="STATIC"))["segment"]
        given = {"segmentId": segment["id"], "recordIds": [ann, "nonsense", "rec_99"], "idempotencyKey": "k"}
        told = await client.do("addToSegment", RESULTS, given)
        codes = [[error["code"] for error in one["userErrors"]] for one in told["results"]]
        assert codes == [[], ["MALFORMED_ID"], ["NOT_FOUND"]]
        assert [one["changed"] for one in told["results"]] == [True, False, False]
        assert told["segment"] == {"size": 1}
        assert await client.do("addToSegment", RESULTS, given) == told
        atomic = {"segmentId": segment["id"], "recordIds": [bob, "rec_99"], "mode": "ATOMIC"}
        told = await client.do("addToSegment", RESULTS, atomic)
        assert told["segment"] == {"size": 1}
        assert told["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "recordIds", 1]}]
        given = {"segmentId": segment["id"], "recordIds": [ann, bob]}
        told = await client.do("removeFromSegment", RESULTS, given)
        assert [one["changed"] for one in told["results"]] == [True, False]
        active = (await create(client, name="active", where=BOSTON))["segment"]
        told = await client.do("addToSegment", RESULTS, {"segmentId": active["id"], "recordIds": [ann]})
        assert [error["code"] for error in told["userErrors"]] == ["SEGMENT_NOT_BY_HAND"]
        told = await client.do("addToSegment", RESULTS, {"segmentId": "seg_99", "recordIds": [ann]})
        assert [error["code"] for error in told["userErrors"]] == ["NOT_FOUND"]
        assert told["segment"] is None


async def test_a_segment_that_is_used_is_not_deleted_and_says_by_whom(db: Database) -> None:
    async with opened(db) as client:
        base = (await create(client, name="base", where=BOSTON))["segment"]
        inside = {"inSegment": {"segment": base["id"]}}
        user = (await create(client, name="user", where={"and": [inside, BOSTON]}))["segment"]
        flow = {
            "name": "flow",
            "objectType": "contacts",
            "triggers": [{"filterMet": {"where": inside}}],
            "actions": [],
        }
        made = await client.do("createWorkflow", "workflow { id } userErrors { code message }", flow)
        assert made["userErrors"] == []
        gone = "deletedId userErrors { code message details }"
        told = await client.do("deleteSegment", gone, {"id": base["id"]})
        assert told["deletedId"] is None
        (error,) = told["userErrors"]
        assert error["code"] == "SEGMENT_USED"
        assert [use["id"] for use in error["details"]["used_by"]] == [user["id"], made["workflow"]["id"]]
        assert 'the segment "user"' in error["message"]
        told = await client.do("deleteSegment", gone, {"id": user["id"]})
        assert told == {"deletedId": user["id"], "userErrors": []}
        told = await client.do("deleteSegment", gone, {"id": user["id"]})
        assert [error["code"] for error in told["userErrors"]] == ["NOT_FOUND"]


async def test_a_circle_is_refused_by_name(db: Database) -> None:
    async with opened(db) as client:
        one = (await create(client, name="one", where=BOSTON))["segment"]
        two = (await create(client, name="two", where={"inSegment": {"segment": one["id"]}}))["segment"]
        where = {"associated": {"to": "contacts", "where": {"inSegment": {"segment": two["id"]}}}}
        told = await client.do("updateSegment", FIELDS, {"id": one["id"], "version": 1, "where": where})
        (error,) = told["userErrors"]
        assert (error["code"], error["path"]) == ("SEGMENT_CIRCLE", ["input", "where"])
        assert '"one" → "two" → "one"' in error["message"]
        where = {"not": {"inSegment": {"segment": one["id"]}}}
        told = await client.do("updateSegment", FIELDS, {"id": one["id"], "version": 1, "where": where})
        assert [error["code"] for error in told["userErrors"]] == ["SEGMENT_CIRCLE"]


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"where": None}, "FILTER_MISSING", ["input", "where"]),
        ({"where": BOSTON, "kind": "STATIC"}, "FILTER_NOT_WANTED", ["input", "where"]),
        ({"where": {"and": []}}, "EMPTY_FILTER_LIST", ["input", "where", "and"]),
        ({"where": BOSTON, "name": " "}, "MALFORMED_TEXT", ["input", "name"]),
        ({"where": BOSTON, "objectType": "unicorns"}, "UNKNOWN_OBJECT_TYPE", ["input", "objectType"]),
        ({"where": {"or": [BOSTON] * 251}}, "TOO_MANY_LEAVES", ["input", "where"]),
        (
            {"where": {"inSegment": {"segment": "seg_99"}}},
            "UNKNOWN_SEGMENT",
            ["input", "where", "inSegment", "segment"],
        ),
    ],
)
async def test_what_is_wrong_is_told_at_its_place(
    db: Database, given: dict[str, Any], code: str, path: list[Any]
) -> None:
    async with opened(db) as client:
        told = await create(client, **given)
        assert [(error["code"], error["path"]) for error in told["userErrors"]] == [(code, path)]
        assert told["segment"] is None


async def test_whoever_may_not_is_told(db: Database) -> None:
    async with opened(db) as client:
        segment = (await create(client, where=BOSTON))["segment"]
        for role, allowed in ((Role.VIEWER, False), (Role.EDITOR, False), (Role.AUTOMATION_MANAGER, True)):
            key = await new_key(db, client.account_id, role)
            other = Client(client.http, key, client.account_id)
            query = (
                "mutation ($input: UpdateSegmentInput!) { updateSegment(input: $input) { segment { name } } }"
            )
            answer = await other.ask(query, input={"id": segment["id"], "version": 1, "name": "x"})
            assert ("errors" not in answer) is allowed
            assert (await other.get("{ segments { nodes { id } } }"))["segments"]["nodes"] != []


async def test_another_account_s_segment_is_not_there(db: Database) -> None:
    async with opened(db) as client, opened(db, "other") as other:
        segment = (await create(client, where=BOSTON))["segment"]
        found = await other.get(
            "query ($id: ID!) { segment(id: $id) { id } segments { nodes { id } } }", id=segment["id"]
        )
        assert found == {"segment": None, "segments": {"nodes": []}}
        told = await other.do("deleteSegment", "userErrors { code }", {"id": segment["id"]})
        assert [error["code"] for error in told["userErrors"]] == ["NOT_FOUND"]


EVENTS = """
    subscription ($segment: ID, $after: String) {
      segmentEvents(segment: $segment, after: $after) { cursor joined cause segment { name } record { id } }
    }
"""


async def hear(db: Database, client: Client, n: int, **variables: Any) -> list[dict[str, Any]]:
    role = Role.VIEWER
    principal = Principal(client.account_id, "acme", 1, None, role, SCOPES[role])
    operations = Operations(SCHEMA, db, clock=lambda: T0, forget_key=lambda *_: None)
    heard: list[dict[str, Any]] = []
    stream = operations.stream(operations.prepare(EVENTS, None), variables, principal)
    async with asyncio.timeout(PATIENCE), aclosing(stream) as answers:  # type: ignore[type-var]
        async for answer in answers:
            assert "errors" not in answer, answer
            heard.append(answer["data"]["segmentEvents"])
            if len(heard) == n:
                break
    return heard


async def test_joins_and_leaves_are_streamed_and_resumed(db: Database) -> None:
    async with opened(db) as client:
        segment = (await create(client, where=BOSTON))["segment"]
        await create(client, name="another", where={"not": BOSTON})
        start = cursors.encode(client.account_id, 0)
        ann, bob = await contacts(client, "Boston", "Boston")
        await work(db)
        [first] = await hear(db, client, 1, segment=segment["id"], after=start)
        assert (first["joined"], first["segment"], first["record"]["id"]) == (True, {"name": "Boston"}, ann)
        assert (first["cause"]["kind"], first["cause"]["record"]) == ("CREATED", ann)
        live = asyncio.create_task(hear(db, client, 2, segment=segment["id"], after=first["cursor"]))
        await client.do("archiveRecords", "userErrors { code }", {"ids": [ann]})
        await work(db)
        second, third = await live
        assert [(one["joined"], one["record"]["id"]) for one in (second, third)] == [
            (True, bob),
            (False, ann),
        ]
