"""Fetching what filters need to know: level by level, in few statements whatever the number of records and filters."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, assert_never

from engine.filters.known import Facts, Occurrence
from engine.filters.narrowing import Own, own
from engine.filters.predicates import counted
from storage import record_events
from storage.database import Queryable, Row
from storage.filters import facts as stored
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Not,
    Or,
    PropertyLeaf,
    Quantifier,
    Reach,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)

# Associations, and values of histories, that one fetch holds in memory; what is wider is answered by SQL.
FACTS_HELD = 50_000


class TooWide(Exception):
    """These records reach more associations, or have a longer history, than one fetch may hold."""


@dataclass(slots=True)
class Needs:
    """What filters ask of the records of one level: counters, associations, and what of those behind them."""

    counts: set[int] = field(default_factory=set)
    # {object type: association types}; None: all of them.
    edges: dict[int, set[int] | None] = field(default_factory=dict)
    below: dict[Reach, "Needs"] = field(default_factory=dict)
    # Names of properties, and whether all sources; segments; workflows.
    history: set[str] = field(default_factory=set)
    sources: bool = False
    segments: set[int] = field(default_factory=set)
    workflows: set[int] = field(default_factory=set)
    # {event type: whether the properties of its events are looked at}
    events: dict[int, bool] = field(default_factory=dict)
    # What a record's own properties say of each filter that asks; whom they leave open to none needs nothing more.
    # None: nothing is known of that.
    own: list[Own] | None = field(default_factory=list)

    @property
    def more(self) -> bool:
        """Whether anything is asked for beside the records themselves."""
        return bool(
            self.counts
            or self.edges
            or self.history
            or self.sources
            or self.segments
            or self.workflows
            or self.events
        )

    def wanting(self, ids: Set[int], facts: Facts) -> Set[int]:
        """Those of visible records for which anything must be read."""
        own = self.own
        if own is None:
            return ids
        if len(own) == 1:
            (only,) = own
            return {one for one in ids if only(one, facts) is None}
        return {one for one in ids if any(says(one, facts) is None for says in own)}


def _opened(asked: Needs) -> Iterator[int]:
    """The event types of which the properties are looked at on any level."""
    yield from (type_id for type_id, properties in asked.events.items() if properties)
    for below in asked.below.values():
        yield from _opened(below)


def needs(filter_: Filter, *, now: datetime | None = None, shown: bool = False) -> Needs:
    """What `filter_` asks for. `shown`: and whom counters stand for, with all labels.

    With `now`, of those records alone whose own properties do not decide at that time.
    """
    return _noted(filter_, Needs(), now, shown)


def _noted(filter_: Filter, noted: Needs, now: datetime | None, shown: bool) -> Needs:
    says = None if now is None or noted.own is None else own(filter_, now)
    if says is None or noted.own is None:
        noted.own = None
    else:
        noted.own.append(says)
    _note(filter_, noted, now, shown)
    return noted


def _note(filter_: Filter, noted: Needs, now: datetime | None, shown: bool) -> None:
    match filter_:
        case And(parts) | Or(parts):
            for part in parts:
                _note(part, noted, now, shown)
        case Not(part):
            _note(part, noted, now, shown)
        case PropertyLeaf():
            pass
        case AssociatedLeaf():
            _reaches(filter_, noted, now, shown)
        case HistoryLeaf(prop) | UpdatedLeaf(prop):
            noted.history.add(prop.name)
        case SourceLeaf():
            noted.sources = True
        case SegmentLeaf(segment_id):
            noted.segments.add(segment_id)
        case WorkflowLeaf(workflow_id):
            noted.workflows.add(workflow_id)
        case EventLeaf(type_id, where=where):
            noted.events[type_id] = shown or where is not None or noted.events.get(type_id, False)
        case _:
            assert_never(filter_)


def _reaches(leaf: AssociatedLeaf, noted: Needs, now: datetime | None, shown: bool) -> None:
    reach = leaf.reach
    if counted(leaf) or leaf.quantifier is not Quantifier.NONE:
        noted.counts.update(reach.type_ids)
    if counted(leaf) and not shown:
        return
    known = noted.edges.get(reach.to_object_type_id, set())
    whole = shown or reach.only or known is None
    noted.edges[reach.to_object_type_id] = None if whole or known is None else known | {*reach.type_ids}
    below = noted.below.setdefault(reach, Needs())
    if leaf.where is not None:
        _noted(leaf.where, below, now, shown)


Level: TypeAlias = Sequence[tuple[Needs, Set[int]]]


async def fetch(reader: Queryable, wanted: Sequence[tuple[Needs, Set[int]]]) -> tuple[Facts, dict[int, int]]:
    """The facts that filters need about their records, and {visible record: object type}.

    A statement for the records, and for each level of nesting three at most, and one for each other kind of fact
    that is asked for there. Raises `TooWide`.
    """
    facts, types = Facts(), dict[int, int]()
    level = list(wanted)
    await _read_records(reader, facts, types, set[int]().union(*(ids for _, ids in level)))
    # Whoever stands on several levels is asked of what was read on one of them, perhaps for a filter that is decided.
    opened = {type_id for asked, _ in wanted for type_id in _opened(asked)}
    held = 0
    while level := [(asked, asked.wanting(ids & types.keys(), facts)) for asked, ids in level if asked.more]:
        held += await _read_beside(reader, facts, level, opened, FACTS_HELD - held)
        level = [(asked, ids) for asked, ids in level if asked.counts or asked.edges]
        await _read_counts(reader, facts, level)
        held += await _read_edges(reader, facts, level, FACTS_HELD - held)
        reached = [
            (below, reach, {other for record_id in ids for other in _others(facts, record_id, reach)})
            for asked, ids in level
            for reach, below in asked.below.items()
        ]
        await _read_records(reader, facts, types, set[int]().union(*(others for _, _, others in reached)))
        level = [(below, others) for below, _, others in reached]
    return facts, types


def _others(facts: Facts, record_id: int, reach: Reach) -> Iterator[int]:
    wanted = set(reach.type_ids)
    for other, found in facts.edges.get((record_id, reach.to_object_type_id), {}).items():
        if not wanted.isdisjoint(found):
            yield other


async def _read_records(reader: Queryable, facts: Facts, types: dict[int, int], ids: Set[int]) -> None:
    missing = ids - facts.records.keys()
    if missing:
        for record_id, object_type_id, properties, *moments in await stored.visible(reader, missing):
            facts.records[record_id] = properties
            facts.columns[record_id] = dict(zip(stored.MOMENTS, moments, strict=True))
            types[record_id] = object_type_id


async def _read_beside(reader: Queryable, facts: Facts, level: Level, opened: Set[int], limit: int) -> int:
    """History, segments and workflows of one level's records; how many facts are held for them."""
    held = 0
    names = {name for asked, _ in level for name in asked.history}
    if ids := {record_id for asked, some in level if asked.history for record_id in some}:
        rows = _held(await stored.history(reader, ids, names, limit))
        # Anew: a record may stand on several levels.
        facts.history |= {(row[0], row[1]): [] for row in rows}
        for record_id, name, value, at in rows:
            facts.history[record_id, name].append((value, at))
        held += len(rows)
    if ids := {record_id for asked, some in level if asked.sources for record_id in some}:
        rows = _held(await stored.sources(reader, ids, limit - held))
        for record_id, created, source, source_id in rows:
            facts.sources.setdefault(record_id, set()).add((created, source, source_id))
        held += len(rows)
    segments = {segment_id for asked, _ in level for segment_id in asked.segments}
    if ids := {record_id for asked, some in level if asked.segments for record_id in some}:
        for record_id, segment_id, since in await stored.members(reader, ids, segments):
            facts.members[record_id, segment_id] = since
    workflows = {workflow_id for asked, _ in level for workflow_id in asked.workflows}
    if ids := {record_id for asked, some in level if asked.workflows for record_id in some}:
        for record_id, workflow_id, statuses in await stored.enrolled(reader, ids, workflows):
            facts.enrolled[record_id, workflow_id] = frozenset(statuses)
    return held + await _read_events(reader, facts, level, opened, limit - held)


