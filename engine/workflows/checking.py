"""Definitions checked against what the account defines, when they are saved and whenever they are looked at again.

What is stored names everything by name or id; what breaks later is found by binding it again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from engine import filters
from engine.problems import Problem, Refused
from engine.workflows import conditions, windows
from engine.workflows.actions import bind
from engine.workflows.definition import Definition, compiled, dump, load, program
from engine.workflows.definition.places import Place, filters_in, replaced
from storage.catalogue import Catalogue, ObjectTypeRow

ACTIONS_LIMIT = 250


class TriggerMissing(Problem):
    """A workflow needs at least one trigger; one that only calls enroll in has the trigger `manual`."""


class TooManyActions(Problem):
    """This workflow has {count} actions; at most {limit} are possible."""


class TooManyFilters(Problem):
    """This definition has {count} filters; at most {limit} are possible."""


def checked(
    document: Mapping[str, Any],
    object_type: ObjectTypeRow,
    catalogue: Catalogue,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The definition as it is to be stored: every action with an id, every filter's defaults spelled out.

    Secrets are never shown, so whoever edits a definition cannot repeat them: an action that keeps its id keeps the
    one that it had in the document `before`, unless a new one is given.

    Raises `Refused` with every problem at the path of what is wrong.
    """
    definition = load(with_ids(document))
    found = list(problems(definition, object_type, catalogue))
    if found:
        raise Refused(found)

    def spelled(place: Place) -> Mapping[str, Any]:
        return filters.explicit(place.where, object_type)

    stored: dict[str, Any] = replaced(dump(definition), spelled)
    if before is not None:
        kept = {body["id"]: body["secret"] for body in _calls(before) if "secret" in body}
        for body in _calls(stored):
            if "secret" not in body and body["id"] in kept:
                body["secret"] = kept[body["id"]]
    return stored


def _calls(document: Any) -> Iterator[dict[str, Any]]:
    """The bodies of all actions in a document that call a webhook."""
    if isinstance(document, Mapping):
        for key, part in document.items():
            if key == "callWebhook" and isinstance(part, dict):
                yield part
            else:
                yield from _calls(part)
    elif isinstance(document, list | tuple):
        for part in document:
            yield from _calls(part)


def problems(definition: Definition, object_type: ObjectTypeRow, catalogue: Catalogue) -> Iterator[Problem]:
    """Everything that is wrong with a definition under these object types, properties and labels."""
    if not definition.triggers:
        yield TriggerMissing(path=("triggers",))
    yield from _size_problems(definition)
    yield from conditions.problems(definition, object_type, catalogue)
    nodes = compiled(definition.actions)
    yield from program.problems(nodes)
    for node in nodes:
        try:
            bind(node.action, object_type, catalogue)
        except (Problem, Refused) as error:
            yield from _at(error, *node.path)
    for problem in windows.problems(definition.timing):
        yield problem.at("timing")


def with_ids(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with an id for every action that came without one; what has an id keeps it."""
    definition = load(document)
    actions = [node.action for node in compiled(definition.actions)]
    taken = {action.id for action in actions}
    free = (f"a{n}" for n in range(1, len(actions) * 2 + 2) if f"a{n}" not in taken)
    given = iter([action.id or next(free) for action in actions])
    answer: dict[str, Any] = {**document}
    answer["actions"] = _identified(document.get("actions") or (), given)
    return answer


def _identified(actions: Any, given: Iterator[str]) -> list[dict[str, Any]]:
    """Actions with the next ids, in the order of the program; those within them likewise."""
    answer = []
    for action in actions:
        ((name, body),) = action.items()
        body = {**body, "id": next(given)}
        for key in ("branches", "cases"):
            if body.get(key):
                body[key] = [
                    {**part, "actions": _identified(part.get("actions") or (), given)} for part in body[key]
                ]
        if body.get("otherwise"):
            body["otherwise"] = _identified(body["otherwise"], given)
        if (event := body.get("untilEvent")) and event.get("timedOut"):
            body["untilEvent"] = {**event, "timedOut": _identified(event["timedOut"], given)}
        answer.append({name: body})
    return answer


def _size_problems(definition: Definition) -> Iterator[Problem]:
    nodes = compiled(definition.actions)
    if len(nodes) > ACTIONS_LIMIT:
        yield TooManyActions(count=len(nodes), limit=ACTIONS_LIMIT, path=("actions",))
    count = sum(filters.leaves(place.where) for place in filters_in(dump(definition)))
    if count > filters.LEAVES_LIMIT:
        yield TooManyFilters(count=count, limit=filters.LEAVES_LIMIT, path=("triggers",))


def _at(error: Problem | Refused, *path: str | int) -> Iterator[Problem]:
    for problem in error.problems if isinstance(error, Refused) else [error]:
        yield problem.at(*path)
