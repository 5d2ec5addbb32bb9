"""What enrolls a record, as clients write it and read it.

The fields are those of `engine.workflows.definition.triggers`; a test holds the two together.
"""

from typing import Annotated, Any, Union

import strawberry

from engine.workflows.definition.parts import Direction, Membership, Span, Weekday
from schema.filters import FilterInput
from schema.mirrored import mirrored, union
from schema.scalars import JSON
from schema.workflow_parts import DurationInput

OWN = "Only if the enrolled record meets this."
AT = 'The time of day in the account\'s time zone, such as "09:00".'


@strawberry.input
class FilterMetTriggerInput:
    """Enrolls a record when it meets a filter."""

    where: FilterInput = strawberry.field(description="What the record must be like.")


@strawberry.input
class RecordCreatedTriggerInput:
    """Enrolls a record that is made."""

    where: FilterInput | None = strawberry.field(default=None, description=OWN)


@strawberry.input
class PropertyChangedTriggerInput:
    """Enrolls a record of which a property changes."""

    property: str = strawberry.field(description="The internal name of the property.")
    values: list[JSON | None] | None = strawberry.field(
        default=None, description="To one of these, a null among them meaning cleared; null: to whatever."
    )
    where: FilterInput | None = strawberry.field(default=None, description=OWN)


@strawberry.input
class AssociationChangedTriggerInput:
    """Enrolls a record of which an association or a label is added or removed."""

    to: str = strawberry.field(description="The object type of the other record.")
    change: Direction = strawberry.field(default=Direction.ADDED, description="Whether it came or went.")
    labels: list[str] | None = strawberry.field(
        default=None, description="One of these labels, by internal names; null: the association itself."
    )
    where: FilterInput | None = strawberry.field(
        default=None, description="Only if the other record meets this."
    )
    own_where: FilterInput | None = strawberry.field(default=None, description=OWN)


@strawberry.input
class SegmentChangedTriggerInput:
    """Enrolls a record that joins or leaves a segment."""

    segment: strawberry.ID = strawberry.field(description="The segment, of the workflow's object type.")
    change: Membership = strawberry.field(
        default=Membership.JOINED, description="Whether the record came or left."
    )
    where: FilterInput | None = strawberry.field(default=None, description=OWN)


@strawberry.input
class EventOccurredTriggerInput:
    """Enrolls a record for which an event is recorded."""

    type: str = strawberry.field(description='The event type\'s internal name, such as "form_submitted".')
    where: FilterInput | None = strawberry.field(
        default=None, description="Only if the event's properties meet this: property conditions alone."
    )
    own_where: FilterInput | None = strawberry.field(default=None, description=OWN)


@strawberry.input
class WebhookReceivedTriggerInput:
    """Enrolls the record that a webhook event's delivery matches."""

    webhook: strawberry.ID = strawberry.field(description="The webhook event.")
    where: FilterInput | None = strawberry.field(
        default=None, description="Only if the mapped fields meet this: property conditions alone."
    )
    own_where: FilterInput | None = strawberry.field(default=None, description=OWN)


@strawberry.input
class ImportFinishedTriggerInput:
    """Enrolls the records that an import made or changed, once it has finished."""

    import_: strawberry.ID | None = strawberry.field(
        name="import", default=None, description="This import; null: any."
    )
    where: FilterInput | None = strawberry.field(default=None, description=OWN)


@strawberry.input
class ScheduleTriggerInput:
    """Enrolls, at fixed times, all records that meet a filter."""

    every: Span = strawberry.field(description="DAY, WEEK, MONTH or YEAR.")
    at: str = strawberry.field(default="09:00", description=AT)
    weekdays: list[Weekday] = strawberry.field(default_factory=list, description="Of WEEK: on these days.")
    day: int | None = strawberry.field(
        default=None, description="Of MONTH and YEAR: the day of the month; beyond its end: the last one."
    )
    month: int | None = strawberry.field(default=None, description="Of YEAR: the month, from 1.")
    where: FilterInput | None = strawberry.field(default=None, description="Whom; null: all records.")


@strawberry.input
class DateReachedTriggerInput:
    """Enrolls a record when the day or moment in one of its properties has come."""

    property: str = strawberry.field(description="The date property.")
    offset: DurationInput | None = strawberry.field(
        default=None, description="So much later; negative: earlier."
    )
    at: str = strawberry.field(default="09:00", description=f"Of a date: {AT[0].lower()}{AT[1:]}")
    where: FilterInput | None = strawberry.field(default=None, description=OWN)


@strawberry.input
class ManualTriggerInput:
    """Enrolls nobody by itself: calls and other workflows do."""

    note: str | None = strawberry.field(default=None, description="Who is expected to call it, for readers.")


@strawberry.input(one_of=True)
class TriggerInput:
    """What enrolls a record. Exactly one field is given."""

    filter_met: FilterMetTriggerInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="After a change that concerns it, or as time goes by, a record meets a filter.",
    )
    record_created: RecordCreatedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="A record is made."
    )
    property_changed: PropertyChangedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="A property changes."
    )
    association_changed: AssociationChangedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="An association or a label is added or removed."
    )
    segment_changed: SegmentChangedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="The record joins or leaves a segment."
    )
    event_occurred: EventOccurredTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="An event, built in or custom, is recorded."
    )
    webhook_received: WebhookReceivedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="A webhook event's delivery matches the record."
    )
    import_finished: ImportFinishedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="An import that made or changed the record has finished."
    )
    schedule: ScheduleTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="At fixed times."
    )
    date_reached: DateReachedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="A date in a property has come."
    )
    manual: ManualTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="Only by a call, or by another workflow."
    )


KINDS = (
    FilterMetTriggerInput,
    RecordCreatedTriggerInput,
    PropertyChangedTriggerInput,
    AssociationChangedTriggerInput,
    SegmentChangedTriggerInput,
    EventOccurredTriggerInput,
    WebhookReceivedTriggerInput,
    ImportFinishedTriggerInput,
    ScheduleTriggerInput,
    DateReachedTriggerInput,
    ManualTriggerInput,
)
mirrored(DurationInput, "Duration")
union(TriggerInput, "schema.workflow_triggers", "Trigger")
Trigger: Any = Annotated[
    Union[tuple(mirrored(kind, kind.__name__.removesuffix("Input")) for kind in KINDS)],  # noqa: UP007
    strawberry.union("Trigger", description="What enrolls a record."),
]
