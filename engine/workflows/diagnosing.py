"""Why a record was enrolled, as it was seen at that moment: trees of filters with the values and records looked at."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from engine import ids
from engine.filters.explaining import Explaining, told
from engine.filters.facts import TooWide, fetch, needs
from engine.filters.known import Facts
from engine.filters.predicates import fold
from engine.workflows.bound import Bound, Happened, Linked
from engine.workflows.definition.parts import Where
from engine.workflows.happenings import Happening
from engine.workflows.looking import Look
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.filters.tree import Filter

# Records that are looked at together.
CHUNK = 500


# Made by the thousand, and never changed: freezing costs four times as much as making them.
@dataclass(slots=True)
class Why:
    """What let a record in; for a re-enrollment also what it was renewed by."""

    look: Look
    record_id: int
    by: Happening
    renewal: Happening | None


# A filter with the words that it was made of.
_Said: TypeAlias = tuple[Filter, Where]
_Asked: TypeAlias = tuple[_Said, int]


async def trees(
    reader: Queryable, catalogue: Catalogue, why: Mapping[tuple[int, int], Why], now: datetime
) -> dict[tuple[int, int], dict[str, Any]]:
    """A tree for each, as JSON: `{triggers: [{trigger, kind, occurred, where, other}]}`, read on their snapshot.

    `where` explains what was asked of the record, `other` what was asked of the other end of an association, as
    `engine.filters.explaining.told` does; null: nothing was asked, or so much is looked at that it is not shown.
    """
    wanted: dict[int, tuple[_Said, set[int]]] = {}
    for one in why.values():
        for said, record_id in _asked(one):
            wanted.setdefault(id(said[0]), (said, set()))[1].add(record_id)
    explained: dict[tuple[int, int], dict[str, Any]] = {}
    everyone = sorted(set[int]().union(*(whom for _, whom in wanted.values())))
    for at in range(0, len(everyone), CHUNK):
        chunk = set(everyone[at : at + CHUNK])
        asked = [(said, whom & chunk) for said, whom in wanted.values() if whom & chunk]
        await _explain(reader, catalogue, asked, now, explained)
    return {pair: _tree(one, explained) for pair, one in why.items()}


def _asked(why: Why) -> Iterator[_Asked]:
    for happening in _happenings(why):
        trigger = why.look.conditions.numbered[happening.trigger]
        if trigger.own is not None and trigger.where is not None:
            yield (trigger.own, trigger.where), why.record_id
        if isinstance(trigger, Linked) and trigger.other is not None and trigger.other_where is not None:
            yield (trigger.other, trigger.other_where), happening.others[0]


def _happenings(why: Why) -> Sequence[Happening]:
    same = why.renewal is None or why.renewal.trigger == why.by.trigger
    return (why.by,) if same or why.renewal is None else (why.by, why.renewal)


async def _explain(
    reader: Queryable,
    catalogue: Catalogue,
    asked: Sequence[tuple[_Said, Collection[int]]],
    now: datetime,
    explained: dict[tuple[int, int], dict[str, Any]],
) -> None:
    """Explain some filters of some records; hubs among them are found by halving, and then told without a tree."""
    try:
        wanted = [(needs(filter_, shown=True), set(whom)) for (filter_, _), whom in asked]
        facts, types = await fetch(reader, wanted)
    except TooWide:
        everyone = sorted({one for _, whom in asked for one in whom})
        if len(everyone) > 1:
            middle = everyone[len(everyone) // 2]
            for half in (
                [one for one in everyone if one < middle],
                [one for one in everyone if one >= middle],
            ):
                some = [(said, set(whom) & set(half)) for said, whom in asked if set(whom) & set(half)]
                await _explain(reader, catalogue, some, now, explained)
        return
    for said, whom in asked:
        explained |= _told(said, whom, facts, types, catalogue, now)


def _told(
    said: _Said,
    whom: Collection[int],
    facts: Facts,
    types: Mapping[int, int],
    catalogue: Catalogue,
    now: datetime,
) -> dict[tuple[int, int], dict[str, Any]]:
    filter_, where = said
    seen = fold(filter_, now, Explaining(now))
    return {(id(filter_), one): told(seen(one, facts), where, catalogue) for one in whom if one in types}


def _tree(why: Why, explained: Mapping[tuple[int, int], dict[str, Any]]) -> dict[str, Any]:
    return {"triggers": [_trigger(why, one, explained) for one in _happenings(why)]}


def _trigger(
    why: Why, happening: Happening, explained: Mapping[tuple[int, int], dict[str, Any]]
) -> dict[str, Any]:
    conditions = why.look.conditions
    trigger: Bound = conditions.numbered[happening.trigger]
    tree: dict[str, Any] = {
        "trigger": happening.trigger,
        "kind": conditions.kinds[happening.trigger],
        "occurred": encoded(happening.cause.told),
        "where": explained.get((id(trigger.own), why.record_id)),
    }
    if isinstance(trigger, Linked):
        other = happening.others[0]
        tree["other"] = {
            "record": ids.encode("record", other),
            "where": explained.get((id(trigger.other), other)),
        }
    if isinstance(trigger, Happened) and happening.others:
        tree["event"] = ids.encode("event", happening.others[0])
    return tree


def encoded(cause: Mapping[str, Any]) -> dict[str, Any]:
    """A cause as clients see it."""
    kinds = {"record": "record", "associated": "record", "segment": "segment", "event": "event"}
    return {
        key: ids.encode(kinds[key], value) if key in kinds and isinstance(value, int) else value
        for key, value in cause.items()
    }
