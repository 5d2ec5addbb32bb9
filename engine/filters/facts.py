"""Fetching what filters need to know: level by level, in few statements whatever the number of records and filters."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from engine.filters.predicates import Facts, counted
from storage.database import Queryable
from storage.filters import facts as stored
from storage.filters.tree import And, AssociatedLeaf, Filter, Not, Or, PropertyLeaf, Quantifier, Reach

# Associations that one fetch holds in memory; what is wider is answered by SQL.
EDGES_HELD = 50_000


class TooWide(Exception):
    """These records reach more associations than one fetch may hold."""


@dataclass(slots=True)
class Needs:
    """What filters ask of the records of one level: counters, associations, and what of those behind them."""

    counts: set[int] = field(default_factory=set)
    # {object type: association types}; None: all of them.
    edges: dict[int, set[int] | None] = field(default_factory=dict)
    below: dict[Reach, "Needs"] = field(default_factory=dict)


def needs(filter_: Filter, noted: Needs | None = None) -> Needs:
    """What `filter_` asks for, added to what was noted before."""
    noted = Needs() if noted is None else noted
    match filter_:
        case And(parts) | Or(parts):
            for part in parts:
                needs(part, noted)
        case Not(part):
            needs(part, noted)
        case PropertyLeaf():
            pass
        case AssociatedLeaf():
            _reaches(filter_, noted)
        case _:
            assert_never(filter_)
    return noted


def _reaches(leaf: AssociatedLeaf, noted: Needs) -> None:
    reach = leaf.reach
    if counted(leaf) or leaf.quantifier is not Quantifier.NONE:
        noted.counts.update(reach.type_ids)
    if counted(leaf):
        return
    known = noted.edges.get(reach.to_object_type_id, set())
    noted.edges[reach.to_object_type_id] = None if reach.only or known is None else known | {*reach.type_ids}
    below = noted.below.setdefault(reach, Needs())
    if leaf.where is not None:
        needs(leaf.where, below)


async def fetch(
    reader: Queryable, wanted: Sequence[tuple[Filter, Collection[int]]]
) -> tuple[Facts, dict[int, int]]:
    """The facts that each filter needs about its records, and {visible record: object type}.

    A statement for the records, and for each level of nesting three at most. Raises `TooWide`.
    """
    facts, types = Facts(), dict[int, int]()
    level = [(needs(filter_), set(ids)) for filter_, ids in wanted]
    await _read_records(reader, facts, types, (record_id for _, ids in level for record_id in ids))
    held = 0
    while level := [(asked, ids & types.keys()) for asked, ids in level if asked.counts or asked.edges]:
        await _read_counts(reader, facts, level)
        held += await _read_edges(reader, facts, level, EDGES_HELD - held)
        reached = [
            (below, reach, {other for record_id in ids for other in _others(facts, record_id, reach)})
            for asked, ids in level
            for reach, below in asked.below.items()
        ]
        await _read_records(reader, facts, types, (other for _, _, others in reached for other in others))
        level = [(below, others) for below, _, others in reached]
    return facts, types


def _others(facts: Facts, record_id: int, reach: Reach) -> Iterator[int]:
    wanted = set(reach.type_ids)
    for other, found in facts.edges.get((record_id, reach.to_object_type_id), {}).items():
        if not wanted.isdisjoint(found):
            yield other


async def _read_records(reader: Queryable, facts: Facts, types: dict[int, int], ids: Iterable[int]) -> None:
    missing = set(ids) - facts.records.keys()
    if missing:
        for record_id, object_type_id, properties in await stored.visible(reader, missing):
            facts.records[record_id] = properties
            types[record_id] = object_type_id


async def _read_counts(reader: Queryable, facts: Facts, level: Sequence[tuple[Needs, set[int]]]) -> None:
    ids = {record_id for asked, some in level if asked.counts for record_id in some}
    if ids:
        facts.counts |= await stored.counts(reader, ids, {one for asked, _ in level for one in asked.counts})


async def _read_edges(
    reader: Queryable, facts: Facts, level: Sequence[tuple[Needs, set[int]]], limit: int
) -> int:
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
