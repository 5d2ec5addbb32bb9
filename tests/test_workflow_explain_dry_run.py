"""Dry runs: the path, the difference, what would be sent; and nothing of it is there afterwards."""

from typing import Any

import pytest

from storage.database import Database
from tests.face import Client, opened
from tests.statements import counted
from tests.test_workflow_explain_face import BOSTON, associate, change, enrolled, flow, record, work

DRY = """query ($input: DryRunWorkflowInput!) { dryRunWorkflow(input: $input) {
  count userErrors { code path }
  records { recordId record { id } enters reason trigger status error { code }
    problem { code }
    created { objectType createdId properties }
    changes { kind recordId property old new associatedId labels createdId workflowId record { id } created { id } }
    steps { action kind at outcome branch waitsFor waitsUntil error { code }
            changes { kind } sends { kind to subject text payload } } } } }"""
SET = {"setProperty": {"property": "jobtitle", "value": "seen"}}


async def dry(client: Client, **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get(DRY, input=given))["dryRunWorkflow"]
    return answer


async def everything(db: Database) -> dict[str, list[Any]]:
    """All rows of all tables but those that hand out ids."""
    async with db.pool.acquire() as connection:
        names = await connection.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"
        )
        return {
            row["name"]: sorted(
                one[0] for one in await connection.fetch(f"SELECT t::text FROM {row['name']} AS t")
            )
            for row in names
            if row["name"] != "id_block"
        }


ACTIONS: list[dict[str, Any]] = [
    SET,
    {"createTask": {"title": "Call {{ firstname }}"}},
    {"delay": {"duration": {"value": 2, "unit": "DAY"}}},
    {
        "branch": {
            "branches": [
                {
                    "name": "seen",
                    "where": {"property": {"name": "jobtitle", "operator": "EQUALS", "value": "seen"}},
                    "actions": [
                        {
                            "sendEmail": {
                                "subject": "Hello {{ firstname }}",
                                "text": "You are {{ jobtitle }}.",
                            }
                        },
                        {"callWebhook": {"url": "https://hooks.example.com/x", "properties": ["jobtitle"]}},
                    ],
                }
            ]
        }
    },
    {"setProperty": {"property": "city", "value": "Rome", "of": {"to": "companies"}}},
]


async def test_the_whole_path_is_told_and_nothing_is_written(db: Database) -> None:
    async with opened(db) as client:
        ident = await flow(client, BOSTON, *ACTIONS)
        ann = await record(client, "contacts", city="Paris", firstname="Ann", email="ann@example.com")
        bob = await record(client, "contacts", city="Paris")
        acme = await record(client, "companies", name="Acme", city="Paris")
        await associate(client, ann, acme)
        await work(db)
        await change(client, ann, city="Boston")
        before = await everything(db)
        found = await dry(client, workflow=ident, recordIds=[ann, bob, acme, "rec_1"], countAll=True)
        assert await everything(db) == before
        assert (found["count"], found["userErrors"]) == (1, [])
        one, two, three, four = found["records"]
        assert (two["enters"], two["reason"], two["steps"]) == (False, "TRIGGER_NOT_MET", [])
        assert three["problem"]["code"] == "WORKFLOW_OF_ANOTHER_TYPE"
        assert four["problem"]["code"] == "NOT_FOUND"
        assert (one["enters"], one["trigger"], one["status"], one["error"]) == (True, 0, "COMPLETED", None)
        assert one["record"] == {"id": ann}
        told = [(step["kind"], step["outcome"], step["branch"], step["waitsFor"]) for step in one["steps"]]
        assert told == [
            ("setProperty", "DONE", None, None),
            ("createTask", "DONE", None, None),
            ("delay", "DONE", None, "DELAY"),
            ("branch", "DONE", "seen", None),
            ("sendEmail", "DONE", None, "OUTSIDE"),
            ("callWebhook", "DONE", None, "OUTSIDE"),
            ("setProperty", "DONE", None, None),
        ]
        assert one["steps"][2]["waitsUntil"] == one["steps"][2]["at"] > one["steps"][1]["at"]
        [mail] = one["steps"][4]["sends"]
        assert (mail["to"], mail["subject"]) == ("ann@example.com", "Hello Ann")
        assert mail["text"] == "You are seen."
        [call] = one["steps"][5]["sends"]
        assert call["to"] == "https://hooks.example.com/x"
        assert call["payload"]["record"]["properties"] == {"jobtitle": "seen"}
        [task] = one["created"]
        assert (task["objectType"], task["properties"]["subject"]) == ("tasks", "Call Ann")
        kinds = [(line["kind"], line["recordId"], line["new"]) for line in one["changes"]]
        assert ("PROPERTY", ann, "seen") in kinds
        assert ("PROPERTY", acme, "Rome") in kinds
        assert [line["created"] for line in one["changes"] if line["kind"] == "RECORD_CREATED"] == [None]
        await work(db)
        # The real thing goes the same way, as far as it comes today.
        [enrollment] = await enrolled(client, ident)
        text = "query ($id: ID!) { node(id: $id) { ... on Enrollment { waiting steps { outcome } } } }"
        node = (await client.get(text, id=enrollment))["node"]
        assert node == {"waiting": "DELAY", "steps": [{"outcome": "DONE"}, {"outcome": "DONE"}]}


