"""How workflows fare: every state, with what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from storage.database import Database
from tests.face import Client, opened
from tests.statements import counted
from tests.test_workflow_explain_face import BOSTON, flow, record, work

HEALTH = """query ($id: ID!, $days: Int) { workflowHealth(workflow: $id, days: $days) {
  state problems { code path } silentSince lastEnrolledAt waitingOutside due dueSince putAside putAsideError
  changesWaitingSince workflow { id }
  failures { action code count lastAt enrollmentId lastError { code message } enrollment { status } } } }"""
BROKEN = "{ brokenWorkflows { nodes { id } pageInfo { hasNextPage } } }"


async def health(client: Client, ident: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(HEALTH, id=ident, **more))["workflowHealth"]
    return found


async def test_a_workflow_that_is_well_silent_or_off(db: Database) -> None:
    async with opened(db) as client:
        delay = {"delay": {"duration": {"value": 1, "unit": "DAY"}}}
        ident = await flow(client, BOSTON, delay)
        found = await health(client, ident)
        assert (found["state"], found["lastEnrolledAt"], found["problems"]) == ("OK", None, [])
        await record(client, "contacts", city="Boston")
        found = await health(client, ident)
        assert found["changesWaitingSince"] is not None
        await work(db)
        found = await health(client, ident)
        assert (found["state"], found["due"], found["failures"]) == ("OK", 0, [])
        assert found["silentSince"] == found["lastEnrolledAt"] is not None
        assert found["changesWaitingSince"] is None
        await db.pool.execute(
            "UPDATE enrollment SET enrolled_at = $1", datetime.now(UTC) - timedelta(days=30)
        )
        await db.pool.execute("UPDATE workflow SET enabled_at = $1", datetime.now(UTC) - timedelta(days=60))
        assert (await health(client, ident))["state"] == "SILENT"
        assert (await health(client, ident, days=40))["state"] == "OK"
        await client.do("setWorkflowEnabled", "userErrors { code }", {"id": ident, "enabled": False})
        assert (await health(client, ident))["state"] == "OFF"


async def test_what_fails_is_counted_by_action_and_reason(db: Database) -> None:
    async with opened(db) as client:
        label: dict[str, Any] = {"from": "contacts", "to": "companies", "label": "Chief", "name": "chief"}
        label |= {"inverseLabel": "Chief of", "inverseName": "chief_of", "inverseMaxCount": 1}
        await client.do("createAssociationLabel", "userErrors { code }", label)
        ident = await flow(
            client,
            BOSTON,
            {"applyLabel": {"to": "companies", "label": "chief"}},
            triggers=[{"associationChanged": {"to": "companies"}}],
        )
        acme = await record(client, "companies", name="Acme")
        three = [await record(client, "contacts") for _ in range(3)]
        pairs = [{"fromId": one, "toId": acme, "labels": []} for one in three]
        await client.do("associate", "results { userErrors { code } }", {"associations": pairs})
        await work(db)
        found = await health(client, ident)
        assert found["state"] == "FAILING"
        [failure] = found["failures"]
        assert (failure["action"], failure["code"], failure["count"]) == ("a1", "LABEL_LIMIT_REACHED", 2)
        assert failure["enrollment"] == {"status": "FAILED"}
        assert failure["lastError"]["code"] == "LABEL_LIMIT_REACHED"


async def test_what_is_broken_is_told_with_its_place_and_found(db: Database) -> None:
    async with opened(db) as client:
        given = {"objectType": "contacts", "name": "mood", "label": "Mood", "type": "STRING"}
        made = await client.do("createProperty", "userErrors { code }", given)
        assert made["userErrors"] == []
        well = await flow(client, BOSTON, name="well")
        where = {"property": {"name": "mood", "operator": "KNOWN"}}
        ident = await flow(client, where)
        assert (await client.get(BROKEN))["brokenWorkflows"]["nodes"] == []
        archived = {"objectType": "contacts", "name": "mood"}
        await client.do("archiveProperty", "userErrors { code }", archived)
        found = await health(client, ident)
        assert found["state"] == "BROKEN"
        [problem] = found["problems"]
        assert problem["path"] == ["triggers", 0, "filterMet", "where", "property", "name"]
        assert (await health(client, well))["state"] == "OK"
        listed = (await client.get(BROKEN))["brokenWorkflows"]
        assert listed == {"nodes": [{"id": ident}], "pageInfo": {"hasNextPage": False}}


async def test_it_is_cheap_bounded_and_nobody_elses(db: Database) -> None:
    async with opened(db, "one") as one, opened(db, "two") as two:
        ident = await flow(one, BOSTON)
        with counted() as said:
            await health(one, ident)
        assert len(said) <= 7
        answer = await two.ask(HEALTH, id=ident)
        assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        answer = await one.ask(HEALTH, id=ident, days=0)
        assert answer["errors"][0]["extensions"]["code"] == "DAYS_UNFIT"
