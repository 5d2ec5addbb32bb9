"""From a filter's definition (JSON, by name) to the bound tree, with every problem told at its path.

`{and: [...]}`, `{or: [...]}`, `{not: ...}`,
`{property: {name, operator, value, values, other, offset, unit, includeEmpty}}`,
`{field: {name, operator, value, values, unit, includeEmpty}}`,
`{associated: {to, quantifier, labels, where, operator, count, includeEmpty}}`,
`{source: {change, sources, import, negated}}`, `{inSegment: {segment, negated}}`,
`{inWorkflow: {workflow, status, negated}}`,
`{event: {type, negated, where, operator, count, within, after, before}}`; a key that is null is not there.
"""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from engine.filters.associated import bind_associated
from engine.filters.binding import Binding, include_empty
from engine.filters.events import as_object_type, bind_event, bind_event_property
from engine.filters.memberships import bind_field, bind_segment, bind_source, bind_workflow
from engine.filters.problems import (
    EmptyFilterList,
    FilterTooDeep,
    MalformedFilter,
    MalformedLeaf,
    TooManyLeaves,
)
from engine.filters.property import bind_property
from engine.problems import PathPart, Problem, Refused
from engine.values import shown
from storage.catalogue import Catalogue, EventTypeRow, ObjectTypeRow
from storage.filters.tree import And, Filter, Not, Or

LEAVES_LIMIT = 250
DEPTH_LIMIT = 20

# Leaves with nothing nested in them, and how they are bound.
LEAVES: dict[str, Callable[[Any, ObjectTypeRow, Binding], Filter]] = {
    "property": bind_property,
    "field": bind_field,
    "source": bind_source,
    "inSegment": bind_segment,
    "inWorkflow": bind_workflow,
}

# Those with something nested in them, which is bound here.
NESTING = ("associated", "event")

# What can be asked of an event.
OF_EVENTS: dict[str, Callable[[Any, ObjectTypeRow, Binding], Filter]] = {"property": bind_event_property}

# What a stored definition says where its author did not.
SPELLED: dict[str, dict[str, Any]] = {
    "source": {"change": "EITHER", "negated": False},
    "inSegment": {"negated": False},
    "inWorkflow": {"status": "ENROLLED_EVER", "negated": False},
}

# What stands where a part could not be bound; the whole filter is then refused.
NOTHING = And(())


def bind(
    definition: Any, object_type: ObjectTypeRow, catalogue: Catalogue, *, time_zone: tzinfo | None = None
) -> Filter:
    """The filter that `definition` describes, for records of `object_type`.

    Days of moments are days of `time_zone`, by default the account's. Where `includeEmpty` is not given, the
    default for definitions of `object_type` stands. Raises `Refused` with every problem.
    """
    _check_size(definition)
    binding = Binding(object_type, catalogue, time_zone or ZoneInfo(catalogue.time_zone))
    bound = _bind(binding, definition, object_type, (), 1)
    if binding.problems:
        raise Refused(binding.problems)
    return bound


def bind_of_event(definition: Any, event_type: EventTypeRow, catalogue: Catalogue) -> Filter:
    """The filter that `definition` describes, for the properties of one event. Raises `Refused`."""
    _check_size(definition)
    about = as_object_type(event_type)
    binding = Binding(about, catalogue, ZoneInfo(catalogue.time_zone))
    bound = _bind(binding, definition, about, (), 1, OF_EVENTS)
    if binding.problems:
        raise Refused(binding.problems)
    return bound


def explicit(definition: Mapping[str, Any], object_type: ObjectTypeRow) -> dict[str, Any]:
    """A valid definition as it is to be stored: `includeEmpty` spelled out on every leaf.

    `object_type` is that of the workflow, segment or query, whatever object type the filter itself is about.
    """
    ((key, body),) = ((key, body) for key, body in definition.items() if body is not None)
    match key:
        case "and" | "or":
            return {key: [explicit(part, object_type) for part in body]}
        case "not":
            return {key: explicit(body, object_type)}
        case "property" | "field":
            return {key: {**_given(body), "includeEmpty": include_empty(body, object_type)}}
        case "source" | "inSegment" | "inWorkflow":
            return {key: {**SPELLED[key], **_given(body)}}
        case "event":
            spelled = {"negated": False, **_given(body)}
            if spelled.get("where") is not None:
                spelled["where"] = explicit(spelled["where"], object_type)
            return {key: spelled}
        case _:
            spelled = {**_given(body), "includeEmpty": include_empty(body, object_type)}
            if spelled.get("where") is not None:
                spelled["where"] = explicit(spelled["where"], object_type)
            return {key: {"quantifier": "ANY", **spelled}}