async def test_a_definition_that_is_nowhere_kept_and_drafts_can_be_tried(db: Database) -> None:
    async with opened(db) as client:
        ann = await record(client, "contacts", city="Boston")
        await work(db)
        given = {"objectType": "contacts", "triggers": [{"filterMet": {"where": BOSTON}}], "actions": [SET]}
        before = await everything(db)
        [one] = (await dry(client, definition=given, recordIds=[ann]))["records"]
        assert [line["new"] for line in one["changes"]] == ["seen"]
        assert await everything(db) == before
        wrong = {**given, "actions": [{"setProperty": {"property": "nope", "value": 1}}]}
        found = await dry(client, definition=wrong, recordIds=[ann])
        assert found["records"] == []
        path = ["input", "definition", "actions", 0, "setProperty", "property"]
        assert [one["path"] for one in found["userErrors"]] == [path]
        ident = await flow(client, BOSTON, SET)
        draft = {
            "id": ident,
            "version": 1,
            "actions": [{"setProperty": {"property": "jobtitle", "value": "new"}}],
        }
        await client.do("updateWorkflow", "userErrors { code }", draft)
        for more, value in (({}, "seen"), ({"draft": True}, "new"), ({"revision": 1}, "seen")):
            [one] = (await dry(client, workflow=ident, recordIds=[ann], **more))["records"]
            assert [line["new"] for line in one["changes"]] == [value]


async def test_who_would_not_enter_says_why_and_can_be_called_in(db: Database) -> None:
    async with opened(db) as client:
        ident = await flow(client, BOSTON, SET)
        ann = await record(client, "contacts", city="Boston")
        await work(db)
        [one] = (await dry(client, workflow=ident, recordIds=[ann]))["records"]
        assert (one["enters"], one["reason"]) == (False, "ALREADY_ENROLLED")
        [one] = (await dry(client, workflow=ident, recordIds=[ann], entry="CALLED"))["records"]
        assert (one["enters"], [step["outcome"] for step in one["steps"]]) == (True, ["UNCHANGED"])
        created = [{"recordCreated": {"where": BOSTON}}]
        other = await flow(client, {}, SET, name="created", triggers=created)
        [one] = (await dry(client, workflow=other, recordIds=[ann]))["records"]
        assert (one["enters"], one["trigger"]) == (True, 0)


async def test_refusals_are_told_with_the_steps_that_meet_them(db: Database) -> None:
    async with opened(db) as client:
        label = {
            "from": "contacts",
            "to": "companies",
            "label": "Chief",
            "name": "chief",
            "inverseLabel": "Chief of",
            "inverseName": "chief_of",
            "inverseMaxCount": 1,
        }
        made = await client.do("createAssociationLabel", "associationLabel { id } userErrors { code }", label)
        assert made["userErrors"] == []
        action = {"applyLabel": {"to": "companies", "label": "chief"}}
        ident = await flow(client, BOSTON, action)
        acme = await record(client, "companies", name="Acme")
        two = [await record(client, "contacts", city="Paris") for _ in range(2)]
        for one in two:
            await associate(client, one, acme)
        found = await dry(client, workflow=ident, recordIds=two, entry="CALLED")
        assert [one["status"] for one in found["records"]] == ["COMPLETED", "FAILED"]
        [step] = found["records"][1]["steps"]
        assert step["error"]["code"] == "LABEL_LIMIT_REACHED"


