"""Definitions: what a workflow's author writes, as typed values, checked against the account's definitions.

Stored as JSON with the keys of the API's inputs; a name that breaks later is found by binding it again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from engine import filters
from engine.problems import NotFound, Problem, Refused, UnknownObjectType
from engine.values import normalize
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow, PropertyRow
from storage.filters.tree import Filter

ACTIONS_LIMIT = 100
STOP, CONTINUE = "STOP", "CONTINUE"


@dataclass(frozen=True, slots=True)
class FilterMet:
    """Enrolls a record when it meets `where` (a filter's definition)."""

    where: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetProperty:
    """Sets a property of the enrolled record; None clears it."""

    id: str
    property: str
    value: Any
    on_error: str = STOP


@dataclass(frozen=True, slots=True)
class ApplyLabel:
    """Applies a label to the associations of the enrolled record with records of one type.

    `label` stands at the enrolled record and describes the other. With `where` (a filter's definition) only
    to those other records that meet it.
    """

    id: str
    to: str
    label: str
    where: Mapping[str, Any] | None = None
    on_error: str = STOP


Trigger: TypeAlias = FilterMet
Action: TypeAlias = SetProperty | ApplyLabel


@dataclass(frozen=True, slots=True)
class Definition:
    """Triggers (any of them enrolls) and actions in order."""

    triggers: tuple[Trigger, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class BoundSetProperty:
    """`SetProperty` with the value in its stored form."""

    action: SetProperty
    property: PropertyRow
    value: Any


@dataclass(frozen=True, slots=True)
class BoundApplyLabel:
    """`ApplyLabel` with the label found; `plain` is the unlabelled type of the same pair."""

    action: ApplyLabel
    type: AssociationTypeRow
    plain: AssociationTypeRow
    where: Filter | None


BoundAction: TypeAlias = BoundSetProperty | BoundApplyLabel


class TriggerMissing(Problem):
    """A workflow needs at least one trigger."""


class TooManyActions(Problem):
    """This workflow has {count} actions; at most {limit} are possible."""


class DuplicateActionId(Problem):
    """Two actions have the id "{id}"; an action's id is its own within the workflow."""


class NotWritable(Problem):
    """The property "{property}" is calculated or read-only: an action cannot set it."""


class ValueRequired(Problem):
    """The property "{property}" must have a value: an action cannot clear it."""


class UniqueProperty(Problem):
    """The values of "{property}" must be unique: an action cannot give one value to many records."""


class NoLabel(Problem):
    """There is no label "{label}" from {object_type} to {to}; an action can apply: {known}."""


class TooManyFilters(Problem):
    """This definition has {count} filters; at most {limit} are possible."""


def load(document: Mapping[str, Any]) -> Definition:
    """A stored definition."""
    return Definition(
        tuple(FilterMet(trigger["filterMet"]["where"]) for trigger in document["triggers"]),
        tuple(_action(action) for action in document["actions"]),
    )


def dump(definition: Definition) -> dict[str, Any]:
    """The definition as it is stored."""
    return {
        "triggers": [{"filterMet": {"where": dict(trigger.where)}} for trigger in definition.triggers],
        "actions": [_dumped(action) for action in definition.actions],
    }


def checked(document: Mapping[str, Any], object_type: ObjectTypeRow, catalogue: Catalogue) -> dict[str, Any]:
    """The definition as it is to be stored: every action with an id, every filter's defaults spelled out.

    Raises `Refused` with every problem at the path of what is wrong.
    """
    definition = load(_with_ids(document))
    found = list(problems(definition, object_type, catalogue))
    if found:
        raise Refused(found)
    triggers = tuple(
        FilterMet(filters.explicit(trigger.where, object_type)) for trigger in definition.triggers
    )
    actions = tuple(_explicit(action, object_type) for action in definition.actions)
    return dump(Definition(triggers, actions))


def problems(definition: Definition, object_type: ObjectTypeRow, catalogue: Catalogue) -> Iterator[Problem]:
    """Everything that is wrong with a definition under these object types, properties and labels."""
    if not definition.triggers:
        yield TriggerMissing(path=("triggers",))
    yield from _size_problems(definition)
    for n, trigger in enumerate(definition.triggers):
        for problem in filters.problems(trigger.where, object_type, catalogue):
            yield problem.at("triggers", n, "filterMet", "where")
    for n, action in enumerate(definition.actions):
        try:
            bind_action(action, object_type, catalogue)
        except Problem as problem:
            yield problem.at("actions", n, kind(action))
        except Refused as refused:
            yield from (problem.at("actions", n, kind(action)) for problem in refused.problems)


def bind_trigger(trigger: Trigger, object_type: ObjectTypeRow, catalogue: Catalogue) -> Filter:
    """The filter of a trigger; raises `Problem` or `Refused` where it names what is not there."""
    return filters.bind(trigger.where, object_type, catalogue)


def bind_action(action: Action, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundAction:
    """An action with what it names; raises `Problem` or `Refused` where that is not there or does not fit."""
    match action:
        case SetProperty():
            return _bind_set_property(action, object_type)
        case ApplyLabel():
            return _bind_apply_label(action, object_type, catalogue)
        case _:
            assert_never(action)


def kind(action: Action) -> str:
    """The key under which an action stands in the API's input."""
    match action:
        case SetProperty():
            return "setProperty"
        case ApplyLabel():
            return "applyLabel"
        case _:
            assert_never(action)


def _bind_set_property(action: SetProperty, object_type: ObjectTypeRow) -> BoundSetProperty:
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


def _bind_apply_label(
    action: ApplyLabel, object_type: ObjectTypeRow, catalogue: Catalogue
) -> BoundApplyLabel:
    to = catalogue.by_name.get(action.to)
    if to is None:
        raise UnknownObjectType(name=action.to, path=("to",))
    label = catalogue.label(object_type.id, to.id, action.label)
    if label is None:
        known = [row.name for row in catalogue.between(object_type.id, to.id) if row.name is not None]
        raise NoLabel(
            label=action.label, object_type=object_type.name, to=to.name, known=known, path=("label",)
        )
    where = None
    if action.where is not None:
        try:
            where = filters.bind(action.where, to, catalogue)
        except Problem as problem:
            raise problem.at("where") from None
        except Refused as refused:
            raise Refused([problem.at("where") for problem in refused.problems]) from None
    return BoundApplyLabel(action, label, catalogue.unlabelled(object_type.id, to.id), where)


def _size_problems(definition: Definition) -> Iterator[Problem]:
    if len(definition.actions) > ACTIONS_LIMIT:
        yield TooManyActions(count=len(definition.actions), limit=ACTIONS_LIMIT, path=("actions",))
    seen = set[str]()
    for n, action in enumerate(definition.actions):
        if action.id in seen:
            yield DuplicateActionId(id=action.id, path=("actions", n, kind(action), "id"))
        seen.add(action.id)
    count = sum(filters.leaves(trigger.where) for trigger in definition.triggers) + sum(
        filters.leaves(action.where)
        for action in definition.actions
        if isinstance(action, ApplyLabel) and action.where is not None
    )
    if count > filters.LEAVES_LIMIT:
        yield TooManyFilters(count=count, limit=filters.LEAVES_LIMIT, path=("triggers",))


def _action(document: Mapping[str, Any]) -> Action:
    ((name, body),) = document.items()
    on_error = body.get("onError") or STOP
    match name:
        case "setProperty":
            return SetProperty(body["id"], body["property"], body.get("value"), on_error)
        case "applyLabel":
            return ApplyLabel(body["id"], body["to"], body["label"], body.get("where"), on_error)
        case _:
            raise ValueError(f"an action of unknown kind: {name}")


def _dumped(action: Action) -> dict[str, Any]:
    match action:
        case SetProperty():
            body = {"property": action.property, "value": action.value}
        case ApplyLabel():
            body = {"to": action.to, "label": action.label}
            if action.where is not None:
                body["where"] = dict(action.where)
        case _:
            assert_never(action)
    return {kind(action): {"id": action.id, "onError": action.on_error, **body}}


def _explicit(action: Action, object_type: ObjectTypeRow) -> Action:
    if isinstance(action, ApplyLabel) and action.where is not None:
        where = filters.explicit(action.where, object_type)
        return ApplyLabel(action.id, action.to, action.label, where, action.on_error)
    return action


def _with_ids(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with an id for every action that came without one; what has an id keeps it."""
    bodies = [(name, dict(body)) for action in document["actions"] for name, body in action.items()]
    taken = {body.get("id") for _, body in bodies}
    free = (f"a{n}" for n in range(1, len(bodies) * 2 + 2) if f"a{n}" not in taken)
    for _, body in bodies:
        body["id"] = body.get("id") or next(free)
    return {"triggers": list(document["triggers"]), "actions": [{name: body} for name, body in bodies]}


def told(problem: Problem) -> dict[str, Any]:
    """A problem as histories keep it."""
    return {"code": problem.code, "message": problem.message, "path": list(problem.path)}
