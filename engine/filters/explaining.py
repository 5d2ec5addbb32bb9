"""Why a record meets a filter, or does not: the fold of matching, with an algebra that remembers what it saw.

An explanation is a tree of the same shape as the filter's definition, and JSON: it can be kept, and shown later.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias, assert_never

from engine import ids
from engine.filters import beside
from engine.filters.facts import TooWide, fetch, needs
from engine.filters.known import Facts, Occurrence
from engine.filters.predicates import (
    Fold,
    Once,
    Predicate,
    counted,
    fold,
    occurrences,
    reader,
)
from engine.problems import Problem
from storage.catalogue import Catalogue
from storage.database import Queryable
from storage.filters.shape import parameters
from storage.filters.times import Form, Timed, text
from storage.filters.tree import (
    AssociatedLeaf,
    ComparedWith,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Leaf,
    PropertyLeaf,
    Quantifier,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    Within,
    WorkflowLeaf,
)

# How many associated records are shown of a leaf, by how deeply it is nested, and of all leaves together.
SHOWN = (20, 5, 2)
SHOWN_AT_ALL = 500
# How many values of a history are shown.
VALUES_SHOWN = 50
# How many events are shown.
EVENTS_SHOWN = 20


class ExplanationTooWide(Problem):
    """The record is associated with so many others that what was looked at cannot be shown."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one part of a filter for one record, and what it was seen to have."""

    holds: bool
    parts: tuple["Seen", ...] = ()
    leaf: Leaf | AssociatedLeaf | None = None
    actual: Any = None
    # The time that a leaf which looks at the clock compares with: {"from", "to"}.
    window: Mapping[str, str] | None = None
    # Of an associated leaf: (record, association types, what became of the nested filter), the decisive ones first.
    looked: Sequence[tuple[int, tuple[int, ...], "Seen | None"]] = ()


async def explain(
    reader: Queryable,
    catalogue: Catalogue,
    definition: Mapping[str, Any],
    bound: Filter,
    record_id: int,
    object_type_id: int,
    *,
    now: datetime,
) -> dict[str, Any] | None:
    """How `bound`, which `definition` describes, answers for a record at `now`, as JSON (see `told`).

    None: the record is not there, is archived or of another type. Raises `ExplanationTooWide`. Read on a snapshot.
    """
    try:
        facts, types = await fetch(reader, [(needs(bound, shown=True), {record_id})])
    except TooWide:
        # Counters answer for hubs; then nobody at them is shown.
        try:
            facts, types = await fetch(reader, [(needs(bound), {record_id})])
        except TooWide:
            raise ExplanationTooWide from None
    if types.get(record_id) != object_type_id:
        return None
    return told(seen(bound, record_id, facts, now), definition, catalogue)


def seen(filter_: Filter, record_id: int, facts: Facts, now: datetime) -> Seen:
    """What a filter saw of a visible record. Pure."""
    return fold(filter_, now, Explaining(now))(record_id, facts)


_Fold: TypeAlias = Fold[Seen]


