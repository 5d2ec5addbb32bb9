"""Why and why not, through GraphQL: told as it was, told as it is."""

from datetime import UTC, datetime
from typing import Any

from engine.access import Scope
from engine.evaluation import run as evaluate
from engine.workflows import backfill, steps
from storage.database import Database
from tests.face import Client, new_key, opened

BOSTON = {"property": {"name": "city", "operator": "EQUALS", "value": "Boston"}}
CHANGE = "{ kind recordId property old new associatedId labels createdId json }"
DIAGNOSIS = """query ($id: ID!) { diagnoseEnrollment(enrollment: $id) {
  enrollment { id status epoch waiting attempts undoneAt arrived reason { kind userId } }
  cause { kind at exact recordId record { displayName } source sourceId userId details }
  kept triggers { trigger kind occurred eventId other { id } otherWhere { holds }
    where { kind holds parts { kind holds } expected actual
            lookedAt { record { id } labels holds where { actual } } lookedAtCount tree } } } }"""
WHY_NOT = """query ($workflow: ID!, $record: ID!) { whyNotEnrolled(workflow: $workflow, record: $record) {
  reason message workflow { id } record { id } enrollment { id } problems { code path }
  conditions { role number kind holds where { holds actual } nearest { kind } }
  nearest { kind words recordId record { id } path holds expected actual to labels otherId count } } }"""


async def work(db: Database) -> None:
    # Requests have the clock's time, and what follows them is later.
    now = datetime.now(UTC)
    for _ in range(3):
        await evaluate.run_all(db, now=now)
        await backfill.run_all(db, now=now)
        await steps.run_due(db, now=now)


async def record(client: Client, kind: str, **values: Any) -> str:
    given = {"objectType": kind, "records": [{"properties": values}]}
    made = await client.do("createRecords", "results { record { id } userErrors { code } }", given)
    ident: str = made["results"][0]["record"]["id"]
    return ident


async def change(client: Client, ident: str, **values: Any) -> None:
    given = {"records": [{"id": ident, "properties": values}]}
    made = await client.do("updateRecords", "results { userErrors { code } }", given)
    assert made["results"] == [{"userErrors": []}]


async def associate(client: Client, one: str, other: str, *labels: str) -> None:
    given = {"associations": [{"fromId": one, "toId": other, "labels": list(labels)}]}
    made = await client.do("associate", "results { userErrors { code } }", given)
    assert made["results"] == [{"userErrors": []}]


async def flow(client: Client, where: dict[str, Any], *actions: dict[str, Any], **more: Any) -> str:
    on = more.pop("on", True)
    given = {
        "name": more.pop("name", "flow"),
        "objectType": "contacts",
        "triggers": more.pop("triggers", [{"filterMet": {"where": where}}]),
        "actions": list(actions),
        "settings": more or None,
    }
    made = await client.do(
        "createWorkflow", "workflow { id version } userErrors { code message path }", given
    )
    assert made["userErrors"] == []
    ident: str = made["workflow"]["id"]
    await client.do("publishWorkflow", "userErrors { code }", {"id": ident})
    if on:
        await client.do("setWorkflowEnabled", "userErrors { code }", {"id": ident, "enabled": True})
    return ident


async def enrolled(client: Client, workflow: str) -> list[str]:
    text = "query ($id: ID!) { enrollments(workflow: $id) { nodes { id } } }"
    return [node["id"] for node in (await client.get(text, id=workflow))["enrollments"]["nodes"]]


async def test_a_diagnosis_tells_what_was_seen_then_not_what_is_now(db: Database) -> None:
    async with opened(db) as client:
        near = {"associated": {"to": "companies", "labels": ["primary"], "where": BOSTON}}
        ident = await flow(client, near, {"setProperty": {"property": "jobtitle", "value": "seen"}})
        ann = await record(client, "contacts", firstname="Ann")
        acme = await record(client, "companies", name="Acme", city="Paris")
        await associate(client, ann, acme, "primary")
        await work(db)
        assert await enrolled(client, ident) == []
        await change(client, acme, city="Boston")
        await work(db)
        await change(client, acme, city="Rome")
        [enrollment] = await enrolled(client, ident)
        found = (await client.get(DIAGNOSIS, id=enrollment))["diagnoseEnrollment"]
        assert found["kept"] is True
        assert found["enrollment"]["epoch"] == 1
        cause = found["cause"]
        assert (cause["kind"], cause["recordId"], cause["source"]) == ("UPDATED", acme, "API")
        assert (cause["exact"], cause["record"]) == (True, {"displayName": "Acme"})
        [trigger] = found["triggers"]
        assert (trigger["trigger"], trigger["kind"]) == (0, "filterMet")
        [looked] = trigger["where"]["lookedAt"]
        assert looked == {
            "record": {"id": acme},
            "labels": ["primary"],
            "holds": True,
            "where": {"actual": "Boston"},
        }
        told = (await client.get(WHY_NOT, workflow=ident, record=ann))["whyNotEnrolled"]
        assert told["reason"] == "ALREADY_ENROLLED"
        assert told["enrollment"] == {"id": enrollment}


