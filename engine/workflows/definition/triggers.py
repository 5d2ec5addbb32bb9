"""What enrolls a record. See `engine.workflows.definition.values` for the habit that all fields follow."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.workflows.definition.parts import Direction, Duration, Membership, Span, Weekday, Where


@dataclass(frozen=True, slots=True)
class FilterMet:
    """After a change that concerns it, or as time goes by, a record meets a filter."""

    where: Where


@dataclass(frozen=True, slots=True)
class RecordCreated:
    """A record is made."""

    where: Where | None = None


@dataclass(frozen=True, slots=True)
class PropertyChanged:
    """A property of the record changes: to any value (None), or to one of `values` (a null among them: cleared)."""

    property: str
    values: tuple[Any, ...] | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class AssociationChanged:
    """An association (`labels` None) or one of these labels is added or removed. `where` is about the other record."""

    to: str
    change: Direction = Direction.ADDED
    labels: tuple[str, ...] | None = None
    where: Where | None = None
    own_where: Where | None = None


@dataclass(frozen=True, slots=True)
class SegmentChanged:
    """The record joins or leaves a segment of the workflow's object type."""

    segment: str
    change: Membership = Membership.JOINED
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class EventOccurred:
    """An event of a type, built in or custom, is recorded for the record. `where` is about the event's properties."""

    type: str
    where: Where | None = None
    own_where: Where | None = None


@dataclass(frozen=True, slots=True)
class WebhookReceived:
    """A webhook event's delivery matches the record. `where` is about what its mapping makes of the payload."""

    webhook: str
    where: Where | None = None
    own_where: Where | None = None


@dataclass(frozen=True, slots=True)
class ImportFinished:
    """An import (None: any) that made or changed the record has finished."""

    import_: str | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """At fixed times, in the account's time zone, all records that meet `where`.

    Daily; weekly on `weekdays`; monthly on `day` (past a month's end: on its last day); yearly on `day` of `month`.
    """

    every: Span
    at: str = "09:00"
    weekdays: tuple[Weekday, ...] = ()
    day: int | None = None
    month: int | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class DateReached:
    """The day (or moment) in a date property has come, `offset` added to it; for a date, `at` in the account's zone."""

    property: str
    offset: Duration | None = None
    at: str = "09:00"
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Manual:
    """Nothing but a call, or another workflow's action. `note` tells readers who is expected to call."""

    note: str | None = None


Trigger: TypeAlias = (
    FilterMet
    | RecordCreated
    | PropertyChanged
    | AssociationChanged
    | SegmentChanged
    | EventOccurred
    | WebhookReceived
    | ImportFinished
    | Schedule
    | DateReached
    | Manual
)