@dataclass(frozen=True, slots=True)
class Explaining:
    """The algebra of explanations: every part is answered, whatever the others say."""

    now: datetime

    def both(self, parts: list[_Fold]) -> _Fold:
        """All hold."""
        return _joined(parts, all)

    def either(self, parts: list[_Fold]) -> _Fold:
        """Any holds."""
        return _joined(parts, any)

    def neither(self, part: _Fold) -> _Fold:
        """The part does not hold."""

        def answer(record_id: int, facts: Facts) -> Seen:
            found = part(record_id, facts)
            return Seen(not found.holds, (found,))

        return answer

    def leaf(self, leaf: Leaf, met: Predicate) -> _Fold:
        """The answer, and the value that it was about."""
        window = self._window(leaf)
        if isinstance(leaf, EventLeaf):
            return self._event(leaf, met, window)

        def answer(record_id: int, facts: Facts) -> Seen:
            holds = met(record_id, facts)
            return Seen(holds, leaf=leaf, actual=_actual(leaf, record_id, facts), window=window)

        return answer

    def associated(
        self, leaf: AssociatedLeaf, met: Callable[[Predicate], Predicate], nested: _Fold | None
    ) -> _Fold:
        """The answer, and whom it regarded."""
        once = _unasked if nested is None else Once(nested)
        truth = met(lambda record_id, facts: (found := once(record_id, facts)) is None or found.holds)

        def answer(record_id: int, facts: Facts) -> Seen:
            around = facts.edges.get((record_id, leaf.reach.to_object_type_id), {})
            looked = [
                (other, tuple(sorted(around[other])), once(other, facts))
                for other in sorted(facts.reached(record_id, leaf.reach))
            ]
            # Who decides comes first: for ALL the one that fails.
            decisive = leaf.quantifier is not Quantifier.ALL
            looked.sort(key=lambda one: (one[2] is None or one[2].holds) is not decisive)
            return Seen(
                truth(record_id, facts), leaf=leaf, actual=_number(leaf, record_id, facts), looked=looked
            )

        return answer

    def _event(self, leaf: EventLeaf, met: Predicate, window: Mapping[str, str] | None) -> _Fold:
        """The answer, the number of events that decided it, and the newest ones, those that count first."""
        regarded = occurrences(leaf, self.now)

        def answer(record_id: int, facts: Facts) -> Seen:
            counted = regarded(record_id, facts)
            return Seen(
                met(record_id, facts),
                leaf=leaf,
                actual=_events(leaf, record_id, facts, counted),
                window=window,
            )

        return answer

    def _window(self, leaf: Leaf) -> Mapping[str, str] | None:
        match leaf:
            case PropertyLeaf(prop, Within(low, high) as within):
                ends = [end for end, bound in (("from", low), ("to", high)) if bound is not None]
                times = (one.at(self.now) for one in parameters(prop, within) if isinstance(one, Timed))
                return dict(zip(ends, times, strict=True))
            case UpdatedLeaf():
                return {"from": Timed(leaf.since, Form.TEXT).at(self.now)}
            case EventLeaf(since=since) if since is not None:
                return {"from": Timed(since, Form.TEXT).at(self.now)}
            case _:
                return None


def _unasked(_record_id: int, _facts: Facts) -> Seen | None:
    return None


def _joined(parts: list[_Fold], holds: Callable[[list[bool]], bool]) -> _Fold:
    def answer(record_id: int, facts: Facts) -> Seen:
        found = tuple(part(record_id, facts) for part in parts)
        return Seen(holds([one.holds for one in found]), found)

    return answer


def _actual(leaf: Leaf, record_id: int, facts: Facts) -> Any:
    """What a leaf looked at, as JSON; null where there is none."""
    match leaf:
        case PropertyLeaf(prop, ComparedWith(other=other)):
            return {each.name: reader(each)(record_id, facts) for each in (prop, other)}
        case PropertyLeaf(prop):
            return reader(prop)(record_id, facts)
        case HistoryLeaf():
            return beside.past(leaf, record_id, facts)[:VALUES_SHOWN]
        case UpdatedLeaf(prop):
            at = facts.updated(record_id, prop)
            return None if at is None else text(at)
        case SourceLeaf():
            made = sorted(
                facts.sources.get(record_id, ()), key=lambda one: (not one[0], one[1], one[2] or "")
            )
            return [
                {"change": "CREATED" if created else "UPDATED", "source": source, "sourceId": source_id}
                for created, source, source_id in made[:VALUES_SHOWN]
            ]
        case SegmentLeaf(segment_id):
            since = facts.members.get((record_id, segment_id))
            return None if since is None else {"joinedAt": text(since)}
        case WorkflowLeaf(workflow_id):
            return sorted(facts.enrolled.get((record_id, workflow_id), ()))
        case EventLeaf():
            raise TypeError("what occurred is told with what counts of it")
        case _:
            assert_never(leaf)