async def test_a_diagnosis_of_a_call_tells_who_called_and_of_an_event_which_one(db: Database) -> None:
    async with opened(db) as client:
        called = await flow(client, BOSTON, name="called")
        ann = await record(client, "contacts", firstname="Ann")
        given = {"workflowId": called, "recordIds": [ann]}
        made = await client.do("enrollRecords", "results { enrollment { id } userErrors { code } }", given)
        one = made["results"][0]["enrollment"]["id"]
        found = (await client.get(DIAGNOSIS, id=one))["diagnoseEnrollment"]
        assert (found["cause"]["kind"], found["cause"]["source"], found["triggers"]) == ("MANUAL", "API", [])
        submitted = await flow(
            client, {}, name="event", triggers=[{"eventOccurred": {"type": "form_submitted"}}]
        )
        event: dict[str, Any] = {"type": "form_submitted", "record": {"id": ann}, "properties": {}}
        await client.do("recordEvents", "results { userErrors { code } }", {"events": [event]})
        await work(db)
        [two] = await enrolled(client, submitted)
        found = (await client.get(DIAGNOSIS, id=two))["diagnoseEnrollment"]
        [trigger] = found["triggers"]
        assert (found["cause"]["kind"], trigger["kind"]) == ("OCCURRED", "eventOccurred")
        assert trigger["eventId"].startswith("evn_")
        assert trigger["occurred"]["eventType"] == "form_submitted"


async def test_why_not_tells_the_change_that_enrolls(db: Database) -> None:
    async with opened(db) as client:
        ident = await flow(
            client, BOSTON, suppressWhen={"property": {"name": "firstname", "operator": "KNOWN"}}
        )
        ann = await record(client, "contacts", city="Paris")
        await work(db)
        found = (await client.get(WHY_NOT, workflow=ident, record=ann))["whyNotEnrolled"]
        assert (found["reason"], found["enrollment"], found["problems"]) == ("TRIGGER_NOT_MET", None, [])
        assert [(one["role"], one["holds"]) for one in found["conditions"]] == [
            ("TRIGGER", False),
            ("SUPPRESSION", False),
        ]
        [needed] = found["nearest"]
        assert needed["words"] == f'"city" of {ann} must meet "equals "Boston""; it is "Paris" now'
        assert needed["path"] == ["triggers", 0, "filterMet", "where", "property"]
        await change(client, ann, city="Boston")
        told = (await client.get(WHY_NOT, workflow=ident, record=ann))["whyNotEnrolled"]
        assert (told["reason"], told["nearest"]) == ("NOT_EXAMINED_YET", [])


async def test_histories_tell_changes_by_kind_and_lists_can_be_narrowed(db: Database) -> None:
    async with opened(db) as client:
        ident = await flow(
            client,
            BOSTON,
            {"setProperty": {"property": "jobtitle", "value": "seen"}},
            {"createTask": {"title": "Call {{ firstname }}"}},
        )
        ann = await record(client, "contacts", city="Boston", firstname="Ann")
        await work(db)
        text = f"""query ($id: ID!, $failed: String, $trigger: Int, $after: DateTime, $before: DateTime) {{
          enrollments(workflow: $id, failedAction: $failed, trigger: $trigger,
                      enrolledAfter: $after, enrolledBefore: $before) {{
            nodes {{ steps {{ outcome changes {CHANGE}
                             deliveries {{ kind status attempts lastError {{ code }} at }} }} }} }} }}"""
        [node] = (await client.get(text, id=ident))["enrollments"]["nodes"]
        [[first], [made, joined]] = [step["changes"] for step in node["steps"]]
        assert (first["kind"], first["recordId"], first["property"], first["new"]) == (
            "PROPERTY",
            ann,
            "jobtitle",
            "seen",
        )
        assert (made["kind"], joined["kind"]) == ("RECORD_CREATED", "ASSOCIATION_ADDED")
        assert joined["associatedId"] == made["createdId"]
        for narrow, count in (
            ({"trigger": 0}, 1),
            ({"trigger": 1}, 0),
            ({"failed": "a1"}, 0),
            ({"after": "2020-03-01T12:00:00Z"}, 1),
            ({"before": "2020-03-01T12:00:00Z"}, 0),
        ):
            nodes = (await client.get(text, id=ident, **narrow))["enrollments"]["nodes"]
            assert len(nodes) == count, narrow


async def test_what_belongs_to_others_is_not_found_and_needs_scopes(db: Database) -> None:
    async with opened(db, "one") as one, opened(db, "two") as two:
        ident = await flow(one, BOSTON)
        ann = await record(one, "contacts", city="Boston")
        await work(db)
        [enrollment] = await enrolled(one, ident)
        mine = await flow(two, BOSTON)
        for query, given in (
            (DIAGNOSIS, {"id": enrollment}),
            (WHY_NOT, {"workflow": ident, "record": ann}),
            (WHY_NOT, {"workflow": mine, "record": ann}),
        ):
            answer = await two.ask(query, **given)
            assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        answer = await one.ask(DIAGNOSIS, id="rec_1")
        assert answer["errors"][0]["extensions"]["code"] == "MALFORMED_ID"
        for scope in (Scope.RECORDS_READ, Scope.AUTOMATION_READ):
            secret = await new_key(db, one.account_id, scopes=[scope])
            answer = await Client(one.http, secret, one.account_id).ask(DIAGNOSIS, id=enrollment)
            assert answer["errors"][0]["extensions"]["code"] == "MISSING_SCOPE"
