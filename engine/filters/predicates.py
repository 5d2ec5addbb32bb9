"""The filter as Python: what each leaf means, over facts that were fetched before.

There is one fold, `fold`. What it makes of the answers of leaves is up to an algebra: a truth (here), the moment at
which it may change (`engine.filters.foreseeing`), an explanation (`engine.filters.explaining`).
It says exactly what `storage.filters.compile` says in SQL; a leaf is true or false.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, assert_never

from engine.filters import beside, events
from engine.filters.known import Facts
from engine.filters.testing import COMPARE, pair, test, value
from storage.filters.times import text
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    ComparedWith,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Leaf,
    Not,
    Or,
    Property,
    PropertyLeaf,
    Quantifier,
    SegmentLeaf,
    SourceLeaf,
    UpdatedLeaf,
    WorkflowLeaf,
)

T = TypeVar("T")


Fold: TypeAlias = Callable[[int, Facts], T]
Predicate: TypeAlias = Callable[[int, Facts], bool]


class Algebra(Protocol[T]):
    """What becomes of the answers of a filter's parts."""

    def both(self, parts: list[Fold[T]]) -> Fold[T]:
        """Of AND."""

    def either(self, parts: list[Fold[T]]) -> Fold[T]:
        """Of OR."""

    def neither(self, part: Fold[T]) -> Fold[T]:
        """Of NOT."""

    def leaf(self, leaf: Leaf, met: Predicate) -> Fold[T]:
        """Of a leaf, which `met` answers."""

    def associated(
        self, leaf: AssociatedLeaf, met: Callable[[Predicate], Predicate], nested: Fold[T] | None
    ) -> Fold[T]:
        """Of an associated leaf, which `met` answers, given what answers the nested filter for one record."""


def fold(filter_: Filter, now: datetime, algebra: Algebra[T]) -> Fold[T]:
    """What `algebra` makes of a filter at `now`, for a visible record and facts that hold what the filter asks for."""
    match filter_:
        case And(parts):
            return algebra.both([fold(part, now, algebra) for part in parts])
        case Or(parts):
            return algebra.either([fold(part, now, algebra) for part in parts])
        case Not(part):
            return algebra.neither(fold(part, now, algebra))
        case PropertyLeaf():
            return algebra.leaf(filter_, _property(filter_, now))
        case AssociatedLeaf(where=where):
            nested = None if where is None else fold(where, now, algebra)
            return algebra.associated(filter_, partial(_associated, filter_), nested)
        case HistoryLeaf() | UpdatedLeaf() | SourceLeaf() | SegmentLeaf() | WorkflowLeaf():
            return algebra.leaf(filter_, beside.predicate(filter_, now))
        case EventLeaf():
            return algebra.leaf(filter_, _event(filter_, now))
        case _:
            assert_never(filter_)


# Types of properties of which the values are texts.
TEXTS = frozenset({"STRING", "PHONE", "DATE", "DATETIME", "ENUMERATION"})


class _Truth:
    """The algebra of plain answers; what decides early looks no further."""

    def both(self, parts: list[Predicate]) -> Predicate:
        if len(parts) == 2:
            # Most have two; a generator would cost more than what it asks.
            one, other = parts
            return lambda record_id, facts: one(record_id, facts) and other(record_id, facts)
        return lambda record_id, facts: all(part(record_id, facts) for part in parts)

    def either(self, parts: list[Predicate]) -> Predicate:
        if len(parts) == 2:
            one, other = parts
            return lambda record_id, facts: one(record_id, facts) or other(record_id, facts)
        return lambda record_id, facts: any(part(record_id, facts) for part in parts)

    def neither(self, part: Predicate) -> Predicate:
        return lambda record_id, facts: not part(record_id, facts)

    def leaf(self, leaf: Leaf, met: Predicate) -> Predicate:
        return met

    def associated(
        self, leaf: AssociatedLeaf, met: Callable[[Predicate], Predicate], nested: Predicate | None
    ) -> Predicate:
        return met(everyone if nested is None else Once(nested))


def everyone(_record_id: int, _facts: Facts) -> bool:
    """What answers for associated records of which nothing is asked."""
    return True


@dataclass(frozen=True, eq=False, slots=True)
class Once(Generic[T]):
    """A fold that looks at each record once."""

    inner: Fold[T]

    def __call__(self, record_id: int, facts: Facts) -> T:
        answers = facts.answers[self]
        if record_id not in answers:
            answers[record_id] = self.inner(record_id, facts)
        found: T = answers[record_id]
        return found


def predicate(filter_: Filter, now: datetime) -> Predicate:
    """A function that says whether a visible record meets `filter_` at `now`."""
    return fold(_cheap_first(filter_), now, _Truth())


