"""A tree's shape, and its literal values apart: trees that differ only in these share one SQL text, and one plan."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import chain
from typing import Any, assert_never, cast

from storage.filters import events
from storage.filters.indexes import beyond, from_the_other_end, lead, lookup
from storage.filters.times import Edge, Form, Start, Timed, offsets
from storage.filters.tree import (
    And,
    AssociatedLeaf,
    Beside,
    Between,
    Bound,
    Chosen,
    Compared,
    ComparedWith,
    EventLeaf,
    Filter,
    HistoryLeaf,
    Holds,
    Known,
    Not,
    Offset,
    OneOf,
    Or,
    Place,
    Property,
    PropertyLeaf,
    Quantifier,
    Scalar,
    SegmentLeaf,
    SourceLeaf,
    Test,
    UpdatedLeaf,
    Within,
    WorkflowLeaf,
)

# --- shape and values ---------------------------------------------------------------------------------------


def shape(filter_: Filter) -> Filter:
    """The tree without its literal values; trees of one shape compile to one SQL text."""
    match filter_:
        case And(parts):
            return And(tuple(shape(part) for part in parts))
        case Or(parts):
            return Or(tuple(shape(part) for part in parts))
        case Not(part):
            return Not(shape(part))
        case PropertyLeaf():
            return replace(filter_, test=_test_shape(filter_.test))
        case AssociatedLeaf():
            where = None if filter_.where is None else shape(filter_.where)
            return replace(filter_, where=where, count=0)
        case HistoryLeaf():
            return replace(filter_, test=cast("OneOf | Holds | Chosen", _test_shape(filter_.test)))
        case UpdatedLeaf():
            return replace(filter_, since=_edge_shape(filter_.since))
        case SourceLeaf():
            return replace(filter_, sources=(), source_id=filter_.source_id and "")
        case WorkflowLeaf(statuses=statuses):
            return replace(filter_, statuses=statuses and ("",))
        case SegmentLeaf():
            return filter_
        case EventLeaf(where=where, since=since):
            return events.shape(filter_, where and shape(where), since and _edge_shape(since))
        case _:
            assert_never(filter_)


def _test_shape(test: Test) -> Test:
    match test:
        case Known():
            return test
        case ComparedWith(offset=offset):
            return replace(test, offset=offset and Offset())
        case Within(low, high):
            return Within(_bound_shape(low), _bound_shape(high))
        case OneOf(values):
            # One value is compared, several are looked up: two plans.
            return OneOf((0,) * min(len(values), 2))
        case Holds(place):
            # One may be looked up; several are passed over together.
            return Holds(place, ("",) * min(len(test.values), 2))
        case Chosen(choice):
            # As for OneOf.
            return Chosen(choice, ("",) * min(len(test.values), 2))
        case Compared(comparison):
            return Compared(comparison, 0)
        case Between():
            return Between(0, 0)
        case _:
            assert_never(test)


def _bound_shape(bound: Bound | None) -> Bound | None:
    return bound and replace(bound, edge=_edge_shape(bound.edge))


def _edge_shape(edge: Edge) -> Edge:
    return Start(edge.unit, 0, edge.time_zone) if isinstance(edge, Start) else replace(edge, amount=0)


def values(filter_: Filter) -> list[Any]:
    """The parameters of the tree's SQL, in the order in which `storage.filters.compile` adds them."""
    return list(_values(filter_))


def _values(filter_: Filter) -> Iterator[Any]:
    match filter_:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _values(part)
        case Not(part):
            yield from _values(part)
        case PropertyLeaf():
            yield from _leaf_values(filter_)
        case AssociatedLeaf():
            yield from _associated_values(filter_)
        case HistoryLeaf() | UpdatedLeaf() | SourceLeaf() | SegmentLeaf() | WorkflowLeaf():
            yield from _beside_values(filter_)
        case EventLeaf():
            yield from events.values(filter_, _values)
        case _:
            assert_never(filter_)


def _associated_values(leaf: AssociatedLeaf) -> Iterator[Any]:
    if leaf.where is not None:
        if from_the_other_end(leaf):
            yield from _far_values(leaf.where)
        yield from _values(leaf.where)
    if leaf.quantifier is Quantifier.COUNT:
        yield leaf.count


def _far_values(where: Filter) -> Iterator[Any]:
    begin, rest = lead(where)
    if isinstance(begin, AssociatedLeaf):
        assert begin.where is not None
        yield from _far_values(begin.where)
    else:
        for leaf in chain.from_iterable(begin):
            yield from looked_up(leaf)
    yield from _values(rest)


def looked_up(leaf: PropertyLeaf) -> tuple[Any, ...]:
    """The parameters of the condition on an index's rows."""
    wanted = lookup(leaf)
    if wanted is not None:
        return (wanted,)
    if isinstance(leaf.test, Holds):
        # A beginning, as a range of the index of values.
        (start,) = leaf.test.values
        return start, beyond(start)
    return parameters(leaf.property, leaf.test)


def _beside_values(leaf: Beside) -> Iterator[Any]:
    match leaf:
        case HistoryLeaf(prop, test):
            yield prop.name
            yield from parameters(prop, test)
        case UpdatedLeaf(prop, since):
            yield prop.name
            yield Timed(since, Form.MOMENT)
        case SourceLeaf(sources=sources, source_id=source_id):
            yield list(sources)
            if source_id is not None:
                yield source_id
        case WorkflowLeaf(statuses=statuses):
            if statuses:
                yield list(statuses)
        case SegmentLeaf():
            pass
        case _:
            assert_never(leaf)


def _leaf_values(leaf: PropertyLeaf) -> Iterator[Any]:
    if leaf.property.column is None:
        yield leaf.property.name
    if isinstance(leaf.test, ComparedWith):
        yield leaf.test.other.name
    yield from parameters(leaf.property, leaf.test)


def parameters(prop: Property, test: Test) -> tuple[Any, ...]:
    """The literal values of a test, in the form in which the driver takes them."""
    match test:
        case Known():
            return ()
        case ComparedWith(offset=offset, zone=zone):
            clocks = () if zone is None else tuple(map(list, offsets(zone)))
            return clocks if offset is None else (*clocks, offset.months, offset.days, offset.minutes)
        case Within(low, high):
            form = Form.DAY if prop.type == "DATE" else Form.TEXT
            return tuple(Timed(bound.edge, form) for bound in (low, high) if bound is not None)
        case OneOf((value,)):
            return (_parameter(prop, value),)
        case OneOf(given):
            return ([_parameter(prop, value) for value in given],)
        case Holds(place, texts):
            return ([_pattern(place, text) for text in texts],)
        case Chosen(_, chosen):
            return (list(chosen),)
        case Compared(_, value):
            return (_parameter(prop, value),)
        case Between(low_value, high_value):
            return _parameter(prop, low_value), _parameter(prop, high_value)
        case _:
            assert_never(test)


def _parameter(prop: Property, value: Scalar) -> Any:
    # Decimals of the shortest text of a number are what its JSON holds.
    return Decimal(str(value)) if prop.type == "NUMBER" else value


def _pattern(place: Place, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    match place:
        case Place.ANYWHERE:
            return f"%{escaped}%"
        case Place.START:
            return f"{escaped}%"
        case Place.END:
            return f"%{escaped}"
        case _:
            assert_never(place)
