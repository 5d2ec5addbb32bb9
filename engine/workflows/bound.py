"""Triggers as they run: with what they name, what they listen to, and whether a change is what they wait for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any, TypeAlias, assert_never

from engine.evaluation.listening import ASSOCIATION, EVENT, IMPORT, PROPERTY, RECORD, SEGMENT, VALUE
from engine.workflows.definition.parts import Duration, Where
from engine.workflows.definition.triggers import Schedule
from storage.catalogue import EventTypeRow, PropertyRow
from storage.changes import ChangeKind, QueuedChange
from storage.filters.tree import Filter
from storage.listeners import Ref


@dataclass(frozen=True, slots=True)
class Met:
    """`FilterMet`: it holds, or not, whenever it is looked at."""

    own: Filter
    where: Where


@dataclass(frozen=True, slots=True)
class Event:
    """What the kinds have in common that occur with a change, at a time or by a call, rather than hold.

    `own` is what the enrolled record must be like then, as `where` describes it.
    """

    own: Filter | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Created(Event):
    """`RecordCreated`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(Event):
    """`PropertyChanged`: `values` in their stored form, None among them for "cleared"."""

    property: PropertyRow
    values: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked(Event):
    """`AssociationChanged`: under one of `type_ids` something came or went; `other` is about the other record."""

    kind: ChangeKind
    type_ids: frozenset[int]
    to_object_type_id: int
    other: Filter | None = None
    other_where: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved(Event):
    """`SegmentChanged`."""

    kind: ChangeKind
    segment_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened(Event):
    """`EventOccurred` or `WebhookReceived`: `event` is about the event's properties."""

    type: EventTypeRow
    event: Filter | None = None
    event_where: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported(Event):
    """`ImportFinished`: this import, or any."""

    import_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled(Event):
    """`Schedule`."""

    schedule: Schedule
    at: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated(Event):
    """`DateReached`."""

    property: PropertyRow
    offset: Duration | None
    at: time


@dataclass(frozen=True, slots=True)
class ByHand(Event):
    """`Manual`: it never occurs by itself."""


Bound: TypeAlias = Met | Created | Changed | Linked | Moved | Happened | Imported | Scheduled | Dated | ByHand


def refs(bound: Bound, object_type_id: int) -> Iterator[Ref]:
    """What a trigger that is no filter has to hear of; filters' references are `engine.evaluation.listening.refs`."""
    match bound:
        case Met() | Scheduled() | ByHand():
            return
        case Created():
            yield Ref(RECORD, object_type_id, ())
        case Changed(property=prop, values=values):
            yield Ref(RECORD, object_type_id, ())
            yield Ref(PROPERTY, prop.id, ())
            if values is not None:
                yield Ref(VALUE, prop.id, ())
        case Linked(type_ids=type_ids):
            yield from (Ref(ASSOCIATION, type_id, ()) for type_id in type_ids)
        case Moved(segment_id=segment_id):
            yield Ref(SEGMENT, segment_id, ())
        case Happened(type=type_):
            yield Ref(EVENT, type_.id, ())
        case Imported():
            yield Ref(IMPORT, object_type_id, ())
        case Dated(property=prop):
            yield Ref(RECORD, object_type_id, ())
            yield Ref(PROPERTY, prop.id, ())
        case _:
            assert_never(bound)


def occurs(bound: Bound, change: QueuedChange) -> tuple[int, ...] | None:
    """Whether a change of a record is what a trigger waits for: None where it is not. Pure.

    What else must be looked at comes as numbers: the other ends of the associations, or the event.
    """
    match bound:
        case Created():
            return () if change.kind is ChangeKind.CREATED else None
        case Changed(property=prop, values=values):
            return () if _became(prop, values, change) else None
        case Linked(kind=kind, type_ids=type_ids) if change.kind is kind:
            pairs = zip(change.type_ids, change.other_ids, strict=True)
            others = {other for type_id, other in pairs if type_id in type_ids}
            return tuple(sorted(others)) or None
        case Moved(kind=kind, segment_id=segment_id) if change.kind is kind:
            return () if segment_id in change.type_ids else None
        case Happened(type=type_) if change.kind is ChangeKind.OCCURRED:
            return change.other_ids if type_.id in change.type_ids else None
        case _:
            return None


def _became(prop: PropertyRow, values: Sequence[Any] | None, change: QueuedChange) -> bool:
    # A record that is made with a value has changed from none to it.
    if change.kind not in (ChangeKind.CREATED, ChangeKind.UPDATED) or prop.name not in change.properties:
        return False
    if values is None:
        return True
    # What nobody watched when it was made came before the trigger was published.
    return prop.name in change.after and change.after[prop.name] in values