def _cheap_first(filter_: Filter) -> Filter:
    """The same filter; what the record itself tells stands before what takes a look at others."""
    match filter_:
        case And(parts):
            return And(tuple(sorted(map(_cheap_first, parts), key=_cost)))
        case Or(parts):
            return Or(tuple(sorted(map(_cheap_first, parts), key=_cost)))
        case Not(part):
            return Not(_cheap_first(part))
        case AssociatedLeaf(where=where) if where is not None:
            return replace(filter_, where=_cheap_first(where))
        case _:
            return filter_


def _cost(filter_: Filter) -> int:
    match filter_:
        case And(parts) | Or(parts):
            return max(map(_cost, parts), default=0)
        case Not(part):
            return _cost(part)
        case AssociatedLeaf():
            return 1
        case _:
            return 0


def reader(prop: Property) -> Callable[[int, Facts], Any]:
    """A function that reads a property's value, or one of the record's own moments as properties hold them."""
    column = prop.column
    if column is None:
        if prop.type in TEXTS and not prop.multiple:
            # As `value` reads it, without asking each time what type it is of.
            name = prop.name

            def stored(record_id: int, facts: Facts) -> str | None:
                found = facts.records[record_id].get(name)
                return found if isinstance(found, str) else None

            return stored
        return lambda record_id, facts: value(prop, facts.records[record_id])

    def moment(record_id: int, facts: Facts) -> str | None:
        at = facts.columns[record_id][column]
        return None if at is None else text(at)

    return moment


def occurrences(leaf: EventLeaf, now: datetime) -> events.Occurrences:
    """A function that finds those of a record's events that a leaf regards at `now`."""
    return events.Occurrences(leaf, now, None if leaf.where is None else predicate(leaf.where, now))


def _event(leaf: EventLeaf, now: datetime) -> Predicate:
    regarded = occurrences(leaf, now)
    return lambda record_id, facts: events.decides(leaf, len(regarded(record_id, facts)))


def _property(leaf: PropertyLeaf, now: datetime) -> Predicate:
    empty, negated, read = leaf.include_empty, leaf.negated, reader(leaf.property)
    if isinstance(leaf.test, ComparedWith):
        return _pair(leaf, leaf.test)
    holds = test(leaf.property, leaf.test, now)

    def met(record_id: int, facts: Facts) -> bool:
        found = read(record_id, facts)
        return empty if found is None else holds(found) is not negated

    return met


def _pair(leaf: PropertyLeaf, with_: ComparedWith) -> Predicate:
    compared, one, other = pair(leaf.property, with_), reader(leaf.property), reader(with_.other)

    def met(record_id: int, facts: Facts) -> bool:
        mine, beside = one(record_id, facts), other(record_id, facts)
        answer = None if mine is None or beside is None else compared(mine, beside)
        return leaf.include_empty if answer is None else answer is not leaf.negated

    return met


def _associated(leaf: AssociatedLeaf, nested: Predicate) -> Predicate:
    reach, empty = leaf.reach, leaf.include_empty
    some = _reaching(leaf, nested)
    match leaf.quantifier:
        case Quantifier.ANY:
            met = some
        case Quantifier.ALL:
            met = _all(leaf, nested)
        case Quantifier.NONE:
            return lambda record_id, facts: not some(record_id, facts)
        case Quantifier.COUNT:
            met = _count(leaf, nested)
        case _:
            assert_never(leaf.quantifier)
    return lambda record_id, facts: met(record_id, facts) if facts.ever(record_id, reach) else empty


def _reaching(leaf: AssociatedLeaf, nested: Predicate) -> Predicate:
    reach = leaf.reach
    if counted(leaf):
        return lambda record_id, facts: facts.now(record_id, reach)
    return lambda record_id, facts: any(nested(other, facts) for other in facts.reached(record_id, reach))


def _all(leaf: AssociatedLeaf, nested: Predicate) -> Predicate:
    if counted(leaf):
        return _reaching(leaf, nested)
    reach = leaf.reach

    def met(record_id: int, facts: Facts) -> bool:
        others = list(facts.reached(record_id, reach))
        return bool(others) and all(nested(other, facts) for other in others)

    return met


def _count(leaf: AssociatedLeaf, nested: Predicate) -> Predicate:
    reach = leaf.reach
    compare, limit = COMPARE[leaf.comparison], leaf.count
    if counted(leaf):
        (type_id,) = reach.type_ids
        return lambda record_id, facts: compare(facts.counts[record_id, type_id], limit)
    return lambda record_id, facts: compare(
        sum(nested(other, facts) for other in facts.reached(record_id, reach)), limit
    )


def counted(leaf: AssociatedLeaf) -> bool:
    """Whether counters alone answer a leaf, so that no neighbours need be looked at."""
    if leaf.where is not None or leaf.reach.only:
        return False
    return leaf.quantifier is not Quantifier.COUNT or len(leaf.reach.type_ids) == 1
