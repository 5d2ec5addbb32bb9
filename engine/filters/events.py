"""The leaf on what occurred to a record: what a definition says of it, and what it means, in Python.

`{event: {type, negated, where, operator, count, within: {value, unit}, after, before}}`. It has no `includeEmpty`: a
record to which nothing occurred has a number of events, which is 0. `where` is about the event's own properties;
conditions on these have theirs, as everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from engine.events.problems import EventOfAnotherType, UnknownEventProperty, UnknownEventType
from engine.filters import operators
from engine.filters.associated import COMPARISONS
from engine.filters.binding import Binding, leaf_body, operator_at, text_at
from engine.filters.known import Facts, Occurrence
from engine.filters.moments import moment as span_of
from engine.filters.operators import COMPARING
from engine.filters.problems import MalformedLeaf, RangeReversed, UnknownOperator
from engine.filters.property import KEYS as PROPERTY_KEYS
from engine.filters.property import PROPERTY, bind_value
from engine.filters.relative import since as since_of
from engine.filters.testing import COMPARE
from engine.problems import at
from engine.values import shown, tidy
from storage.catalogue import EventTypeRow, ObjectTypeRow
from storage.event_types import property_row
from storage.filters.times import Edge, Form, moment, passing
from storage.filters.tree import Comparison, EventLeaf, Filter, Leaf, Property, PropertyLeaf

EVENT = "event"
KEYS = ("type", "negated", "where", "operator", "count", "within", "after", "before")
# What does not go with "did not occur", which takes a window of time alone.
OF_OCCURRENCES = ("where", "operator", "count")
LARGEST_COUNT = 1_000_000_000

Nested: TypeAlias = Callable[[Any, ObjectTypeRow], Filter]


# --- binding ------------------------------------------------------------------------------------------------


def bind_event(body: Any, object_type: ObjectTypeRow, binding: Binding, nested: Nested) -> EventLeaf:
    """The leaf that `body` describes, standing at records of `object_type`; `nested` binds the filter inside.

    Raises the problem of the leaf itself, at its path; `nested` notes its own.
    """
    given = leaf_body(EVENT, body, KEYS)
    type_ = _type(given, object_type, binding)
    negated = given.get("negated", False)
    if not isinstance(negated, bool):
        raise MalformedLeaf(reason='"negated" must be true or false', path=(EVENT, "negated"))
    if negated:
        for key in OF_OCCURRENCES:
            if key in given:
                reason = f'"{key}" is about events that occurred; where none did, only a window of time can be given'
                raise MalformedLeaf(reason=reason, path=(EVENT, key))
    where = None if given.get("where") is None else nested(given["where"], as_object_type(type_))
    comparison, count = _counting(given)
    since = _since(given, binding)
    after, before = _moment(given, "after", binding), _moment(given, "before", binding)
    if after is not None and before is not None and after >= before:
        path = (EVENT, "before")
        raise RangeReversed(low=shown(given["after"]), high=shown(given["before"]), path=path)
    return EventLeaf(type_.id, comparison, count, where, since, after, before, negated)


def bind_event_property(body: Any, event_type: ObjectTypeRow, binding: Binding) -> Leaf:
    """A condition on a property of an event."""
    given = leaf_body(PROPERTY, body, PROPERTY_KEYS)
    for key in ("name", "other"):
        name = given.get(key)
        if isinstance(name, str) and event_type.live(name) is None:
            known = [prop.name for prop in event_type.properties.values() if prop.archived_at is None]
            raise UnknownEventProperty(
                event_type=event_type.name, property=tidy(name), known=known or "none", path=(PROPERTY, key)
            )
    prop = event_type.properties[text_at(PROPERTY, given, "name")]
    reference = Property(0, 0, prop.name, prop.type, prop.multiple)
    # An event is what it was: its properties have no history.
    past = (*operators.EVER, *operators.EVER_CONTAINED, *operators.UPDATED)
    fitting = tuple(one for one in operators.fitting(prop) if one not in past)
    leaf = bind_value(given, prop, reference, fitting, event_type, binding)
    return replace(leaf, index=None) if isinstance(leaf, PropertyLeaf) else leaf


def _type(given: Mapping[str, Any], object_type: ObjectTypeRow, binding: Binding) -> EventTypeRow:
    name = text_at(EVENT, given, "type")
    found = binding.catalogue.event_type(name)
    if found is None:
        raise UnknownEventType(name=tidy(name), path=(EVENT, "type"))
    if found.object_type_id not in (None, object_type.id):
        raise EventOfAnotherType(
            event_type=found.name,
            of=binding.catalogue.object_types[found.object_type_id].name,
            object_type=object_type.name,
            path=(EVENT, "type"),
        )
    return found


def as_object_type(type_: EventTypeRow) -> ObjectTypeRow:
    """What events of a type can hold, as conditions on properties ask for it."""
    return ObjectTypeRow(
        0, type_.name, type_.label, type_.label, None, "EVENT", True, None, type_.created_at, type_.properties
    )


def _counting(given: Mapping[str, Any]) -> tuple[Comparison, int]:
    if "operator" not in given and "count" not in given:
        return Comparison.GREATER_OR_EQUAL, 1
    count = given.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= LARGEST_COUNT:
        reason = (
            f'"operator" needs "count", a whole number from 0 to {LARGEST_COUNT}, not {shown(count)}'
            if "operator" in given
            else f'"count" must be a whole number from 0 to {LARGEST_COUNT}, not {shown(count)}'
        )
        raise MalformedLeaf(reason=reason, path=(EVENT, "count"))
    if "operator" not in given:
        # So many times: no fewer.
        return Comparison.GREATER_OR_EQUAL, count
    operator = operator_at(EVENT, given, COMPARING)
    if operator not in COMPARISONS:
        raise UnknownOperator(
            operator=f"{operator} for a number of events", known=list(COMPARING), path=(EVENT, "operator")
        )
    return COMPARISONS[operator], count


def _since(given: Mapping[str, Any], binding: Binding) -> Edge | None:
    within = given.get("within")
    if within is None:
        return None
    if not isinstance(within, Mapping) or set(within) - {"value", "unit"}:
        reason = f'"within" holds a number of units, {{"value", "unit"}}, not {shown(within)}'
        raise MalformedLeaf(reason=reason, path=(EVENT, "within"))
    with at(EVENT):
        return since_of("within", within, binding.time_zone)


def _moment(given: Mapping[str, Any], key: str, binding: Binding) -> datetime | None:
    """After the last millisecond, or before the first, of what is given: a moment, or a day of the time zone."""
    value = given.get(key)
    if value is None:
        return None
    prop = property_row(key, key, "DATETIME")
    first, last = span_of(prop, (value, (EVENT, key)), binding.time_zone)
    return datetime.fromisoformat(last if key == "after" else first)


# --- meaning ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Which of a record's events a leaf regards at `now`, those in its window that meet `nested`, oldest first."""

    leaf: EventLeaf
    now: datetime
    nested: Callable[[int, Facts], bool] | None

    def __call__(self, record_id: int, facts: Facts) -> list[Occurrence]:
        leaf, since = self.leaf, None if self.leaf.since is None else moment(self.leaf.since, self.now)
        nested, inside = self.nested, facts.inside
        return [
            one
            for one in facts.occurred.get((record_id, leaf.event_type_id), ())
            if (since is None or one.at > since)
            and (leaf.after is None or one.at > leaf.after)
            and (leaf.before is None or one.at < leaf.before)
            and (nested is None or (inside is not None and nested(one.id, inside)))
        ]


def decides(leaf: EventLeaf, number: int) -> bool:
    """Whether a leaf holds with so many events."""
    if leaf.negated:
        return number == 0
    return bool(COMPARE[leaf.comparison](number, leaf.count))


def until(leaf: EventLeaf, regarded: list[Occurrence], now: datetime) -> datetime | None:
    """When enough events have left a window that moves with the clock for the answer to be another one."""
    if leaf.since is None:
        return None
    number = len(regarded)
    holds = decides(leaf, number)
    for gone, one in enumerate(regarded, 1):
        if decides(leaf, number - gone) is not holds:
            return passing(leaf.since, Form.MOMENT, one.at, beyond=False, now=now)
    return None
