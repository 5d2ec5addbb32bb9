"""Workflows to tell stories about: a graph, and what people and workers do with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import accounts, records
from engine.batches import Mode
from engine.evaluation import run as evaluate
from engine.workflows import backfill, commands, passing, steps
from storage import enrollment_pages, trigger_states
from storage import workflows as stored
from storage.changes import EventKind, LoggedEvent, read
from storage.database import Database
from storage.enrollments import EnrollmentRow, StepRow
from storage.workflows import WorkflowRow
from tests.graph import T0, Graph

EVERYTHING = 2**62


@dataclass(slots=True)
class Flows(Graph):
    """An account in which workflows run. `work` does what workers would do, at the moment of the clock."""

    async def make(
        self, object_type: str, where: dict[str, Any], *actions: dict[str, Any], **options: Any
    ) -> int:
        """A published workflow with one trigger; on, unless `on=False`. Its id.

        Other options than `name`, `on` and `existing` stand in the definition: `timing`, `goal` …
        """
        name = options.get("name", f"when {where}")[:200]
        rest = {key: part for key, part in options.items() if key not in ("name", "on", "existing")}
        definition = {"triggers": [{"filterMet": {"where": where}}], "actions": list(actions), **rest}
        async with self.writing(defining=True) as tx:
            row = await commands.create(tx, name, object_type, definition)
            await commands.publish(tx, row.id, row.draft_version)
        if options.get("on", True):
            await self.switch(row.id, True, existing=options.get("existing", False))
        return row.id

    async def flow(
        self, object_type: str, triggers: Sequence[dict[str, Any]], *actions: dict[str, Any], **more: Any
    ) -> int:
        """A published workflow with these triggers, on unless `on=False`; `more` are keys of its definition."""
        options = {key: more.pop(key) for key in ("name", "on", "existing") if key in more}
        definition = {"triggers": list(triggers), "actions": list(actions), **more}
        async with self.writing(defining=True) as tx:
            name = options.get("name", f"flow {self.now}")
            row = await commands.create(tx, name, object_type, definition)
            await commands.publish(tx, row.id, row.draft_version)
        if options.get("on", True):
            await self.switch(row.id, True, existing=options.get("existing", False))
        return row.id

    async def republish(self, workflow: int, **definition: Any) -> None:
        """Change keys of a workflow's definition, and publish it."""
        async with self.writing(defining=True) as tx:
            [row] = await stored.by_ids(tx, [workflow])
            assert row is not None
            row = await commands.update(tx, workflow, row.draft_version, definition=definition)
            await commands.publish(tx, workflow, row.draft_version)

    async def enroll(self, workflow: int, *records: int) -> list[Any]:
        """Enroll by hand: the enrollment, or the code of what was wrong, of each."""
        async with self.writing() as tx:
            outcomes = await commands.enroll(tx, workflow, records)
        return [one.value if one.problem is None else one.problem.code for one in outcomes]

    async def standing(self, workflow: int) -> list[tuple[int, int, str]]:
        """(record, how often it was enrolled by then, status) of a workflow's enrollments, oldest first."""
        return [(row.record_id, row.epoch, row.status) for row in await self.enrolled(workflow)]

    async def tree(self, enrollment: int) -> Any:
        """Why it began."""
        async with self.db.read(self.account) as reader:
            [found] = await trigger_states.diagnoses(reader, [enrollment])
        return found

    async def switch(self, workflow: int, on: bool, *, existing: bool | None = None) -> WorkflowRow:
        """Turn a workflow on or off."""
        async with self.writing(defining=True) as tx:
            return await commands.set_enabled(tx, workflow, on, enroll_existing=existing)

    async def create(self, object_type: str, *inputs: dict[str, Any]) -> list[int]:
        """New records with these properties."""
        async with self.writing() as tx:
            made = await records.create(tx, tx.catalogue.by_name[object_type], inputs, Mode.ATOMIC)
        return [one.value.id for one in made if one.value is not None]

    async def one(self, object_type: str, **properties: Any) -> int:
        """A new record."""
        [made] = await self.create(object_type, properties)
        return made

    async def set(self, record_id: int, **properties: Any) -> None:
        """Change a record."""
        async with self.writing() as tx:
            await records.update(tx, [(record_id, properties)], Mode.ATOMIC)

    async def archive(self, *ids: int) -> None:
        """Archive records."""
        async with self.writing() as tx:
            await records.archive(tx, list(ids), Mode.ATOMIC)

    async def value(self, record_id: int, name: str) -> Any:
        """What a record holds now."""
        rows = await self.read(
            "SELECT r.properties FROM record AS r WHERE r.account_id = $1 AND r.id = $2", record_id
        )
        return rows[0][0].get(name)

    async def evaluate(self) -> None:
        """Empty the queue."""
        await evaluate.run_all(self.db, now=self.tick())

    async def work(self, now: datetime | None = None) -> None:
        """Evaluate, fill and step until nothing is left to do at this moment."""
        while True:
            now = now or self.tick()
            batches = await evaluate.run_all(self.db, now=now)
            await backfill.run_all(self.db, now=now)
            batches += await passing.run_all(self.db, now=now)
            if not await steps.run_due(self.db, now=now) and not batches:
                return

    async def enrolled(self, workflow: int) -> list[EnrollmentRow]:
        """A workflow's enrollments, oldest first."""
        async with self.db.read(self.account) as reader:
            [found] = await enrollment_pages.pages_of_workflows(
                reader, [workflow], record_id=None, status=None, before=EVERYTHING, limit=1_000_000
            )
        return found[::-1]

    async def who(self, workflow: int) -> list[int]:
        """The records that were enrolled."""
        return sorted(row.record_id for row in await self.enrolled(workflow))

    async def history(self, enrollment: int) -> list[StepRow]:
        """An enrollment's steps."""
        async with self.db.read(self.account) as reader:
            [found] = await enrollment_pages.steps(reader, [enrollment])
        return found

    async def events(self, *kinds: EventKind) -> list[LoggedEvent]:
        """All events of these kinds."""
        async with self.db.read(self.account) as reader:
            return [event for event in await read(reader, 0, 1_000_000) if event.kind in kinds]


async def flows(db: Database) -> Flows:
    """A new account."""
    return Flows(db, await accounts.create(db, "demo", now=T0))


def equals(name: str, *values: Any) -> dict[str, Any]:
    """The filter: a property equals one of these."""
    return {"property": {"name": name, "operator": "ANY_OF", "values": list(values)}}


def associated(to: str, where: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The filter: any associated record (under these labels) meets another."""
    return {"associated": {"to": to, "where": where, **more}}


def set_property(name: str, value: Any, **more: Any) -> dict[str, Any]:
    """The action."""
    return {"setProperty": {"property": name, "value": value, **more}}


def apply_label(to: str, label: str, **more: Any) -> dict[str, Any]:
    """The action."""
    return {"applyLabel": {"to": to, "label": label, **more}}


def met(where: dict[str, Any]) -> dict[str, Any]:
    """The trigger."""
    return {"filterMet": {"where": where}}


def waits(days: int = 1) -> dict[str, Any]:
    """The action: a delay of so many days."""
    return {"delay": {"duration": {"value": days, "unit": "DAY"}}}
