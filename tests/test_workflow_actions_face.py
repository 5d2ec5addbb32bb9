"""Actions on data through GraphQL: the page's examples are taken as they stand, and what they did is told."""

import re
from pathlib import Path
from typing import Any

from engine.demo.build import make_labels
from engine.evaluation import run as evaluate
from engine.workflows import steps
from storage.database import Actor, Database
from tests.face import T0, Client, opened

PAGE = Path(__file__).parent.parent / "docs" / "workflow-actions.md"
ERROR = "error { code associated refused others { associated code } }"
STEPS = (
    f"enrollments(workflow: $flow) {{ nodes {{ status steps {{ outcome changes {{ json }} {ERROR} }} }} }}"
)


async def record(client: Client, kind: str, **values: Any) -> str:
    given = {"objectType": kind, "records": [{"properties": values}]}
    made = await client.do("createRecords", "results { record { id } } userErrors { code }", given)
    found: str = made["results"][0]["record"]["id"]
    return found


async def test_the_examples_of_the_page_are_taken_where_the_labels_are_those_of_the_demo(
    db: Database,
) -> None:
    blocks = re.findall(r"^```graphql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    blocks = [block for block in blocks if "createWorkflow" in block]
    async with opened(db) as client:
        async with db.transaction(client.account_id, now=T0, actor=Actor("API"), defining=True) as tx:
            await make_labels(tx)
        given = {"from": "deals", "to": "deals", "label": "Follow-up", "name": "follow_up"}
        given |= {"inverseLabel": "Follows", "inverseName": "follows"}
        await client.do("createAssociationLabel", "userErrors { code message }", given)
        for block in blocks:
            answer = await client.ask(block)
            assert answer["data"]["createWorkflow"]["userErrors"] == [], block
        assert len(blocks) == 4


async def test_what_an_action_did_and_what_was_refused_is_told(db: Database) -> None:
    async with opened(db) as client:
        limited = {"from": "contacts", "to": "companies", "label": "Owner", "name": "owner", "maxCount": 1}
        await client.do("createAssociationLabel", "userErrors { code }", limited)
        firms = [await record(client, "companies", city="Boston") for _ in range(3)]
        known = {"filterMet": {"where": {"property": {"name": "city", "operator": "KNOWN"}}}}
        match = {"own": "city", "other": "city", "matching": "TRIMMED"}
        given = {
            "name": "owners",
            "objectType": "contacts",
            "triggers": [known],
            "actions": [{"createAssociations": {"to": "companies", "match": match, "label": "owner"}}],
        }
        made = await client.do("createWorkflow", "workflow { id version } userErrors { message }", given)
        flow = made["workflow"]
        await client.do("publishWorkflow", "userErrors { code }", flow)
        switch = {"id": flow["id"], "enabled": True}
        await client.do("setWorkflowEnabled", "userErrors { code }", switch)
        await record(client, "contacts", city="boston ")
        await evaluate.run_all(db, now=T0)
        await steps.run_due(db, now=T0)
        asked = await client.get(f"query Q($flow: ID!) {{ {STEPS} }}", flow=flow["id"])
        [enrollment] = asked["enrollments"]["nodes"]
        [step] = enrollment["steps"]
        assert (enrollment["status"], step["outcome"]) == ("FAILED", "FAILED")
        assert step["error"] == {
            "code": "LABEL_LIMIT_REACHED",
            "associated": firms[1],
            "refused": 2,
            "others": [{"associated": firms[2], "code": "LABEL_LIMIT_REACHED"}],
        }
        assert {"association", "label"} & {key for change in step["changes"] for key in change["json"]}
