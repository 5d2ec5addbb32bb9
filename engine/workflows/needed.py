"""What must be otherwise for a filter to give another answer: the words for it, leaf by leaf. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from engine import ids
from engine.filters.testing import COMPARE
from engine.naming import counted
from engine.values import shown
from storage.filters.tree import (
    Authorship,
    EventLeaf,
    HistoryLeaf,
    Leaf,
    PropertyLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)

SET, ASSOCIATE, DISSOCIATE = "SET", "ASSOCIATE", "DISSOCIATE"
MEMBERSHIP, ENROLLMENT, EVENT, SOURCE, WAIT = "MEMBERSHIP", "ENROLLMENT", "EVENT", "SOURCE", "WAIT"

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Needed:
    """One thing that must be otherwise.

    The condition at `path` of the definition must come to hold for the record, or (`holds` false) must not hold any
    more. `expected` is what it asks, `actual` what it found. ASSOCIATE and DISSOCIATE are about `count` records of type
    `to` under `labels` (null: any); `other` is the one to be taken away.
    """

    kind: str
    words: str
    record_id: int | None = None
    path: Path = ()
    holds: bool = True
    expected: Mapping[str, Any] | None = None
    actual: Any = None
    to: str | None = None
    labels: tuple[str, ...] | None = None
    other: int | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Way:
    """Changes that together do it, and how many they count for."""

    cost: int = 0
    changes: tuple[Needed, ...] = field(default=(), compare=False)

    def __add__(self, other: "Way") -> "Way":
        return Way(self.cost + other.cost, self.changes + other.changes)


NOTHING = Way()


def every(ways: Iterable[Way | None]) -> Way | None:
    """All of them; None where one is impossible."""
    found = NOTHING
    for way in ways:
        if way is None:
            return None
        found += way
    return found


def least(ways: Iterable[Way | None]) -> Way | None:
    """The smallest of them, of equal ones the first; None where all are impossible."""
    return min((way for way in ways if way is not None), key=lambda way: way.cost, default=None)


# --- leaves -------------------------------------------------------------------------------------------------


def of_leaf(
    leaf: Leaf, actual: Any, kind: str, body: Mapping[str, Any], record_id: int, holds: bool, path: Path
) -> Needed | None:
    """What must be otherwise for one leaf; None where nothing can be done about it."""
    way = possible(leaf, actual, holds)
    if way is None:
        return None
    expected = {key: value for key, value in body.items() if value is not None}
    words = _words(way, kind, expected, actual, record_id, holds)
    return Needed(way, words, record_id, path, holds, expected, actual)


def possible(leaf: Leaf, actual: Any, holds: bool) -> str | None:
    """By what kind of change a leaf can come to hold, or not to; None: what it asks about is past.

    `actual` is what it has found.
    """
    match leaf:
        case PropertyLeaf(prop):
            return None if prop.column == "created_at" else SET
        case HistoryLeaf(negated=negated):
            # What was, was: values can only be added.
            return SET if holds is not negated or not actual else None
        case UpdatedLeaf(negated=negated):
            return SET if holds is not negated else WAIT
        case SourceLeaf(authorship=authorship, source_id=source_id, negated=negated):
            able = authorship is not Authorship.CREATED and source_id is None
            return SOURCE if able and holds is not negated else None
        case WorkflowLeaf(statuses=statuses, negated=negated):
            return ENROLLMENT if holds is not negated or statuses == ("ACTIVE",) else None
        case EventLeaf():
            return _event(leaf, int(actual["count"]), holds)
        case _:
            return MEMBERSHIP


def _event(leaf: EventLeaf, count: int, holds: bool) -> str | None:
    compare = COMPARE[leaf.comparison]

    def answers(n: int) -> bool:
        return n == 0 if leaf.negated else compare(n, leaf.count)

    if any(answers(n) is holds for n in range(count + 1, max(count, leaf.count) + 2)):
        return EVENT
    # They grow older, and leave the window.
    return WAIT if leaf.since is not None and any(answers(n) is holds for n in range(count)) else None


def _words(way: str, kind: str, expected: Mapping[str, Any], actual: Any, record_id: int, holds: bool) -> str:
    must = "must" if holds else "must not"
    who = name_of(record_id)
    if kind in ("property", "field"):
        operator = str(expected["operator"]).lower().replace("_", " ")
        value = expected.get("values", expected.get("value", expected.get("other")))
        asked = operator if value is None else f"{operator} {shown(value)}"
        now = "without a value" if actual is None else shown(actual)
        later = " as time goes by" if way == WAIT else ""
        return f'"{expected["name"]}" of {who} {must} meet "{asked}"{later}; it is {now} now'
    if kind == "inSegment":
        must = "must" if holds is not bool(expected.get("negated")) else "must not"
        return f"{who} {must} be in the segment {expected['segment']}"
    if kind == "inWorkflow":
        must = "must" if holds is not bool(expected.get("negated")) else "must not"
        status = str(expected.get("status", "ENROLLED_EVER")).lower().replace("_", " ")
        return f'{who} {must} be "{status}" in the workflow {expected["workflow"]}'
    if kind == "event":
        if way == WAIT:
            return f'what of "{expected["type"]}" has occurred to {who} must have grown older'
        now = counted(actual["count"], "occurrence counts", "occurrences count")
        return f'"{expected["type"]}" must occur to {who}; {now} now'
    return f"what is asked of the sources of {who} {must} hold"


def name_of(record_id: int) -> str:
    return ids.encode("record", record_id)