def problems(definition: Any, object_type: ObjectTypeRow, catalogue: Catalogue) -> list[Problem]:
    """What is wrong with a definition, stored ones included: what they named may be gone since. Empty: nothing."""
    try:
        bind(definition, object_type, catalogue)
    except Refused as refused:
        return refused.problems
    return []


def leaves(definition: Any) -> int:
    """The number of leaves, nested ones included, in any definition, valid or not."""
    count, rest = 0, [definition]
    while rest:
        one = rest.pop()
        if not isinstance(one, Mapping):
            continue
        for key, body in one.items():
            if key in ("and", "or") and isinstance(body, list | tuple):
                rest.extend(body)
            elif key == "not":
                rest.append(body)
            elif (key in NESTING or key in LEAVES) and body is not None:
                count += 1
                if key in NESTING and isinstance(body, Mapping):
                    rest.append(body.get("where"))
    return count


def _check_size(definition: Any) -> None:
    count = leaves(definition)
    if count > LEAVES_LIMIT:
        raise Refused([TooManyLeaves(count=count, limit=LEAVES_LIMIT)])


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


def _bind(
    binding: Binding,
    definition: Any,
    object_type: ObjectTypeRow,
    path: tuple[PathPart, ...],
    depth: int,
    leaves: Mapping[str, Callable[[Any, ObjectTypeRow, Binding], Filter]] = LEAVES,
) -> Filter:
    """One part of a definition; notes what is wrong with it and goes on."""
    if depth > DEPTH_LIMIT:
        binding.problems.append(FilterTooDeep(limit=DEPTH_LIMIT, path=path))
        return NOTHING
    try:
        key, body = _one_key(definition)
        if leaves is OF_EVENTS and key not in ("and", "or", "not", *OF_EVENTS):
            raise MalformedLeaf(
                reason=f'of an event, only its properties can be asked, not "{key}"', path=(key,)
            )
        match key:
            case "and" | "or":
                parts = tuple(
                    _bind(binding, part, object_type, (*path, key, n), depth + 1, leaves)
                    for n, part in enumerate(_list(key, body))
                )
                return And(parts) if key == "and" else Or(parts)
            case "not":
                return Not(_bind(binding, body, object_type, (*path, key), depth + 1, leaves))
            case "associated":
                below = (*path, key, "where")
                return bind_associated(
                    body,
                    object_type,
                    binding,
                    lambda where, to: _bind(binding, where, to, below, depth + 1),
                )
            case "event":
                below = (*path, key, "where")
                return bind_event(
                    body,
                    object_type,
                    binding,
                    lambda where, event: _bind(binding, where, event, below, depth + 1, OF_EVENTS),
                )
            case _:
                return leaves[key](body, object_type, binding)
    except Problem as problem:
        binding.problems.append(problem.at(*path))
        return NOTHING


def _one_key(definition: Any) -> tuple[str, Any]:
    if not isinstance(definition, Mapping):
        raise MalformedFilter(reason=f"this is {shown(definition)}")
    given = [(key, body) for key, body in definition.items() if body is not None]
    if len(given) != 1:
        named = ", ".join(shown(key) for key, _ in given)
        raise MalformedFilter(reason=f"this has {named}" if given else "this has none")
    ((key, body),) = given
    if key not in ("and", "or", "not", *NESTING) and key not in LEAVES:
        raise MalformedFilter(reason=f"this has {shown(key)}")
    return key, body


def _list(key: str, body: Any) -> list[Any]:
    if not isinstance(body, list | tuple):
        raise MalformedFilter(reason=f'"{key}" must hold a list', path=(key,))
    if not body:
        raise EmptyFilterList(key=key, path=(key,))
    return list(body)
