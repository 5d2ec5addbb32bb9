"""Making records, and tasks: in the step's own transaction, associated with the enrolled record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from engine import associations, templates, values
from engine import records as commands
from engine.associations import Pair
from engine.batches import Mode
from engine.problems import NotFound, Problem, Refused, at
from engine.templates import Template, Values
from engine.workflows import moments
from engine.workflows.actions import targets
from engine.workflows.actions.converting import converter
from engine.workflows.actions.handler import Batch, Handler, told
from engine.workflows.actions.properties import NotWritable, StepTimeNeedsDate, UniqueProperty
from engine.workflows.actions.tally import gone
from engine.workflows.advance import Done, Failed, Result
from engine.workflows.definition.actions import CreateRecord, CreateTask
from engine.workflows.definition.parts import Assignment, Duration
from storage import records
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.enrollments import EnrollmentRow
from storage.filters.times import text
from storage.records import RecordRow

TASKS = "tasks"


class AssignmentUnclear(Problem):
    """A property is given one of these, not {count}: a value, a template, another property's value, the step's time."""


class AssignedTwice(Problem):
    """The property "{property}" is given a value twice."""


class RequiredNotAssigned(Problem):
    """A new record of {object_type} must have a value for "{property}"."""


class ObjectTypeNotActive(Problem):
    """The object type {object_type} is not activated: no records of it can be made."""


@dataclass(frozen=True, slots=True)
class BoundAssignment:
    """A property of the new record, and where its value comes from; the value is in its stored form."""

    property: PropertyRow
    value: Any = None
    template: Template | None = None
    copy_of: str | None = None
    convert: Callable[[Any], Any] | None = None
    step_time: bool = False


@dataclass(frozen=True, slots=True)
class BoundCreation:
    """What is made: of which type, with what, and with which label it is associated (None: not at all)."""

    to: ObjectTypeRow
    assignments: tuple[BoundAssignment, ...]
    labels: tuple[str, ...] | None
    zone: ZoneInfo
    # A property that is a moment so long after the step.
    due: tuple[str, Duration] | None = None

    @property
    def references(self) -> set[templates.Reference]:
        """What the templates need."""
        parts = [one.template for one in self.assignments if one.template is not None]
        return {reference for part in parts for reference in part.references}


# --- binding ------------------------------------------------------------------------------------------------


def _bind_record(action: CreateRecord, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundCreation:
    to = targets.bind_type(action.to, catalogue)
    if not to.active:
        raise ObjectTypeNotActive(object_type=to.name, path=("to",))
    if action.label is not None:
        targets.bind_label(action.label, object_type, to, catalogue)
    assigned = _assignments(action.properties, to, object_type, catalogue)
    _require(to, {one.property.name for one in assigned})
    labels = () if action.label is None else (action.label,)
    return BoundCreation(
        to,
        assigned,
        labels if action.associate or action.label is not None else None,
        ZoneInfo(catalogue.time_zone),
    )


def _bind_task(action: CreateTask, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundCreation:
    to = targets.bind_type(TASKS, catalogue)
    if not to.active:
        raise ObjectTypeNotActive(object_type=to.name)
    words = [("title", Assignment("subject", template=action.title))]
    if action.notes is not None:
        words.append(("notes", Assignment("body", template=action.notes)))
    assigned = []
    for key, assignment in words:
        with at(key):
            assigned.append(_assignment(assignment, to, object_type, catalogue, said="template"))
    due = None
    if action.due is not None:
        with at("due"):
            due = "due_at", moments.check_duration(action.due)
            _property("due_at", to)
    said = {one.property.name for one in assigned} | ({"due_at"} if due else set())
    others = _assignments(action.properties, to, object_type, catalogue, said)
    _require(to, said | {one.property.name for one in others})
    return BoundCreation(to, (*assigned, *others), (), ZoneInfo(catalogue.time_zone), due)


def _assignments(
    given: Sequence[Assignment],
    to: ObjectTypeRow,
    object_type: ObjectTypeRow,
    catalogue: Catalogue,
    said: set[str] | None = None,
) -> tuple[BoundAssignment, ...]:
    bound: list[BoundAssignment] = []
    known = set(said or ())
    for n, assignment in enumerate(given):
        with at("properties", n):
            bound.append(_assignment(assignment, to, object_type, catalogue))
            if assignment.property in known:
                raise AssignedTwice(property=assignment.property, path=("property",))
            known.add(assignment.property)
    return tuple(bound)


def _property(name: str, to: ObjectTypeRow) -> PropertyRow:
    prop = to.live(name)
    if prop is None:
        raise NotFound(kind=f"property of {to.name}", name=name, path=("property",))
    if prop.read_only or prop.calculated:
        raise NotWritable(property=prop.name, path=("property",))
    return prop


def _assignment(
    given: Assignment,
    to: ObjectTypeRow,
    object_type: ObjectTypeRow,
    catalogue: Catalogue,
    *,
    said: str | None = None,
) -> BoundAssignment:
    prop = _property(given.property, to)
    count = sum(
        (given.value is not None, given.template is not None, given.copy_of is not None, given.step_time)
    )
    if count != 1:
        raise AssignmentUnclear(count=count)
    if given.template is not None:
        try:
            template = templates.parse(given.template)
            if missing := templates.check(template.references, object_type, catalogue):
                raise Refused(missing)
        except (Problem, Refused) as wrong:
            for problem in wrong.problems if isinstance(wrong, Refused) else [wrong]:
                problem.path = () if said else ("template", *problem.path)
            raise
        return BoundAssignment(prop, template=template)
    if given.copy_of is not None:
        source = object_type.live(given.copy_of)
        if source is None:
            raise NotFound(kind=f"property of {object_type.name}", name=given.copy_of, path=("copyOf",))
        with at("copyOf"):
            convert = converter(source, prop, catalogue.time_zone)
        return BoundAssignment(prop, copy_of=source.name, convert=convert)
    if given.step_time:
        if prop.type not in ("DATE", "DATETIME"):
            raise StepTimeNeedsDate(property=prop.name, type=prop.type, path=("stepTime",))
        return BoundAssignment(prop, step_time=True)
    try:
        value = values.normalize(prop, given.value)
    except Problem as problem:
        problem.path = ("value",)
        raise
    if prop.is_unique:
        raise UniqueProperty(property=prop.name, path=("property",))
    return BoundAssignment(prop, value)


def _require(to: ObjectTypeRow, assigned: set[str]) -> None:
    for prop in to.properties.values():
        wanted = prop.required and prop.archived_at is None and not (prop.read_only or prop.calculated)
        if wanted and prop.name not in assigned:
            raise RequiredNotAssigned(object_type=to.name, property=prop.name, path=("properties",))


# --- carrying out -------------------------------------------------------------------------------------------


class _Refused(Exception):
    """Some of the batch's records cannot be made; what was made is undone."""