def _events(leaf: EventLeaf, record_id: int, facts: Facts, counted: Sequence[Occurrence]) -> dict[str, Any]:
    """How many events count, and some of those looked at: newest first, those that count before the others."""
    counting = {one.id for one in counted}
    every = facts.occurred.get((record_id, leaf.event_type_id), [])
    looked = sorted(every, key=lambda one: (one.id in counting, one.at, one.id), reverse=True)
    held = {} if facts.inside is None else facts.inside.records
    return {
        "count": len(counted),
        "events": [
            {
                "event": ids.encode("event", one.id),
                "occurredAt": text(one.at),
                "counts": one.id in counting,
                "properties": held.get(one.id, {}),
            }
            for one in looked[:EVENTS_SHOWN]
        ],
    }


def _number(leaf: AssociatedLeaf, record_id: int, facts: Facts) -> int | None:
    """How many associated records there are under the leaf's labels; null where there never was one."""
    if not facts.ever(record_id, leaf.reach) and leaf.quantifier is not Quantifier.NONE:
        return None
    if counted(leaf) and len(leaf.reach.type_ids) == 1:
        return facts.counts.get((record_id, leaf.reach.type_ids[0]), 0)
    return sum(1 for _ in facts.reached(record_id, leaf.reach))


# --- as JSON ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Telling:
    catalogue: Catalogue
    left: int = field(default=SHOWN_AT_ALL)

    def part(
        self, found: Seen, definition: Mapping[str, Any], path: tuple[Any, ...], level: int
    ) -> dict[str, Any]:
        ((kind, body),) = ((kind, body) for kind, body in definition.items() if body is not None)
        said: dict[str, Any] = {"kind": kind, "holds": found.holds, "path": list(path)}
        if kind in ("and", "or", "not"):
            bodies = [((kind,), body)] if kind == "not" else [((kind, n), one) for n, one in enumerate(body)]
            said["parts"] = [
                self.part(part, one, (*path, *step), level)
                for part, (step, one) in zip(found.parts, bodies, strict=True)
            ]
            return said
        # What is nested in an associated leaf is told of each record that was looked at.
        nested = "where" if isinstance(found.leaf, AssociatedLeaf) else None
        said["expected"] = {key: value for key, value in body.items() if key != nested and value is not None}
        said["actual"] = found.actual
        if found.window is not None:
            said["window"] = dict(found.window)
        if isinstance(found.leaf, AssociatedLeaf):
            said["lookedAt"] = self.looked(found, body.get("where"), (*path, kind, "where"), level)
            said["lookedAtCount"] = len(found.looked)
        return said

    def looked(
        self, found: Seen, where: Mapping[str, Any] | None, path: tuple[Any, ...], level: int
    ) -> list[dict[str, Any]]:
        said = []
        for other, type_ids, inner in found.looked[: SHOWN[min(level, len(SHOWN) - 1)]]:
            if self.left == 0:
                break
            self.left -= 1
            types = (self.catalogue.association_types.get(type_id) for type_id in type_ids)
            labels = [row.name for row in types if row is not None and row.name is not None]
            one: dict[str, Any] = {"record": ids.encode("record", other), "labels": labels}
            if inner is not None and where is not None:
                one |= {"holds": inner.holds, "where": self.part(inner, where, path, level + 1)}
            else:
                one["holds"] = True
            said.append(one)
        return said


def told(found: Seen, definition: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """An explanation as JSON, part by part beside the definition.

    `{kind, holds, path}` and, of AND, OR and NOT, `parts`; of leaves `expected` (what the definition says), `actual`,
    `window` (`from` and `to`, where the leaf looks at the clock) and, of associated leaves, `lookedAt`
    (`{record, labels, holds, where}`, as many as `SHOWN`) and `lookedAtCount`, the number of all of them.
    """
    return _Telling(catalogue).part(found, definition, (), 0)
