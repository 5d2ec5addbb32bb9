"""Triggers bound to the account's definitions: everything that they name is there, and fits."""

from collections.abc import Sequence
from datetime import time
from typing import Any, assert_never

from engine import filters, ids
from engine.events.problems import EventOfAnotherType, UnknownEventType
from engine.filters.problems import SegmentOfAnotherType, UnknownLabel, UnknownSegment
from engine.problems import NotFound, Problem, UnknownObjectType, at
from engine.values import normalize, tidy
from engine.workflows import moments
from engine.workflows.bound import (
    Bound,
    ByHand,
    Changed,
    Created,
    Dated,
    Happened,
    Imported,
    Linked,
    Met,
    Moved,
    Scheduled,
)
from engine.workflows.definition.parts import Direction, Membership, Span, Where
from engine.workflows.definition.triggers import (
    AssociationChanged,
    DateReached,
    EventOccurred,
    FilterMet,
    ImportFinished,
    Manual,
    PropertyChanged,
    RecordCreated,
    Schedule,
    SegmentChanged,
    Trigger,
    WebhookReceived,
)
from storage.catalogue import AssociationTypeRow, Catalogue, EventTypeRow, ObjectTypeRow, PropertyRow
from storage.changes import ChangeKind
from storage.filters.tree import Filter


class ScheduleUnclear(Problem):
    """A schedule repeats every {every}: {reason}."""


class NoValues(Problem):
    """A trigger that waits for some {what} needs at least one; leave the list out for any."""


class NotDateProperty(Problem):
    """The property "{property}" of {object_type} holds no dates: nothing can be reached there."""


def bind(  # noqa: C901 - one case a kind
    trigger: Trigger, object_type: ObjectTypeRow, catalogue: Catalogue
) -> Bound:
    """A trigger with what it names; raises `Problem` or `Refused` where that is not there or does not fit."""
    match trigger:
        case FilterMet(where):
            own = bind_where(where, object_type, catalogue)
            assert own is not None  # it has a filter
            return Met(own, where)
        case RecordCreated(where):
            return Created(bind_where(where, object_type, catalogue), where)
        case PropertyChanged(name, values, where):
            prop = _property(name, object_type)
            return Changed(
                bind_where(where, object_type, catalogue), where, property=prop, values=_values(prop, values)
            )
        case AssociationChanged():
            return _linked(trigger, object_type, catalogue)
        case SegmentChanged(segment, change, where):
            kind = ChangeKind.SEGMENT_JOINED if change is Membership.JOINED else ChangeKind.SEGMENT_LEFT
            number = _segment(segment, object_type, catalogue)
            return Moved(bind_where(where, object_type, catalogue), where, kind=kind, segment_id=number)
        case EventOccurred(type_):
            found = catalogue.event_type(type_)
            if found is None:
                raise UnknownEventType(name=tidy(type_), path=("type",))
            return _happened(trigger, found, "type", object_type, catalogue)
        case WebhookReceived(webhook):
            return _happened(trigger, _webhook(webhook, catalogue), "webhook", object_type, catalogue)
        case ImportFinished(import_, where):
            number_of = None if import_ is None else ids.decode_at("import", import_, "import")
            return Imported(bind_where(where, object_type, catalogue), where, import_id=number_of)
        case Schedule():
            _check_schedule(trigger)
            own = bind_where(trigger.where, object_type, catalogue)
            return Scheduled(own, trigger.where, schedule=trigger, at=_time(trigger.at))
        case DateReached():
            return _dated(trigger, object_type, catalogue)
        case Manual():
            return ByHand()
        case _:
            assert_never(trigger)


def bind_where(
    where: Where | None, object_type: ObjectTypeRow, catalogue: Catalogue, key: str = "where"
) -> Filter | None:
    """A filter on records of `object_type`, where there is one; raises `Refused`, with paths that begin at `key`."""
    if where is None:
        return None
    with at(key):
        return filters.bind(where, object_type, catalogue)


# --- what there is, and fits --------------------------------------------------------------------------------


def _property(name: str, object_type: ObjectTypeRow) -> PropertyRow:
    prop = object_type.live(name)
    if prop is None:
        raise NotFound(kind=f"property of {object_type.name}", name=tidy(name), path=("property",))
    return prop