@pytest.mark.parametrize("occurs", [False, True])
async def test_what_a_delay_waits_for_occurs_or_its_time_runs_out(db: Database, occurs: bool) -> None:
    async with opened(db) as client:
        wait = {
            "untilEvent": {
                "event": {"eventOccurred": {"type": "form_submitted"}},
                "timeout": {"value": 3, "unit": "DAY"},
                "timedOut": [{"setProperty": {"property": "jobtitle", "value": "late"}}],
            }
        }
        ident = await flow(client, BOSTON, {"delay": wait}, SET)
        ann = await record(client, "contacts")
        found = await dry(client, workflow=ident, recordIds=[ann], entry="CALLED", eventsOccur=occurs)
        [one] = found["records"]
        first = one["steps"][0]
        assert first["waitsFor"] == (None if occurs else "EVENT")
        assert [line["new"] for line in one["changes"]] == (["seen"] if occurs else ["late", "seen"])


async def test_it_is_bounded(db: Database) -> None:
    async with opened(db) as client, opened(db, "other") as other:
        ident = await flow(client, BOSTON, SET, SET)
        many = [await record(client, "contacts", city="Paris") for _ in range(30)]

        async def statements(some: list[str]) -> int:
            with counted() as said:
                await dry(client, workflow=ident, recordIds=some, entry="CALLED")
            return len(said)

        assert await statements(many) <= await statements(many[:1]) + 2
        found = await dry(client, workflow=ident, recordIds=["rec_1"] * 101)
        assert [one["code"] for one in found["userErrors"]] == ["TOO_MANY_RECORDS"]
        for given in ({}, {"workflow": ident, "definition": {"objectType": "contacts", "triggers": []}}):
            found = await dry(client, **given)
            assert [one["code"] for one in found["userErrors"]] == ["NOTHING_TO_RUN"]
        found = await dry(other, workflow=ident, recordIds=many[:1])
        assert [one["code"] for one in found["userErrors"]] == ["NOT_FOUND"]
        mine = await flow(other, BOSTON, SET)
        found = await dry(other, workflow=mine, recordIds=many[:1])
        assert [one["problem"]["code"] for one in found["records"]] == ["NOT_FOUND"]


async def test_what_is_told_is_what_then_happens(db: Database) -> None:
    async with opened(db) as client:
        ident = await flow(
            client,
            BOSTON,
            SET,
            {"setProperty": {"property": "city", "value": "Rome", "of": {"to": "companies"}}},
            {"copyProperty": {"property": "city", "into": "lastname"}},
            {"incrementProperty": {"property": "numberofemployees", "by": 3, "of": {"to": "companies"}}},
        )
        ann, bob = [await record(client, "contacts", city="Paris") for _ in range(2)]
        acme = await record(client, "companies", name="Acme", city="Paris", numberofemployees=4)
        for one in (ann, bob):
            await associate(client, one, acme)
            await change(client, one, city="Boston")
        found = await dry(client, workflow=ident, recordIds=[ann, bob])
        told = [
            [
                (line["kind"], line["recordId"], line["property"], line["old"], line["new"])
                for line in one["changes"]
            ]
            for one in found["records"]
        ]
        await work(db)
        text = """query ($id: ID!) { enrollments(workflow: $id) { nodes { record { id }
          steps { changes { kind recordId property old new } } } } }"""
        nodes = (await client.get(text, id=ident))["enrollments"]["nodes"]
        happened = {
            node["record"]["id"]: [tuple(line.values()) for step in node["steps"] for line in step["changes"]]
            for node in nodes
        }
        assert told == [happened[ann], happened[bob]]
        assert len(told[0]) == 4
