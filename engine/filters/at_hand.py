"""Filters of a record's own values, asked of records that are at hand: nothing is read, and nothing is prepared."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from engine.filters.facts import needs
from engine.filters.foreseeing import moving
from engine.filters.known import Facts
from engine.filters.predicates import predicate
from storage.filters.facts import MOMENTS
from storage.filters.tree import Filter
from storage.record_rows import RecordRow

Own: TypeAlias = Callable[[RecordRow], bool]


def of_own(filter_: Filter) -> Own | None:
    """Whether a record meets the filter, at any time; None: that takes more than the record, or the time."""
    if moving(filter_) or needs(filter_).more:
        return None
    met = predicate(filter_, datetime.min.replace(tzinfo=UTC))

    def own(row: RecordRow) -> bool:
        # As everywhere, who was put away meets nothing.
        if row.archived_at is not None:
            return False
        moments = {name: getattr(row, name) for name in MOMENTS}
        return met(row.id, Facts(records={row.id: row.properties}, columns={row.id: moments}))

    return own
