"""Actions to tell stories about: a workflow made for a few records, and what its steps say."""

from collections.abc import Sequence
from typing import Any

from engine import properties, records
from engine.batches import Mode
from engine.problems import Problem, Refused
from engine.workflows import commands
from storage.enrollments import EnrollmentRow, StepRow
from tests.flows import Flows, equals

# The property whose value starts a workflow.
START = "started_by"


async def define(crm: Flows, object_type: str, name: str, **words: Any) -> None:
    """Add a property."""
    given = {"label": name, "type": "STRING"} | words
    async with crm.writing(defining=True) as tx:
        await properties.create(tx, object_type, name=name, **given)


async def prepared(crm: Flows, object_type: str, *actions: dict[str, Any], name: str) -> int:
    """A workflow that is on and that `start` starts."""
    catalogue = await crm.db.catalogue(crm.account)
    if catalogue.by_name[object_type].live(START) is None:
        await define(crm, object_type, START)
    return await crm.make(object_type, equals(START, name), *actions, name=name)


async def start(crm: Flows, name: str, *ids: int) -> None:
    """Enroll records, all at once."""
    async with crm.writing() as tx:
        await records.update(tx, [(one, {START: name}) for one in ids], Mode.ATOMIC)
    await crm.evaluate()


async def run(
    crm: Flows, object_type: str, *actions: dict[str, Any], on: Sequence[int]
) -> list[EnrollmentRow]:
    """Carry out actions for records, all in one batch; the enrollments as they ended, in the order of records."""
    count = await crm.read("SELECT count(*) FROM workflow AS w WHERE w.account_id = $1")
    name = f"run {count[0][0]}"
    workflow = await prepared(crm, object_type, *actions, name=name)
    await start(crm, name, *on)
    await crm.work()
    return sorted(await crm.enrolled(workflow), key=lambda row: row.record_id)


async def lines(crm: Flows, enrollment: EnrollmentRow) -> list[StepRow]:
    """The steps of an enrollment."""
    return await crm.history(enrollment.id)


async def changes(crm: Flows, enrollment: EnrollmentRow) -> list[dict[str, Any]]:
    """All that an enrollment changed, in order."""
    return [change for line in await crm.history(enrollment.id) for change in line.changes]


async def refused(
    crm: Flows, object_type: str, action: dict[str, Any], trigger: str = "city"
) -> list[tuple[str, tuple[Any, ...]]]:
    """(code, path from the action) of what is wrong with an action, when a workflow with it is made."""
    known = {"property": {"name": trigger, "operator": "KNOWN"}}
    definition = {"triggers": [{"filterMet": {"where": known}}], "actions": [action]}
    ((kind, _),) = action.items()
    try:
        async with crm.writing(defining=True) as tx:
            await commands.create(tx, f"refused {action}"[:200], object_type, definition)
    except (Problem, Refused) as error:
        problems = error.problems if isinstance(error, Refused) else [error]
        found = [(one.code, one.path) for one in problems]
        assert all(kind in path for _, path in found), found
        return [(code, path[path.index(kind) + 1 :]) for code, path in found]
    return []


def create_associations(to: str, own: str, other: str, **more: Any) -> dict[str, Any]:
    """The action."""
    match = {"own": own, "other": other} | more.pop("match", {})
    return {"createAssociations": {"to": to, "match": match, **more}}


def update_labels(to: str, label: str, new: str, **more: Any) -> dict[str, Any]:
    """The action."""
    return {"updateLabels": {"to": to, "label": label, "newLabel": new, **more}}


def remove_labels(to: str, *labels: str, **more: Any) -> dict[str, Any]:
    """The action."""
    return {"removeLabels": {"to": to, "labels": list(labels), **more}}


def copy(name: str, into: str, **more: Any) -> dict[str, Any]:
    """The action."""
    return {"copyProperty": {"property": name, "into": into, **more}}


def increment(name: str, **more: Any) -> dict[str, Any]:
    """The action."""
    return {"incrementProperty": {"property": name, **more}}