async def _create(batch: Batch, bound: BoundCreation) -> list[Result]:
    tx = batch.tx
    # Held before anything is made, as every writer has it: records, then what is unique.
    rows = await records.lock(tx, [one.record_id for one in batch.standing])
    words = await templates.values_for(tx, bound.references, list(rows)) if bound.references else {}
    left = [one for one in batch.standing if targets.living(rows, one.record_id)]
    given: dict[int, dict[str, Any]] = {}
    found: dict[int, Result] = {}
    for one in left:
        try:
            given[one.id] = _given(bound, rows[one.record_id], words.get(one.record_id, {}), batch)
        except Problem as problem:
            found[one.id] = Failed(told(problem))
    while left := [one for one in left if one.id not in found]:
        try:
            async with tx.attempt():
                # Record and association come together, or neither does.
                made = await _made(batch, bound, left, given, found)
            found |= made
            break
        except _Refused:
            continue
    return [found.get(one.id) or gone(rows[one.record_id]) for one in batch.standing]


async def _made(
    batch: Batch,
    bound: BoundCreation,
    left: Sequence[EnrollmentRow],
    given: Mapping[int, Mapping[str, Any]],
    found: dict[int, Result],
) -> dict[int, Result]:
    """The results of those for whom all goes well; raises `_Refused`, with who is refused noted in `found`."""
    tx = batch.tx
    outcomes = await commands.create(tx, bound.to, [given[one.id] for one in left], Mode.PER_ITEM)
    rows: dict[int, RecordRow] = {}
    for one, outcome in zip(left, outcomes, strict=True):
        if outcome.value is None:
            found[one.id] = Failed(told(outcome.problem))
        else:
            rows[one.id] = outcome.value
    made = [one for one in left if one.id in rows]
    changes: dict[int, tuple[dict[str, Any], ...]] = {
        one.id: ({"created": rows[one.id].id, "object_type": bound.to.name},) for one in made
    }
    if bound.labels is not None and made:
        pairs = [Pair(one.record_id, rows[one.id].id, bound.labels) for one in made]
        joined = await associations.associate(tx, pairs, Mode.PER_ITEM)
        refused = False
        for one, pair, joining in zip(made, pairs, joined, strict=True):
            if joining.value is None:
                found[one.id], refused = Failed(told(joining.problem)), True
            else:
                line = {"record": pair.from_id, "associated": pair.to_id, "association": "ADDED"}
                if bound.labels:
                    line["labels"] = list(bound.labels)
                changes[one.id] += (line,)
        if refused:
            raise _Refused
    return {one.id: Done(changes[one.id]) for one in made}


def _given(bound: BoundCreation, row: RecordRow, words: Values, batch: Batch) -> dict[str, Any]:
    """The properties of one new record."""
    now, given = batch.tx.now, {}
    for one in bound.assignments:
        name = one.property.name
        if one.template is not None:
            rendered = one.template.render(words)
            given[name] = values.parse(one.property, rendered) if rendered.strip() else None
        elif one.copy_of is not None:
            value = row.properties.get(one.copy_of)
            given[name] = None if value is None or one.convert is None else one.convert(value)
        elif one.step_time:
            day = now.astimezone(bound.zone).date().isoformat()
            given[name] = day if one.property.type == "DATE" else text(now)
        else:
            given[name] = one.value
    if bound.due is not None:
        given[bound.due[0]] = text(moments.later(now, bound.due[1], bound.zone))
    return {name: value for name, value in given.items() if value is not None}


CREATE_RECORD = Handler(_bind_record, _create)
CREATE_TASK = Handler(_bind_task, _create)
