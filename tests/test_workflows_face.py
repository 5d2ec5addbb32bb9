"""Workflows and their events through GraphQL."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from engine import cursors
from engine.access import SCOPES, Principal, Role, Scope
from engine.evaluation import run as evaluate
from engine.workflows import backfill, steps
from schema.root import SCHEMA
from server.operations import Invalid, Operations
from storage.database import Database
from tests.face import T0, Client, new_key, opened
from tests.processes import PATIENCE
from tests.statements import counted

FIELDS = """
    userErrors { code path message }
    workflow {
      id name objectType version enabled enabledAt problems { code } backfill { enrolled }
      draft { triggers { ... on FilterMetTrigger { where } }
              actions { __typename ... on SetPropertyAction { id property value onError }
                        ... on ApplyLabelAction { id to label where onError } } }
      published { revision definition { actions { __typename } } }
    }
"""
TRIGGERS = [{"filterMet": {"where": {"property": {"name": "city", "operator": "EQUALS", "value": "Boston"}}}}]
ACTIONS = [{"setProperty": {"property": "jobtitle", "value": "Bostonian"}}]


async def work(db: Database) -> None:
    for _ in range(3):
        await evaluate.run_all(db, now=T0)
        await backfill.run_all(db, now=T0)
        await steps.run_due(db, now=T0)


async def begun(client: Client, *, existing: bool = False, **more: Any) -> dict[str, Any]:
    given = {"name": "Boston", "objectType": "contacts", "triggers": TRIGGERS, "actions": ACTIONS} | more
    made = (await client.do("createWorkflow", FIELDS, given))["workflow"]
    await client.do("publishWorkflow", FIELDS, {"id": made["id"], "version": made["version"]})
    switch = {"id": made["id"], "enabled": True, "enrollExisting": existing}
    answer = await client.do("setWorkflowEnabled", FIELDS, switch)
    assert answer["userErrors"] == []
    found: dict[str, Any] = answer["workflow"]
    return found


async def contact(client: Client, **values: Any) -> str:
    given = {"objectType": "contacts", "records": [{"properties": values}]}
    made = await client.do("createRecords", "results { record { id } } userErrors { code }", given)
    ident: str = made["results"][0]["record"]["id"]
    return ident


async def test_from_a_draft_to_an_enrollment_and_its_history(db: Database) -> None:
    async with opened(db) as client:
        flow = await begun(client)
        assert flow["enabled"] is True
        assert flow["published"] == {
            "revision": 1,
            "definition": {"actions": [{"__typename": "SetPropertyAction"}]},
        }
        assert flow["problems"] == []
        where = flow["draft"]["triggers"][0]["where"]
        assert where["property"]["includeEmpty"] is False  # defaults are spelled out
        [action] = flow["draft"]["actions"]
        assert (action["id"], action["onError"]) == ("a1", "STOP")
        ann = await contact(client, city="Boston")
        await work(db)
        answer = await client.get(
            """query ($flow: ID!, $ann: ID!) {
              workflow(id: $flow) { enrollments(status: COMPLETED) { nodes { record { id } } } }
              enrollments(record: $ann) {
                pageInfo { hasNextPage }
                nodes {
                  id status revision workflow { name } record { id property(name: "jobtitle") }
                  reason { kind trigger recordId source }
                  steps { n action outcome changes { json } error { code } }
                }
              }
            }""",
            flow=flow["id"],
            ann=ann,
        )
        assert answer["workflow"]["enrollments"]["nodes"] == [{"record": {"id": ann}}]
        [found] = answer["enrollments"]["nodes"]
        assert found["workflow"] == {"name": "Boston"}
        assert found["record"] == {"id": ann, "property": "Bostonian"}
        assert found["reason"] == {"kind": "CREATED", "trigger": 0, "recordId": ann, "source": "API"}
        change = {"record": ann, "property": "jobtitle", "old": None, "new": "Bostonian"}
        step = {"n": 0, "action": "a1", "outcome": "DONE", "changes": [{"json": change}], "error": None}
        assert found["steps"] == [step]


async def test_pages_of_enrollments_go_on_by_cursor(db: Database) -> None:
    async with opened(db) as client:
        for n in range(5):
            await contact(client, city="Boston", lastname=str(n))
        flow = await begun(client, existing=True)
        await work(db)
        query = """query ($flow: ID, $after: String) { enrollments(workflow: $flow, first: 2, after: $after) {
                     pageInfo { hasNextPage hasPreviousPage endCursor } nodes { id } } }"""
        seen: list[str] = []
        after = None
        while True:
            page = (await client.get(query, flow=flow["id"], after=after))["enrollments"]
            assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
            seen += [node["id"] for node in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert len(set(seen)) == 5 == len(seen)
        wrong = await client.ask(query, flow=flow["id"], after="nonsense")
        assert wrong["errors"][0]["extensions"]["code"] == "MALFORMED_CURSOR"
        wrong = await client.ask("{ enrollments(first: 501) { nodes { id } } }")
        assert wrong["errors"][0]["extensions"]["code"] == "INVALID_PAGE_SIZE"


async def test_what_is_wrong_with_a_definition_is_told_at_its_place_in_the_input(db: Database) -> None:
    async with opened(db) as client:
        given = {
            "name": "wrong",
            "objectType": "contacts",
            "triggers": [{"filterMet": {"where": {"not": {"associated": {"to": "planets"}}}}}],
            "actions": [{"setProperty": {"property": "nope", "value": 1}}],
        }
        answer = await client.do("createWorkflow", FIELDS, given)
        assert answer["workflow"] is None
        assert [error["path"] for error in answer["userErrors"]] == [
            ["input", "triggers", 0, "filterMet", "where", "not", "associated", "to"],
            ["input", "actions", 0, "setProperty", "property"],
        ]
        for kind, action in (("both", {**ACTIONS[0], "applyLabel": {"to": "x", "label": "y"}}), ("none", {})):
            wrong = given | {"name": kind, "actions": [action]}
            text = "mutation ($input: CreateWorkflowInput!) { createWorkflow(input: $input) { workflow { id } } }"
            assert "errors" in await client.ask(text, input=wrong)


async def test_stale_versions_taken_names_and_unknown_ids_are_told(db: Database) -> None:
    async with opened(db) as client:
        flow = await begun(client)
        again = await client.do(
            "createWorkflow", FIELDS, {"name": "Boston", "objectType": "contacts", "triggers": TRIGGERS}
        )
        assert [error["code"] for error in again["userErrors"]] == ["WORKFLOW_NAME_TAKEN"]
        renamed = await client.do("updateWorkflow", FIELDS, {"id": flow["id"], "version": 1, "name": "B"})
        assert (renamed["workflow"]["name"], renamed["workflow"]["version"]) == ("B", 2)
        stale = await client.do("updateWorkflow", FIELDS, {"id": flow["id"], "version": 1, "name": "C"})
        assert [(error["code"], error["path"]) for error in stale["userErrors"]] == [
            ("STALE_DRAFT", ["input", "version"])
        ]
        for ident, code in (("wfl_999999", "NOT_FOUND"), ("rec_1", "MALFORMED_ID"), ("", "MALFORMED_ID")):
            answer = await client.do("publishWorkflow", FIELDS, {"id": ident, "version": 1})
            assert [error["code"] for error in answer["userErrors"]] == [code]


async def test_nothing_of_another_account_is_seen(db: Database) -> None:
    async with opened(db, "one") as one, opened(db, "two") as two:
        flow = await begun(one)
        await contact(one, city="Boston")
        await work(db)
        assert (await two.get("query ($id: ID!) { workflow(id: $id) { name } }", id=flow["id"])) == {
            "workflow": None
        }
        listed = await two.get("{ workflows { nodes { id } } enrollments { nodes { id } } }")
        assert listed == {"workflows": {"nodes": []}, "enrollments": {"nodes": []}}
        answer = await two.do("setWorkflowEnabled", FIELDS, {"id": flow["id"], "enabled": False})
        assert [error["code"] for error in answer["userErrors"]] == ["NOT_FOUND"]


EVENTS = """subscription ($flow: ID, $after: String) {
  enrollmentEvents(workflow: $flow, after: $after) {
    cursor kind enrollmentId details workflow { name } record { id displayName property(name: "jobtitle") }
  }
}"""


def principal(client: Client) -> Principal:
    return Principal(client.account_id, "acme", 1, None, Role.SUPER_ADMIN, SCOPES[Role.SUPER_ADMIN])


def beginning(client: Client) -> str:
    """A cursor in front of everything."""
    return cursors.encode(client.account_id, 0)


async def hear(db: Database, client: Client, n: int, **variables: Any) -> list[dict[str, Any]]:
    operations = Operations(SCHEMA, db, clock=lambda: T0, forget_key=lambda *_: None)
    operation = operations.prepare(EVENTS, None)
    heard: list[dict[str, Any]] = []
    async with aclosing(operations.stream(operation, variables, principal(client))) as answers:  # type: ignore[type-var]
        async for answer in answers:
            assert "errors" not in answer, answer
            heard.append(answer["data"]["enrollmentEvents"])
            if len(heard) == n:
                break
    return heard


async def test_a_subscriber_watches_an_enrollment_and_resumes_by_cursor(db: Database) -> None:
    async with opened(db) as client:
        flow = await begun(client)
        ann = await contact(client, city="Boston")
        await work(db)
        start = beginning(client)
        heard = await asyncio.wait_for(hear(db, client, 3, flow=flow["id"], after=start), PATIENCE)
        assert [event["kind"] for event in heard] == ["ENROLLED", "STEP_DONE", "ENROLLMENT_COMPLETED"]
        assert {event["record"]["id"] for event in heard} == {ann}
        assert {event["workflow"]["name"] for event in heard} == {"Boston"}
        assert heard[0]["details"]["reason"]["record"] == ann
        assert heard[0]["record"]["property"] == "Bostonian"  # the record as it is now
        again = await asyncio.wait_for(hear(db, client, 1, after=heard[1]["cursor"]), PATIENCE)
        assert again == heard[2:]
        live = asyncio.create_task(hear(db, client, 1, after=heard[2]["cursor"]))
        bob = await contact(client, city="Boston", firstname="Bob")
        await work(db)
        [event] = await asyncio.wait_for(live, PATIENCE)
        assert (event["kind"], event["record"]["id"], event["record"]["displayName"]) == (
            "ENROLLED",
            bob,
            "Bob",
        )


@pytest.mark.parametrize("after", ["", "nonsense", "AAAA"])
async def test_a_cursor_that_is_none_of_ours_is_a_typed_error(db: Database, after: str) -> None:
    async with opened(db) as client:
        with pytest.raises(Invalid) as refused:
            await hear(db, client, 1, after=after)
        assert refused.value.errors[0]["extensions"]["code"] == "INVALID_CURSOR"


async def test_records_tell_of_their_enrollments_in_few_statements_and_to_those_who_may_know(
    db: Database,
) -> None:
    query = """{ records(objectType: "contacts") { nodes { id property(name: "city")
                   enrollments(status: COMPLETED) { nodes { status workflow { name } steps { outcome } } } } } }"""
    async with opened(db) as client:
        await begun(client)

        async def statements(n: int) -> tuple[int, list[Any]]:
            for _ in range(n):
                await contact(client, city="Boston")
            await contact(client, city="Paris")
            await work(db)
            with counted() as said:
                nodes = (await client.get(query))["records"]["nodes"]
            return len(said), nodes

        few, _ = await statements(2)
        many, nodes = await statements(20)
        assert many <= few
        for node in nodes:
            entry = {"status": "COMPLETED", "workflow": {"name": "Boston"}, "steps": [{"outcome": "DONE"}]}
            assert node["enrollments"]["nodes"] == ([entry] if node["property"] == "Boston" else [])
        secret = await new_key(db, client.account_id, scopes=[Scope.RECORDS_READ])
        answer = await Client(client.http, secret, client.account_id).ask(query)
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"MISSING_SCOPE"}


async def test_enrolling_taking_out_and_deleting_by_hand(db: Database) -> None:
    results = "results { recordId enrollment { status reason { kind trigger } } userErrors { code path } }"
    async with opened(db) as client:
        flow = await begun(client)
        ann = await contact(client, city="Rome")
        given = {"workflowId": flow["id"], "recordIds": [ann, "rec_999", "x"], "idempotencyKey": "k"}
        for _ in range(2):
            answer = await client.do("enrollRecords", results + " userErrors { code }", given)
            [one, missing, malformed] = answer["results"]
            assert one["enrollment"] == {
                "status": "ACTIVE",
                "reason": {"kind": "MANUAL", "trigger": None},
            }
            assert missing["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "recordIds", 1]}]
            assert malformed["userErrors"][0]["code"] == "MALFORMED_ID"
        answer = await client.do("enrollRecords", results, {"workflowId": flow["id"], "recordIds": [ann]})
        assert answer["results"][0]["userErrors"][0]["code"] == "ACTIVE_NOW"
        answer = await client.do(
            "unenrollRecords",
            "results { recordId unenrolled } userErrors { code }",
            {"workflowId": flow["id"], "recordIds": [ann]},
        )
        assert answer == {"results": [{"recordId": ann, "unenrolled": True}], "userErrors": []}
        answer = await client.do("deleteWorkflow", "deletedId userErrors { code }", {"id": flow["id"]})
        assert answer == {"deletedId": flow["id"], "userErrors": []}
        found = await client.get(
            """query ($flow: ID!, $ann: ID!) {
              workflow(id: $flow) { id } workflows { nodes { id } }
              enrollments(record: $ann) { nodes { status error { code } workflow { name } } }
            }""",
            flow=flow["id"],
            ann=ann,
        )
        assert (found["workflow"], found["workflows"]["nodes"]) == (None, [])
        left = {
            "status": "UNENROLLED",
            "error": {"code": "UNENROLLED_BY_HAND"},
            "workflow": {"name": "Boston"},
        }
        assert found["enrollments"]["nodes"] == [left]
        gone = {"workflowId": flow["id"], "recordIds": [ann]}
        answer = await client.do("enrollRecords", "results { recordId } userErrors { code path }", gone)
        assert answer["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "workflowId"]}]
