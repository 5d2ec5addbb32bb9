"""Leaves on what is kept beside the record, as Python: its history, its segments, its workflows."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias, assert_never

from engine.filters.known import Facts
from engine.filters.testing import test, value
from storage.filters.times import moment
from storage.filters.tree import (
    Authorship,
    Beside,
    HistoryLeaf,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)

Predicate: TypeAlias = Callable[[int, Facts], bool]


def predicate(leaf: Beside, now: datetime) -> Predicate:
    """Whether a visible record meets a leaf at `now`."""
    match leaf:
        case HistoryLeaf():
            return _history(leaf, now)
        case UpdatedLeaf():
            since = moment(leaf.since, now)

            def updated(record_id: int, facts: Facts) -> bool:
                at = facts.updated(record_id, leaf.property)
                return leaf.include_empty if at is None else (at > since) is not leaf.negated

            return updated
        case SourceLeaf():
            return lambda record_id, facts: _from_source(leaf, record_id, facts) is not leaf.negated
        case SegmentLeaf(segment_id, negated):
            return lambda record_id, facts: ((record_id, segment_id) in facts.members) is not negated
        case WorkflowLeaf(workflow_id, statuses, negated):
            wanted = frozenset(statuses)

            def enrolled(record_id: int, facts: Facts) -> bool:
                held = facts.enrolled.get((record_id, workflow_id), frozenset())
                return bool(held & wanted if wanted else held) is not negated

            return enrolled
        case _:
            assert_never(leaf)


def _history(leaf: HistoryLeaf, now: datetime) -> Predicate:
    passes = test(leaf.property, leaf.test, now)

    def met(record_id: int, facts: Facts) -> bool:
        had = past(leaf, record_id, facts)
        return any(map(passes, had)) is not leaf.negated if had else leaf.include_empty

    return met


def past(leaf: HistoryLeaf, record_id: int, facts: Facts) -> list[Any]:
    """The values of the declared type that a property ever had, the present one included."""
    name = leaf.property.name
    had = (value(leaf.property, {name: found}) for found, _ in facts.history.get((record_id, name), ()))
    return [found for found in had if found is not None]


def _from_source(leaf: SourceLeaf, record_id: int, facts: Facts) -> bool:
    return any(
        source in leaf.sources
        and (leaf.source_id is None or source_id == leaf.source_id)
        and (leaf.authorship is Authorship.EITHER or created is (leaf.authorship is Authorship.CREATED))
        for created, source, source_id in facts.sources.get(record_id, ())
    )
