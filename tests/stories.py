"""A person at the face and workers behind it: what is done and what is seen goes through GraphQL alone."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.evaluation import run as evaluate
from engine.workflows import backfill, passing, steps
from storage.database import Database
from tests.face import T0, Client, opened
from tests.outside import MailBox, Outside

WORKFLOW = "workflow { id version enabled problems { code } } userErrors { code message path }"
ENROLLMENTS = """query ($workflow: ID!) { enrollments(workflow: $workflow) { nodes {
    id status endedAt record { id displayName } reason { kind trigger recordId source } error { code }
    steps { n action outcome changes { json } error { code message } } } } }"""
RECORD = """query ($kind: String!, $id: ID!) { record(objectType: $kind, id: $id) {
    properties enrollments { nodes { workflow { id } status } } } }"""
EDGES = """query ($kind: String!, $id: ID!, $to: String!) { record(objectType: $kind, id: $id) {
    associations(to: $to) { edges { labels { name label } node { id } } } } }"""


@dataclass(slots=True)
class Clock:
    """The server's: a second, or whatever `step` is, passes with every look."""

    at: datetime = T0
    step: timedelta = timedelta(seconds=1)

    def __call__(self) -> datetime:
        self.at += self.step
        return self.at

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.at += timedelta(**span)


@dataclass(frozen=True, slots=True)
class Story:
    """An account, its super admin, and a clock. Records are named by their ids, as clients know them."""

    client: Client
    db: Database
    clock: Clock

    async def done(self, mutation: str, fields: str, **given: Any) -> Any:
        """The payload of a mutation with which nothing is wrong."""
        answer = await self.client.do(mutation, f"{fields} userErrors {{ code message path }}", given)
        assert answer["userErrors"] == []
        return answer

    async def define(self, kind: str, name: str, **words: Any) -> None:
        """Add a property; of texts, unless said otherwise."""
        given = {"objectType": kind, "name": name, "label": name.capitalize(), "type": "STRING"} | words
        await self.done("createProperty", "property { id }", **given)

    async def label(self, near: str, far: str, text: str, inverse: str | None = None) -> None:
        """Add a label: `text` is read at a record of `near`, and says what the other one is to it."""
        given = {"from": near, "to": far, "label": text, "inverseLabel": inverse}
        await self.done("createAssociationLabel", "associationLabel { id }", **given)

    async def create(self, kind: str, *properties: dict[str, Any]) -> list[str]:
        """New records."""
        rows = [{"properties": one} for one in properties]
        made = await self.done("createRecords", "results { record { id } }", objectType=kind, records=rows)
        return [one["record"]["id"] for one in made["results"]]

    async def update(self, record: str, **properties: Any) -> None:
        """Change a record."""
        given = [{"id": record, "properties": properties}]
        await self.done("updateRecords", "results { record { id } }", records=given)

    async def associate(self, *pairs: tuple[str, ...]) -> None:
        """Associate (from, to, labels …), without making anything primary."""
        given = [{"fromId": one, "toId": other, "labels": labels} for one, other, *labels in pairs]
        await self.done("associate", "results { changed }", associations=given, firstPrimary=False)

    async def workflow(
        self, kind: str, triggers: list[dict[str, Any]], *actions: dict[str, Any], **more: Any
    ) -> str:
        """A workflow that was made, published and turned on, and with which nothing is wrong."""
        given = {"name": f"Of {kind}", "objectType": kind, "triggers": triggers, "actions": list(actions)}
        made = (await self.done("createWorkflow", WORKFLOW, **given | more))["workflow"]
        assert made["problems"] == []
        await self.done("publishWorkflow", WORKFLOW, id=made["id"], version=made["version"])
        on = await self.done("setWorkflowEnabled", WORKFLOW, id=made["id"], enabled=True)
        assert on["workflow"]["enabled"] is True
        found: str = made["id"]
        return found

    async def enroll(self, workflow: str, *records: str) -> None:
        """Enroll by hand."""
        await self.done(
            "enrollRecords", "results { enrollment { id } }", workflowId=workflow, recordIds=records
        )

    async def work(self) -> None:
        """What workers do until nothing is left to do now."""
        while True:
            now = self.clock()
            batches = await evaluate.run_all(self.db, now=now)
            await backfill.run_all(self.db, now=now)
            batches += await passing.run_all(self.db, now=now)
            if not await steps.run_due(self.db, now=now) and not batches:
                return

    async def send(self, box: MailBox) -> None:
        """What the sender of a worker does: mails go to a real server."""
        await Outside(self.db, self.client.account_id, at=self.clock()).send(box=box)

    async def value(self, kind: str, record: str, name: str) -> Any:
        """What a record holds now."""
        return (await self.client.get(RECORD, kind=kind, id=record))["record"]["properties"].get(name)

    async def labels(self, kind: str, record: str, to: str) -> dict[str, set[str]]:
        """The texts of labels as they are read at a record, by associated record."""
        found = await self.client.get(EDGES, kind=kind, id=record, to=to)
        edges = found["record"]["associations"]["edges"]
        return {edge["node"]["id"]: {label["label"] for label in edge["labels"]} for edge in edges}

    async def enrollments(self, workflow: str) -> list[dict[str, Any]]:
        """A workflow's enrollments with their steps and what these changed, oldest first."""
        found: list[dict[str, Any]] = (await self.client.get(ENROLLMENTS, workflow=workflow))["enrollments"][
            "nodes"
        ]
        for step in (step for one in found for step in one["steps"]):
            step["changes"] = [change["json"] for change in step["changes"]]
        return found[::-1]

    async def who(self, workflow: str) -> set[str]:
        """The records that were enrolled."""
        return {one["record"]["id"] for one in await self.enrollments(workflow)}

    async def changes(self, workflow: str) -> list[dict[str, Any]]:
        """Everything that a workflow changed, in the order of its enrollments; none of them failed."""
        found = await self.enrollments(workflow)
        assert [one["error"] for one in found] == [None] * len(found)
        assert {one["status"] for one in found} <= {"COMPLETED"}
        return [change for one in found for step in one["steps"] for change in step["changes"]]


@contextlib.asynccontextmanager
async def telling(db: Database) -> AsyncIterator[Story]:
    """A new account to tell a story in."""
    clock = Clock()
    async with opened(db, now=clock) as client:
        yield Story(client, db, clock)


def leaf(name: str, operator: str, *values: Any) -> dict[str, Any]:
    """The filter: a property compares so."""
    key = {"ANY_OF": {"values": list(values)}, "KNOWN": {}}.get(operator, {"value": next(iter(values), None)})
    return {"property": {"name": name, "operator": operator, **key}}


def met(where: dict[str, Any]) -> list[dict[str, Any]]:
    """The trigger: a filter is met."""
    return [{"filterMet": {"where": where}}]


BY_HAND: list[dict[str, Any]] = [{"manual": {}}]
