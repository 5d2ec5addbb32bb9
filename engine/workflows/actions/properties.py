"""Actions on properties."""

from dataclasses import dataclass
from typing import Any

from engine import records as record_commands
from engine.batches import Mode
from engine.problems import NotFound, Problem
from engine.values import normalize
from engine.workflows.actions.handler import Batch, Handler, told
from engine.workflows.advance import Done, Failed, Gone, Result
from engine.workflows.definition.actions import SetProperty
from storage import records
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.records import RecordRow


@dataclass(frozen=True, slots=True)
class BoundSetProperty:
    """`SetProperty` with the value in its stored form."""

    action: SetProperty
    property: PropertyRow
    value: Any


class NotWritable(Problem):
    """The property "{property}" is calculated or read-only: an action cannot set it."""


class ValueRequired(Problem):
    """The property "{property}" must have a value: an action cannot clear it."""


class UniqueProperty(Problem):
    """The values of "{property}" must be unique: an action cannot give one value to many records."""


def _bind_set(action: SetProperty, object_type: ObjectTypeRow, _catalogue: Catalogue) -> BoundSetProperty:
    prop = object_type.live(action.property)
    if prop is None:
        raise NotFound(kind=f"property of {object_type.name}", name=action.property, path=("property",))
    if prop.read_only or prop.calculated:
        raise NotWritable(property=prop.name, path=("property",))
    try:
        value = normalize(prop, action.value)
    except Problem as problem:
        problem.path = ("value",)
        raise
    if value is None and prop.required:
        raise ValueRequired(property=prop.name, path=("value",))
    if value is not None and prop.is_unique:
        raise UniqueProperty(property=prop.name, path=("property",))
    return BoundSetProperty(action, prop, value)


async def _set(batch: Batch, bound: BoundSetProperty) -> list[Result]:
    tx, standing = batch.tx, batch.standing
    rows = await records.lock(tx, [one.record_id for one in standing])
    name = bound.property.name
    live = [one for one in standing if rows[one.record_id].archived_at is None]
    outcomes = await record_commands.update(
        tx, [(one.record_id, {name: bound.value}) for one in live], Mode.PER_ITEM
    )
    found: dict[int, Result] = {}
    for one, outcome in zip(live, outcomes, strict=True):
        old = rows[one.record_id].properties.get(name)
        if outcome.value is None:
            found[one.id] = Failed(told(outcome.problem))
            continue
        new = outcome.value.properties.get(name)
        changed = {"record": one.record_id, "property": name, "old": old, "new": new}
        found[one.id] = Done(() if old == new else (changed,))
    return [found.get(one.id) or gone(rows[one.record_id]) for one in standing]


def gone(row: RecordRow) -> Gone:
    """What becomes of the enrollment of a record that is archived or merged away."""
    return Gone(merged=row.merged_into_id is not None)


SET = Handler(_bind_set, _set)
