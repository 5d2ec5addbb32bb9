"""What a record's own properties decide, before anything else is read about it.

A contact whose job title is not the wanted one does not meet "a director at a company that …", whatever its companies
are like: they need not be fetched.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias, assert_never

from engine.filters.known import Facts
from engine.filters.predicates import predicate
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Not,
    Or,
    PropertyLeaf,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)

# The answer that a visible record's properties alone give; None: it takes more.
Own: TypeAlias = Callable[[int, Facts], bool | None]


def own(filter_: Filter, now: datetime) -> Own | None:
    """What the record's own properties say of a filter at `now`; None where they never decide alone."""
    match filter_:
        case And(parts):
            return _joined(parts, now, decisive=False)
        case Or(parts):
            return _joined(parts, now, decisive=True)
        case Not(part):
            return _opposite(own(part, now))
        case PropertyLeaf():
            return predicate(filter_, now)
        case (
            AssociatedLeaf()
            | HistoryLeaf()
            | UpdatedLeaf()
            | SourceLeaf()
            | SegmentLeaf()
            | WorkflowLeaf()
            | EventLeaf()
        ):
            return None
        case _:
            assert_never(filter_)


def _joined(parts: Sequence[Filter], now: datetime, *, decisive: bool) -> Own | None:
    """One part that is `decisive` decides; all together they do, where each is known."""
    known = [found for part in parts if (found := own(part, now)) is not None]
    if not known:
        return None
    whole = len(known) == len(parts)

    def answer(record_id: int, facts: Facts) -> bool | None:
        open_ = not whole
        for part in known:
            found = part(record_id, facts)
            if found is decisive:
                return decisive
            open_ = open_ or found is None
        return None if open_ else not decisive

    return answer


def _opposite(part: Own | None) -> Own | None:
    if part is None:
        return None

    def answer(record_id: int, facts: Facts) -> bool | None:
        found = part(record_id, facts)
        return None if found is None else not found

    return answer
