"""Labels managed through the face: by super admins alone, with their details, uses, ends, and what was in the past."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.access import Role
from storage.database import Database
from tests.face import Client, new_key, opened
from tests.statements import counted
from tests.test_label_stories import LABEL, Story

MANAGING: dict[str, dict[str, Any]] = {
    "createAssociationLabel": {"from": "contacts", "to": "deals", "label": "X"},
    "updateAssociationLabel": {"id": "typ_1", "label": "X"},
    "setAssociationLimits": {"id": "typ_1", "maxCount": 1},
    "deleteAssociationLabel": {"id": "typ_1"},
    "replaceAssociationLabel": {"from": "typ_1", "to": "typ_2"},
}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.AUTOMATION_MANAGER])
async def test_only_super_admins_manage_labels(db: Database, role: Role) -> None:
    async with opened(db) as admin:
        client = Client(admin.http, await new_key(db, admin.account_id, role), admin.account_id)
        for mutation, given in MANAGING.items():
            kind = mutation[0].upper() + mutation[1:] + "Input"
            answer = await client.ask(
                f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}",
                input=given,
            )
            assert answer["errors"][0]["extensions"]["code"] == "MISSING_SCOPE", mutation
        data = await client.get('{ associationTypes(from: "contacts", to: "deals") { usage { inUse } } }')
        assert data["associationTypes"]


async def test_a_label_has_its_details_and_its_name_never_changes(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        made = await story.label(
            "contacts",
            "companies",
            "Works for; paid",
            "Employs",
            name="works_for",
            maxCount=2,
            inverseMaxCount=9,
        )
        data = await client.get(
            """query ($id: ID!) { associationLabel(id: $id) { id typeId name label category maxCount
                inverseTypeId inverseName inverseLabel inverseMaxCount from to exclusivityGroup symmetric } }""",
            id=made["id"],
        )
        assert data["associationLabel"] == {
            "id": made["id"],
            "typeId": made["id"],
            "name": "works_for",
            "label": "Works for; paid",
            "category": "USER_DEFINED",
            "maxCount": 2,
            "inverseTypeId": made["inverse"]["id"],
            "inverseName": "employs",
            "inverseLabel": "Employs",
            "inverseMaxCount": 9,
            "from": "contacts",
            "to": "companies",
            "exclusivityGroup": None,
            "symmetric": False,
        }
        renamed = await client.ask(
            "mutation ($input: UpdateAssociationLabelInput!) { updateAssociationLabel(input: $input) { warnings } }",
            input={"id": made["id"], "name": "other"},
        )
        assert renamed["errors"]
        grouped = await client.do(
            "updateAssociationLabel",
            "associationLabel { exclusivityGroup inverse { exclusivityGroup } } userErrors { code }",
            {"id": made["id"], "exclusivityGroup": "employment"},
        )
        assert grouped["associationLabel"]["inverse"]["exclusivityGroup"] == "employment"
        ungrouped = await client.do(
            "updateAssociationLabel", LABEL, {"id": made["id"], "exclusivityGroup": None}
        )
        assert ungrouped["userErrors"] == []
        data = await client.get(
            """query ($id: ID!) { associationLabel(id: $id) {
                history { kind source sourceId userId changes { field old new } } } }""",
            id=made["inverse"]["id"],
        )
        created, first, second = data["associationLabel"]["history"]
        assert (created["kind"], created["source"]) == ("CREATED", "API")
        assert created["sourceId"]
        assert {"field": "from", "old": None, "new": "contacts"} in created["changes"]
        assert first["changes"] == [{"field": "exclusivityGroup", "old": None, "new": "employment"}]
        assert second["changes"] == [{"field": "exclusivityGroup", "old": "employment", "new": None}]


async def test_limits_fit_each_other_and_the_error_names_the_range(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        made = await story.label("deals", "contacts", "Buyer", maxCount=3)
        data = await client.get('{ associationTypes(from: "deals", to: "contacts") { id name } }')
        [plain] = [row["id"] for row in data["associationTypes"] if row["name"] is None]
        fields = "userErrors { code message path details }"
        low = await client.do("setAssociationLimits", fields, {"id": plain, "maxCount": 2})
        assert low["userErrors"][0]["code"] == "LIMIT_OUT_OF_RANGE"
        assert low["userErrors"][0]["details"]["allowed"].startswith("3 or more")
        assert (await client.do("setAssociationLimits", fields, {"id": plain, "maxCount": 4}))[
            "userErrors"
        ] == []
        high = await client.do("updateAssociationLabel", fields, {"id": made["id"], "maxCount": 5})
        assert high["userErrors"][0]["path"] == ["input", "maxCount"]
        assert "from 1 to 4" in high["userErrors"][0]["message"]


async def test_a_preview_lists_whom_a_limit_would_find_beyond_it(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        made = await story.label("deals", "contacts", "Buyer")
        names = [f"d{n}" for n in range(4)]
        for name in names:
            await story.there_is("deals", name=name)
        for n in range(4):
            await story.there_is("contacts", firstname=f"c{n}")
        for n, name in enumerate(names):
            for m in range(n + 1):
                await story.are(name, f"c{m}", "buyer")
        query = """query ($id: ID!, $n: Int!, $first: Int, $after: String) {
            limitViolations(id: $id, maxCount: $n, first: $first, after: $after) { totalCount
                edges { cursor node { count record { displayName } } } pageInfo { hasNextPage endCursor } } }"""
        data = await client.get(query, id=made["id"], n=2, first=1)
        page = data["limitViolations"]
        assert page["totalCount"] == 2
        assert [(e["node"]["record"]["displayName"], e["node"]["count"]) for e in page["edges"]] == [
            ("d2", 3)
        ]
        assert page["pageInfo"]["hasNextPage"]
        data = await client.get(query, id=made["id"], n=2, first=1, after=page["pageInfo"]["endCursor"])
        assert [e["node"]["count"] for e in data["limitViolations"]["edges"]] == [4]
        assert not data["limitViolations"]["pageInfo"]["hasNextPage"]
        # What is archived is under no limit and counts under none.
        await client.do("archiveRecords", "userErrors { code }", {"ids": [story.ids["d3"], story.ids["c0"]]})
        data = await client.get(query, id=made["id"], n=1)
        assert [e["node"]["count"] for e in data["limitViolations"]["edges"]] == [2]
        data = await client.get(query, id=made["inverse"]["id"], n=2)
        assert data["limitViolations"]["edges"] == []
        for given, code in (({"n": 0}, "LIMIT_OUT_OF_RANGE"), ({"n": 1, "after": "x"}, "MALFORMED_CURSOR")):
            answer = await client.ask(query, id=made["id"], **given)
            assert answer["errors"][0]["extensions"]["code"] == code
        told = (await client.ask(query, id="typ_999999", n=1))["errors"][0]
        assert "typ_999999" in told["message"]
        assert told["extensions"]["path"] == ["id"]


async def test_the_labels_of_an_object_pair_are_listed_with_their_uses_in_few_statements(
    db: Database,
) -> None:
    async with opened(db) as client:
        story = Story(client)
        for n in range(8):
            await story.label("contacts", "contacts", f"L{n}")
        for name in ("Ann", "Bob"):
            await story.there_is("contacts", firstname=name)
        await story.are("Ann", "Bob", "l0", "l1")
        query = """{ associationTypes(from: "contacts", to: "contacts") {
            name usage { associationCount workflowCount inUse } history { kind } } }"""
        await client.get(query)
        with counted() as run:
            data = await client.get(query)
        found = {row["name"]: row["usage"]["associationCount"] for row in data["associationTypes"]}
        assert (found["l0"], found["l1"], found["l2"], found[None]) == (1, 1, 0, 1)
        reading = [
            sql
            for sql in run
            if "association AS a" in sql or "workflow AS w" in sql or "label_history" in sql
        ]
        assert len(reading) == 3


async def test_a_label_in_use_is_replaced_and_deleted(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        old = await story.label("deals", "contacts", "Buyer")
        new = await story.label("deals", "contacts", "Purchaser", maxCount=1)
        await story.there_is("deals", name="Deal")
        for name in ("Ann", "Bob"):
            await story.there_is("contacts", firstname=name)
            await story.are("Deal", name, "buyer")
        flow = {
            "name": "Flow",
            "objectType": "deals",
            "triggers": [{"filterMet": {"where": {"associated": {"to": "contacts", "labels": ["buyer"]}}}}],
            "actions": [],
        }
        made = await client.do("createWorkflow", "workflow { id } userErrors { code message }", flow)
        assert made["userErrors"] == []
        fields = "deletedIds userErrors { code message path details }"
        refused = await client.do("deleteAssociationLabel", fields, {"id": old["id"]})
        [error] = refused["userErrors"]
        assert (error["code"], error["path"]) == ("LABEL_IN_USE", ["input", "id"])
        assert [use["kind"] for use in error["details"]["uses"]] == ["ASSOCIATIONS", "WORKFLOW_TRIGGER"]
        data = await client.get(
            """query ($id: ID!) { labelUsage(id: $id) { associationCount workflowCount inUse
                uses { kind count id name revision path } } }""",
            id=old["inverse"]["id"],
        )
        usage = data["labelUsage"]
        assert (usage["associationCount"], usage["workflowCount"], usage["inUse"]) == (2, 1, True)
        assert usage["uses"][1] == {
            "kind": "WORKFLOW_TRIGGER",
            "count": 1,
            "id": made["workflow"]["id"],
            "name": "Flow",
            "revision": None,
            "path": ["triggers", 0, "filterMet", "where", "associated", "labels", 0],
        }
        asked = {"from": old["id"], "to": new["id"], "delete": True}
        fields = """associationLabel { name usage { associationCount } } moved { kind count } deleted
            userErrors { code details }"""
        full = await client.do("replaceAssociationLabel", fields, asked)
        assert (full["associationLabel"], full["deleted"], full["moved"]) == (None, False, [])
        assert [error["code"] for error in full["userErrors"]] == ["LIMIT_WOULD_BE_PASSED"]
        await client.do("setAssociationLimits", "userErrors { code }", {"id": new["id"], "maxCount": 2})
        done = await client.do("replaceAssociationLabel", fields, asked)
        assert done["userErrors"] == []
        assert done["deleted"]
        assert done["associationLabel"] == {"name": "purchaser", "usage": {"associationCount": 2}}
        assert done["moved"][0] == {"kind": "ASSOCIATIONS", "count": 2}
        assert (await client.ask("query ($id: ID!) { associationLabel(id: $id) { id } }", id=old["id"]))[
            "errors"
        ]
        history = "query ($id: ID!) { associationLabelHistory(id: $id) { kind } }"
        data = await client.get(history, id=old["inverse"]["id"])
        assert [line["kind"] for line in data["associationLabelHistory"]] == [
            "CREATED",
            "REPLACED",
            "DELETED",
        ]
        system = await client.get('{ associationTypes(from: "contacts", to: "companies") { id } }')
        for row in system["associationTypes"]:
            kept = await client.do("deleteAssociationLabel", "userErrors { code }", {"id": row["id"]})
            assert kept["userErrors"][0]["code"] == "SYSTEM_LABEL_FIXED"


AS_OF = """query ($id: ID!, $at: DateTime, $first: Int, $after: String, $labels: [String!]) { record(id: $id) {
    associations(to: "contacts", asOf: $at, first: $first, after: $after, labels: $labels) { totalCount
        edges { cursor createdAt labels { name label category } node { id displayName } }
        pageInfo { hasNextPage endCursor } } } }"""


async def test_associations_and_labels_are_told_as_they_were(db: Database) -> None:
    clock = [datetime(2026, 3, 1, 12, tzinfo=UTC)]

    def tick() -> str:
        clock[0] += timedelta(minutes=1)
        return clock[0].isoformat()

    async with opened(db, now=lambda: clock[0]) as client:
        story = Story(client)
        label = await story.label("deals", "contacts", "Buyer")
        for object_type, name in (
            ("deals", "Deal"),
            ("contacts", "Ann"),
            ("contacts", "Bob"),
            ("contacts", "Cid"),
        ):
            await story.there_is(object_type, **{"name" if object_type == "deals" else "firstname": name})

        async def then(at: str | None, **more: Any) -> Any:
            data = await client.get(AS_OF, id=story.ids["Deal"], at=at, **more)
            return data["record"]["associations"]

        def told(page: Any) -> dict[str, list[str]]:
            return {e["node"]["displayName"]: [one["name"] for one in e["labels"]] for e in page["edges"]}

        start = tick()
        tick()
        await story.are("Deal", "Ann", "buyer")
        await story.are("Deal", "Bob")
        first = tick()
        tick()
        await story.are("Deal", "Ann", "buyer", by="removeLabels")
        await story.are("Deal", "Cid", "buyer")
        second = tick()
        tick()
        await story.are("Deal", "Bob", by="dissociate")
        await story.are("Deal", "Cid", "buyer", by="removeLabels")
        await client.do("deleteAssociationLabel", "userErrors { code }", {"id": label["id"]})
        await client.do("archiveRecords", "userErrors { code }", {"ids": [story.ids["Cid"]]})
        third = tick()
        assert told(await then(start)) == {}
        assert told(await then(first)) == {"Ann": ["buyer"], "Bob": []}
        assert told(await then(second)) == {"Ann": [], "Bob": [], "Cid": ["buyer"]}
        assert told(await then(third)) == told(await then(None)) == {"Ann": []}
        page = await then(first)
        assert page["totalCount"] == 2
        assert page["edges"][0]["labels"] == [{"name": "buyer", "label": "Buyer", "category": "USER_DEFINED"}]
        # What was told to the millisecond of is there from that millisecond on.
        assert told(await then(page["edges"][0]["createdAt"])) == {"Ann": ["buyer"], "Bob": []}
        # Pages in a stable order; a cursor belongs to its moment.
        seen, after = [], None
        while True:
            page = await then(second, first=1, after=after)
            seen += [edge["node"]["displayName"] for edge in page["edges"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert seen == ["Ann", "Bob", "Cid"]
        answer = await client.ask(AS_OF, id=story.ids["Deal"], at=first, after=after)
        assert answer["errors"][0]["extensions"]["code"] == "WRONG_CURSOR"
        assert set(told(await then(second, labels=[]))) == {"Ann", "Bob"}


HISTORY = """query ($id: ID!, $to: String, $with: ID, $first: Int, $after: String) { record(id: $id) {
    associationHistory(to: $to, with: $with, first: $first, after: $after) {
        edges { cursor node { at added source sourceId userId recordId label { name } record { displayName } } }
        pageInfo { hasNextPage endCursor } } } }"""


async def test_a_record_tells_which_associations_came_and_went(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        await story.label("contacts", "contacts", "Boss", "Report")
        for name in ("Ann", "Bob", "Cid"):
            await story.there_is("contacts", firstname=name)
        await story.there_is("companies", name="Acme")
        await story.are("Ann", "Bob", "boss")
        await story.are("Ann", "Acme")
        await story.are("Bob", "Ann", "report", by="removeLabels")
        await story.are("Ann", "Bob", by="dissociate")
        await story.are("Ann", "Cid")

        async def told(**more: Any) -> list[tuple[bool, str, str | None]]:
            found, after = [], None
            while True:
                data = await client.get(HISTORY, id=story.ids["Ann"], first=2, after=after, **more)
                page = data["record"]["associationHistory"]
                for edge in page["edges"]:
                    node = edge["node"]
                    assert (node["source"], node["recordId"]) == (
                        "API",
                        story.ids[node["record"]["displayName"]],
                    )
                    label = node["label"] and node["label"]["name"]
                    found.append((node["added"], node["record"]["displayName"], label))
                after = page["pageInfo"]["endCursor"]
                if not page["pageInfo"]["hasNextPage"]:
                    return found

        everything = await told()
        assert everything[:3] == [(True, "Cid", None), (False, "Bob", None), (False, "Bob", "boss")]
        assert set(everything[3:5]) == {(True, "Acme", None), (True, "Acme", "primary")}
        assert set(everything[5:]) == {(True, "Bob", None), (True, "Bob", "boss")}
        assert len(await told(to="companies")) == 2
        assert len(await told(**{"with": story.ids["Bob"]})) == 4
        answer = await client.ask(HISTORY, id=story.ids["Ann"], after="change_1")
        assert answer["errors"][0]["extensions"]["code"] == "MALFORMED_CURSOR"