async def _read_events(reader: Queryable, facts: Facts, level: Level, opened: Set[int], limit: int) -> int:
    """What occurred to one level's records."""
    ids = {record_id for asked, some in level if asked.events for record_id in some}
    if not ids:
        return 0
    wanted = {type_id: type_id in opened for asked, _ in level for type_id in asked.events}
    rows = _held(await record_events.occurred(reader, ids, wanted, limit))
    facts.inside = facts.inside or Facts()
    # Anew: a record may stand on several levels.
    for record_id in ids:
        for type_id in wanted:
            facts.occurred.pop((record_id, type_id), None)
    for record_id, type_id, event_id, at, properties in rows:
        facts.occurred[record_id, type_id].append(Occurrence(event_id, at))
        if properties is not None:
            facts.inside.records[event_id] = properties
    for record_id in ids:
        for type_id in wanted:
            if found := facts.occurred.get((record_id, type_id)):
                found.sort(key=lambda one: (one.at, one.id))
    return len(rows)


def _held(rows: list[Row] | None) -> list[Row]:
    if rows is None:
        raise TooWide
    return rows


async def _read_counts(reader: Queryable, facts: Facts, level: Level) -> None:
    ids = {record_id for asked, some in level if asked.counts for record_id in some}
    if ids:
        facts.counts |= await stored.counts(reader, ids, {one for asked, _ in level for one in asked.counts})


async def _read_edges(reader: Queryable, facts: Facts, level: Level, limit: int) -> int:
    ids = {record_id for asked, some in level if asked.edges for record_id in some}
    wanted: dict[int, set[int] | None] = {}
    for asked, _ in level:
        for object_type_id, types in asked.edges.items():
            known = wanted.get(object_type_id, set())
            wanted[object_type_id] = None if known is None or types is None else known | types
    if not ids or not wanted:
        return 0
    rows = await stored.edges(reader, ids, wanted, limit)
    if rows is None:
        raise TooWide
    for from_id, object_type_id, to_id, type_id in rows:
        facts.edges[from_id, object_type_id].setdefault(to_id, set()).add(type_id)
    return len(rows)
