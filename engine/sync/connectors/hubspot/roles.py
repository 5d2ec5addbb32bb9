"""Associations: a role is an association type as seen from one object: `companies:279`, `contacts:user:36`.

HubSpot keeps, for each pair of items and direction, a set of types; writing types replaces the labels of the pair, so
what is written is always the whole set, read just before.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from engine.sync.categories import Category
from engine.sync.connectors.hubspot.calls import Calls
from engine.sync.connectors.hubspot.errors import ABOUT_THE_REQUEST, validation
from engine.sync.connectors.protocol import ConnectorError, Links, Rejected, RemoteObject

# Pairs, or items whose pairs are asked for, in one call.
READ = 1_000
WRITTEN = 2_000

# The end of a role's name, for each category that is not HubSpot's own.
CATEGORIES = {"USER_DEFINED": "user", "INTEGRATOR_DEFINED": "app"}
_WORDS = {word: category for category, word in CATEGORIES.items()}

# Category and type id.
Type: TypeAlias = tuple[str, int]
# {from: {to: types}}
Pairs: TypeAlias = dict[str, dict[str, set[Type]]]


def role_name(to: str, category: str, type_id: int) -> str:
    """What a role is called: by it alone its type is known again."""
    return ":".join([to, *([CATEGORIES[category]] if category in CATEGORIES else []), str(type_id)])


def type_of(role: str) -> tuple[str, Type]:
    """The object at the other end of a role, and the type. Raises Rejected for what is no role's name."""
    to, *rest = role.split(":")
    word = rest[0] if len(rest) == 2 else None
    if not rest or not rest[-1].isdecimal() or (word is not None and word not in _WORDS) or len(rest) > 2:
        raise Rejected(f'there is no association "{role}"')
    return to, (_WORDS[word] if word else "HUBSPOT_DEFINED", int(rest[-1]))


async def associations(
    calls: Calls, object_: RemoteObject, ids: Sequence[str]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """{id: {role: other ids}} for all roles of the object; the others in order of their ids."""
    ends = sorted({role.to for role in object_.roles})
    told = await asyncio.gather(*(pairs(calls, object_.name, to, ids) for to in ends))
    by_type: dict[str, dict[tuple[str, Type], list[str]]] = {id_: defaultdict(list) for id_ in ids}
    for to, found in zip(ends, told, strict=True):
        for id_, others in found.items():
            for other in sorted(others, key=_in_order):
                for type_ in others[other]:
                    by_type[id_][to, type_].append(other)
    return {
        id_: {role.name: tuple(types.get(type_of(role.name), ())) for role in object_.roles}
        for id_, types in by_type.items()
    }


def _in_order(id_: str) -> tuple[int, str]:
    return len(id_), id_


async def pairs(calls: Calls, from_: str, to: str, ids: Sequence[str]) -> Pairs:
    """All that these items are associated with at the other end, and by which types."""
    found: Pairs = {id_: defaultdict(set) for id_ in ids}
    wanted: list[dict[str, str]] = [{"id": id_} for id_ in dict.fromkeys(ids)]
    while wanted:
        batch, wanted = wanted[:READ], wanted[READ:]
        answer = await calls.ask("pairs", "get_page", from_, to, {"inputs": batch})
        for each in answer.data.results:
            id_ = each._from.id
            for other in each.to:
                found[id_][str(other.to_object_id)].update(
                    (type_.category, int(type_.type_id)) for type_ in other.association_types
                )
            if each.paging and each.paging.next:
                wanted.append({"id": id_, "after": each.paging.next.after})
    return found


def for_creation(links: Links) -> list[dict[str, Any]]:
    """A new item's associations."""
    types: dict[str, dict[str, list[Type]]] = defaultdict(lambda: defaultdict(list))
    for role, others in links.all.items() if links.all else links.added.items():
        to, type_ = type_of(role)
        for other in others:
            types[to][other].append(type_)
    return [
        {"to": {"id": other}, "types": _specs(each)}
        for ends in types.values()
        for other, each in ends.items()
    ]


async def write(calls: Calls, object_: RemoteObject, links: Mapping[str, Links]) -> dict[str, ConnectorError]:
    """Add and remove associations of items: {id: links}. Answers with what failed, by item."""
    added, removed = _by_end(links, "added"), _by_end(links, "removed")
    failed: dict[str, ConnectorError] = {}
    for to in sorted(added.keys() | removed.keys()):
        try:
            failed |= await _write(calls, object_.name, to, added[to], removed[to])
        except Rejected as error:
            failed |= dict.fromkeys({*added[to], *removed[to]}, error)
    return failed


async def _write(
    calls: Calls, from_: str, to: str, added: Pairs, removed: Pairs
) -> dict[str, ConnectorError]:
    standing = await pairs(calls, from_, to, sorted({*added, *removed}))
    gone: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    for id_, now in standing.items():
        for other, types in removed.get(id_, {}).items():
            if lost := types & now.get(other, set()):
                gone.append({"from": {"id": id_}, "to": {"id": other}, "types": _specs(lost)})
        for other, types in added.get(id_, {}).items():
            before = now.get(other, set())
            # The whole set, for it takes the place of what stands; and nothing that stands already.
            if not types <= before:
                kept = {*before, *types} - removed.get(id_, {}).get(other, set())
                new.append({"from": {"id": id_}, "to": {"id": other}, "types": _specs(kept)})
    # First what goes: there may be room for one only.
    for start in range(0, len(gone), WRITTEN):
        await calls.ask("pairs", "archive_labels", from_, to, {"inputs": gone[start : start + WRITTEN]})
    failed: dict[str, ConnectorError] = {}
    for start in range(0, len(new), WRITTEN):
        failed |= await _create(calls, from_, to, new[start : start + WRITTEN])
    return failed


async def _create(
    calls: Calls, from_: str, to: str, inputs: list[dict[str, Any]]
) -> dict[str, ConnectorError]:
    """Associate; where one is refused for all, one half after the other."""
    try:
        answer = await calls.ask("pairs", "create", from_, to, {"inputs": inputs})
    except ABOUT_THE_REQUEST as error:
        if len(inputs) == 1:
            return {inputs[0]["from"]["id"]: _not_the_item(error)}
        half = len(inputs) // 2
        first = await _create(calls, from_, to, inputs[:half])
        return first | await _create(calls, from_, to, inputs[half:])
    failed: dict[str, ConnectorError] = {}
    for each in getattr(answer.data, "errors", None) or ():
        told = each.to_dict()
        context = told.get("context") or {}
        blamed = context.get("fromObjectId") or [pair["from"]["id"] for pair in inputs]
        failed |= dict.fromkeys(map(str, blamed), _not_the_item(validation(told)))
    return failed


def _not_the_item(error: ConnectorError) -> ConnectorError:
    """A failure to associate is none of the item itself: it is not gone, and nothing like it exists."""
    return error if isinstance(error, Rejected) else Rejected(error.message, Category.RECORD_NOT_FOUND)


def _by_end(links: Mapping[str, Links], which: str) -> defaultdict[str, Pairs]:
    """{object at the other end: {from: {to: types}}}"""
    found: defaultdict[str, Pairs] = defaultdict(dict)
    for id_, each in links.items():
        for role, others in getattr(each, which).items():
            to, type_ = type_of(role)
            for other in others:
                found[to].setdefault(id_, {}).setdefault(other, set()).add(type_)
    return found


def _specs(types: Iterable[Type]) -> list[dict[str, Any]]:
    return [
        {"associationCategory": category, "associationTypeId": type_id} for category, type_id in sorted(types)
    ]