def _values(prop: PropertyRow, values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    if values is None:
        return None
    if not values:
        raise NoValues(what="values", path=("values",))
    found = []
    for n, value in enumerate(values):
        try:
            found.append(None if value is None else normalize(prop, value))
        except Problem as problem:
            problem.path = ("values", n)
            raise
    return tuple(found)


def _linked(trigger: AssociationChanged, object_type: ObjectTypeRow, catalogue: Catalogue) -> Linked:
    to = catalogue.by_name.get(trigger.to)
    if to is None:
        raise UnknownObjectType(name=tidy(trigger.to), path=("to",))
    added = trigger.change is Direction.ADDED
    return Linked(
        bind_where(trigger.own_where, object_type, catalogue, "ownWhere"),
        trigger.own_where,
        kind=ChangeKind.ASSOCIATED if added else ChangeKind.DISSOCIATED,
        type_ids=frozenset(row.id for row in _types(trigger.labels, object_type, to, catalogue)),
        to_object_type_id=to.id,
        other=bind_where(trigger.where, to, catalogue),
        other_where=trigger.where,
    )


def _types(
    labels: Sequence[str] | None, object_type: ObjectTypeRow, to: ObjectTypeRow, catalogue: Catalogue
) -> list[AssociationTypeRow]:
    """The labels, or the unlabelled type, which comes and goes with the association itself."""
    if labels is None:
        return [catalogue.unlabelled(object_type.id, to.id)]
    if not labels:
        raise NoValues(what="labels", path=("labels",))
    found = []
    for n, name in enumerate(labels):
        row = catalogue.label(object_type.id, to.id, name)
        if row is None:
            known = sorted(
                one.name for one in catalogue.between(object_type.id, to.id) if one.name is not None
            )
            raise UnknownLabel(
                label=tidy(name),
                object_type=object_type.name,
                to=to.name,
                known=known or "none",
                path=("labels", n),
            )
        found.append(row)
    return found


def _segment(text: str, object_type: ObjectTypeRow, catalogue: Catalogue) -> int:
    number = ids.decode_at("segment", text, "segment")
    found = catalogue.segments.get(number)
    if found is None:
        raise UnknownSegment(segment=tidy(text), path=("segment",))
    if found.object_type_id != object_type.id:
        of = catalogue.object_types[found.object_type_id].name
        raise SegmentOfAnotherType(segment=found.name, of=of, object_type=object_type.name, path=("segment",))
    return number


def _webhook(text: str, catalogue: Catalogue) -> EventTypeRow:
    number = ids.decode_at("webhook", text, "webhook")
    types = (row for row in catalogue.event_types.values() if row.webhook_id == number)
    found = next((row for row in types if row.archived_at is None), None)
    if found is None:
        raise NotFound(kind="webhook", name=tidy(text), path=("webhook",))
    return found


def _happened(
    trigger: EventOccurred | WebhookReceived,
    found: EventTypeRow,
    key: str,
    object_type: ObjectTypeRow,
    catalogue: Catalogue,
) -> Happened:
    if found.object_type_id not in (None, object_type.id):
        raise EventOfAnotherType(
            event_type=found.name,
            of=catalogue.object_types[found.object_type_id].name,
            object_type=object_type.name,
            path=(key,),
        )
    event = None
    if trigger.where is not None:
        with at("where"):
            event = filters.bind_of_event(trigger.where, found, catalogue)
    return Happened(
        bind_where(trigger.own_where, object_type, catalogue, "ownWhere"),
        trigger.own_where,
        type=found,
        event=event,
        event_where=trigger.where,
    )


def _check_schedule(schedule: Schedule) -> None:
    every = schedule.every
    if every not in (Span.DAY, Span.WEEK, Span.MONTH, Span.YEAR):
        raise ScheduleUnclear(
            every=every.lower(), reason="it may be every DAY, WEEK, MONTH or YEAR", path=("every",)
        )
    wanted = {
        "weekdays": (every is Span.WEEK, bool(schedule.weekdays)),
        "day": (every in (Span.MONTH, Span.YEAR), schedule.day is not None),
        "month": (every is Span.YEAR, schedule.month is not None),
    }
    for name, (needed, given) in wanted.items():
        if needed is not given:
            reason = f'it needs "{name}"' if needed else f'"{name}" does not go with that'
            raise ScheduleUnclear(every=every.lower(), reason=reason, path=(name,))
    for name, number, last in (("day", schedule.day, 31), ("month", schedule.month, 12)):
        if number is not None and not 1 <= number <= last:
            reason = f'"{name}" is a number from 1 to {last}, not {number}'
            raise ScheduleUnclear(every=every.lower(), reason=reason, path=(name,))


def _dated(trigger: DateReached, object_type: ObjectTypeRow, catalogue: Catalogue) -> Dated:
    prop = _property(trigger.property, object_type)
    if prop.type not in ("DATE", "DATETIME"):
        raise NotDateProperty(property=prop.name, object_type=object_type.name, path=("property",))
    if trigger.offset is not None:
        with at("offset"):
            moments.check_duration(trigger.offset, signed=True)
    own = bind_where(trigger.where, object_type, catalogue)
    return Dated(own, trigger.where, property=prop, offset=trigger.offset, at=_time(trigger.at))


def _time(text: str) -> time:
    with at("at"):
        return moments.time_of_day(text)
