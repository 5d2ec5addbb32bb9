"""Workflows that decide, wait and send, through GraphQL; and failures that are retried there."""

from datetime import UTC, datetime, timedelta
from typing import Any

from engine.evaluation import run as evaluate
from engine.workflows import steps
from storage.database import Database
from tests.face import Client, opened
from tests.outside import Outside, receiving

ENROLLMENTS = """
    query ($flow: ID!) { workflow(id: $flow) { enrollments { nodes {
      id status error { code } steps { n action outcome changes { json } error { code message } } } } } }
"""
RETRIED = "enrollment { id status error { code } } userErrors { code path }"
MADE = """
    workflow { id version draft { actions { __typename ... on CallWebhookAction { signed } } } }
    userErrors { code path message }
"""


async def enrollment(client: Client, flow: str) -> Any:
    """The one enrollment of a workflow."""
    [found] = (await client.get(ENROLLMENTS, flow=flow))["workflow"]["enrollments"]["nodes"]
    return found


async def begin(client: Client, actions: list[Any]) -> str:
    """A workflow for contacts in Boston, on."""
    where = {"property": {"name": "city", "operator": "EQUALS", "value": "Boston"}}
    given = {"name": "x", "objectType": "contacts", "triggers": [{"filterMet": {"where": where}}]}
    answer = await client.do("createWorkflow", MADE, given | {"actions": actions})
    assert answer["userErrors"] == []
    assert "horse" not in str(answer)
    made = answer["workflow"]
    await client.do("publishWorkflow", MADE, {"id": made["id"], "version": made["version"]})
    await client.do("setWorkflowEnabled", MADE, {"id": made["id"], "enabled": True})
    records = [{"properties": {"city": "Boston"}}]
    await client.do("createRecords", "userErrors { code }", {"objectType": "contacts", "records": records})
    ident: str = made["id"]
    return ident


async def work(db: Database, minutes: int = 0) -> None:
    """What workers do so many minutes from now: requests are of the present."""
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    for _ in range(3):
        await evaluate.run_all(db, now=now)
        await steps.run_due(db, now=now)


async def test_a_failure_is_seen_and_retried(db: Database) -> None:
    async with opened(db) as client, receiving() as receiver:
        call = {
            "callWebhook": {"url": receiver.url("/200"), "secret": "correct horse", "properties": ["city"]}
        }
        branch = {
            "branch": {
                "branches": [
                    {
                        "name": "Boston",
                        "where": {"property": {"name": "city", "operator": "EQUALS", "value": "Boston"}},
                        "actions": [call],
                    }
                ]
            }
        }
        delay = {"delay": {"duration": {"value": 5, "unit": "MINUTE"}}}
        flow = await begin(client, [delay, branch, {"createTask": {"title": "Call {{ city }}"}}])
        await work(db)
        await work(db, 5)
        outside = Outside(db, client.account_id, at=datetime.now(UTC) + timedelta(minutes=6))
        await outside.send(allow_private=False)
        await work(db, 7)
        failed = await enrollment(client, flow)
        assert (failed["status"], failed["error"]["code"]) == ("FAILED", "PRIVATE_ADDRESS")
        assert [(one["action"], one["outcome"]) for one in failed["steps"]] == [
            ("a1", "DONE"),
            ("a2", "DONE"),
            ("a3", "FAILED"),
        ]
        branched = {"branch": "Boston", "way": 0, "seen": {"city": "Boston"}}
        assert failed["steps"][1]["changes"] == [{"json": branched}]
        assert "horse" not in str(failed)
        wrong = await client.do("retryStep", RETRIED, {"enrollmentId": failed["id"], "step": 0})
        assert wrong == {
            "enrollment": None,
            "userErrors": [{"code": "STEP_NOT_FAILED", "path": ["input", "step"]}],
        }
        wrong = await client.do("retryStep", RETRIED, {"enrollmentId": "enr_1"})
        assert [one["code"] for one in wrong["userErrors"]] == ["NOT_FOUND"]
        answer = await client.do("retryStep", RETRIED, {"enrollmentId": failed["id"]})
        assert answer == {
            "enrollment": {"id": failed["id"], "status": "ACTIVE", "error": None},
            "userErrors": [],
        }
        await outside.send()
        await work(db, 8)
        assert len(receiver.requests) == 1
        done = await enrollment(client, flow)
        assert done["status"] == "COMPLETED"
        [made, joined] = [one["json"] for one in done["steps"][-1]["changes"]]
        assert made["created"].startswith("rec_")
        assert joined["associated"] == made["created"]


async def test_all_failures_of_an_action_are_retried(db: Database) -> None:
    async with opened(db) as client, receiving() as receiver:
        flow = await begin(client, [{"callWebhook": {"url": receiver.url("/200")}}])
        await work(db)
        outside = Outside(db, client.account_id, at=datetime.now(UTC) + timedelta(minutes=1))
        await outside.send(allow_private=False)
        await work(db, 2)
        fields = "retriedCount lastId userErrors { code path }"
        answer = await client.do("retryFailed", fields, {"workflowId": flow, "action": "a1"})
        assert answer == {"retriedCount": 1, "lastId": None, "userErrors": []}
        await outside.send()
        await work(db, 3)
        assert (await enrollment(client, flow))["status"] == "COMPLETED"
        answer = await client.do("retryFailed", fields, {"workflowId": "wfl_1"})
        assert answer["userErrors"] == [{"code": "NOT_FOUND", "path": ["input", "workflowId"]}]
