"""When an answer may change by the clock alone, so that nobody needs to look again before.

Everything else that can change an answer is a change of data, and whoever follows those examines the record anyway.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias, assert_never

from engine.filters import events
from engine.filters.known import Facts
from engine.filters.predicates import (
    Fold,
    Once,
    Predicate,
    everyone,
    fold,
    occurrences,
    reader,
)
from storage.filters.times import Edge, Form, passing
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    Bound,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Leaf,
    Not,
    Or,
    PropertyLeaf,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    Within,
    WorkflowLeaf,
)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Whether a record meets a filter, and the first moment at which that may change by the clock alone.

    None: never. It may turn out then that the answer has not changed.
    """

    holds: bool
    until: datetime | None


def next_change(filter_: Filter, record_id: int, facts: Facts, now: datetime) -> datetime | None:
    """The first moment after `now` at which a visible record's answer may change by the clock alone. Pure."""
    return fold(filter_, now, Foreseeing(now))(record_id, facts).until


def moving(filter_: Filter) -> bool:
    """Whether the clock alone can change the filter's answers."""
    match filter_:
        case And(parts) | Or(parts):
            return any(moving(part) for part in parts)
        case Not(part):
            return moving(part)
        case PropertyLeaf(test=test):
            return isinstance(test, Within)
        case AssociatedLeaf(where=where):
            return where is not None and moving(where)
        case UpdatedLeaf():
            return True
        case EventLeaf(where=where, since=since):
            return since is not None or (where is not None and moving(where))
        case HistoryLeaf() | SourceLeaf() | SegmentLeaf() | WorkflowLeaf():
            return False
        case _:
            assert_never(filter_)


_Fold: TypeAlias = Fold[Foreseen]


@dataclass(frozen=True, slots=True)
class Foreseeing:
    """The algebra of answers with the moment until which they stand."""

    now: datetime

    def both(self, parts: list[_Fold]) -> _Fold:
        """What fails for good decides; nothing else needs to be watched."""
        return _joined(parts, decisive=False)

    def either(self, parts: list[_Fold]) -> _Fold:
        """What holds for good decides."""
        return _joined(parts, decisive=True)

    def neither(self, part: _Fold) -> _Fold:
        """The opposite, as long."""

        def answer(record_id: int, facts: Facts) -> Foreseen:
            found = part(record_id, facts)
            return Foreseen(not found.holds, found.until)

        return answer

    def leaf(self, leaf: Leaf, met: Predicate) -> _Fold:
        """Until the first edge passes the value."""
        until = self._until(leaf)
        if until is None:
            return lambda record_id, facts: Foreseen(met(record_id, facts), None)
        return lambda record_id, facts: Foreseen(met(record_id, facts), until(record_id, facts))

    def associated(
        self, leaf: AssociatedLeaf, met: Callable[[Predicate], Predicate], nested: _Fold | None
    ) -> _Fold:
        """Until the first of the associated records changes."""
        if leaf.where is None or nested is None or not moving(leaf.where):
            plain = met(everyone if nested is None else _holds(Once(nested)))
            return lambda record_id, facts: Foreseen(plain(record_id, facts), None)
        once = Once(nested)
        truth = met(_holds(once))

        def answer(record_id: int, facts: Facts) -> Foreseen:
            others = facts.reached(record_id, leaf.reach)
            return Foreseen(truth(record_id, facts), _earliest(once(other, facts).until for other in others))

        return answer

    def _until(self, leaf: Leaf) -> Callable[[int, Facts], datetime | None] | None:
        match leaf:
            case PropertyLeaf(prop, Within(low, high)):
                read, form = reader(prop), Form.DAY if prop.type == "DATE" else Form.TEXT

                def until(record_id: int, facts: Facts) -> datetime | None:
                    value = _time(read(record_id, facts), form)
                    if value is None:
                        return None
                    return _earliest(self._passing(bound, form, value) for bound in _edges(low, high))

                return until
            case UpdatedLeaf(prop, since):

                def stays(record_id: int, facts: Facts) -> datetime | None:
                    at = facts.updated(record_id, prop)
                    if at is None:
                        return None
                    return passing(since, Form.MOMENT, at, beyond=False, now=self.now)

                return stays
            case EventLeaf() if moving(leaf):
                return self._events(leaf)
            case _:
                return None

    def _events(self, leaf: EventLeaf) -> Callable[[int, Facts], datetime | None]:
        """Until enough events have left the window; or one of them is, by the clock, another one to `where`."""
        regarded = occurrences(leaf, self.now)
        nested = fold(leaf.where, self.now, self) if leaf.where is not None and moving(leaf.where) else None

        def until(record_id: int, facts: Facts) -> datetime | None:
            left = events.until(leaf, regarded(record_id, facts), self.now)
            inside = facts.inside
            if nested is None or inside is None:
                return left
            every = facts.occurred.get((record_id, leaf.event_type_id), ())
            turns = [nested(one.id, inside).until for one in every]
            return _earliest(iter([left, *turns]))

        return until

    def _passing(self, bound: tuple[Edge, bool], form: Form, value: date | datetime) -> datetime | None:
        edge, beyond = bound
        return passing(edge, form, value, beyond=beyond, now=self.now)


def _joined(parts: list[_Fold], *, decisive: bool) -> _Fold:
    """An answer that is `decisive` wherever a part's is."""

    def answer(record_id: int, facts: Facts) -> Foreseen:
        found = [part(record_id, facts) for part in parts]
        if any(one.holds is decisive and one.until is None for one in found):
            return Foreseen(decisive, None)
        holds = decisive if any(one.holds is decisive for one in found) else not decisive
        return Foreseen(holds, _earliest(one.until for one in found))

    return answer


def _holds(nested: _Fold) -> Predicate:
    return lambda record_id, facts: nested(record_id, facts).holds


def _edges(low: Bound | None, high: Bound | None) -> Iterator[tuple[Edge, bool]]:
    """The edges, and whether each must be behind a value, not only at it, to change the answer."""
    if low is not None:
        yield low.edge, low.included
    if high is not None:
        yield high.edge, not high.included


def _time(value: str | None, form: Form) -> date | datetime | None:
    """The day or moment of a stored text; None where it is none."""
    if value is None:
        return None
    try:
        return date.fromisoformat(value) if form is Form.DAY else datetime.fromisoformat(value)
    except ValueError:
        return None


def _earliest(moments: Iterator[datetime | None]) -> datetime | None:
    return min((at for at in moments if at is not None), default=None)
