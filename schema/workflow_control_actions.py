"""Branches, delays and jumps, as clients write them."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import strawberry

from engine.workflows.definition.parts import OnError, Weekday
from schema.filters import FilterInput
from schema.scalars import JSON
from schema.workflow_parts import (
    ACTION_ID,
    ON_ERROR,
    DurationInput,
    OneAssociatedInput,
)
from schema.workflow_triggers import (
    AssociationChangedTriggerInput,
    EventOccurredTriggerInput,
    PropertyChangedTriggerInput,
    SegmentChangedTriggerInput,
    WebhookReceivedTriggerInput,
)

if TYPE_CHECKING:
    from schema.workflow_actions import ActionInput

Actions: TypeAlias = list[Annotated["ActionInput", strawberry.lazy("schema.workflow_actions")]]


@strawberry.input
class BranchPartInput:
    """One way of a branch."""

    where: FilterInput = strawberry.field(
        description="Whom it is for: the first way whose filter holds is gone."
    )
    actions: Actions = strawberry.field(default_factory=list, description="What is done on this way.")
    name: str | None = strawberry.field(default=None, description="What people call it.")


@strawberry.input
class BranchActionInput:
    """Goes one of several ways, by filters; all ways lead to the action behind the branch."""

    branches: list[BranchPartInput] = strawberry.field(description="The ways, in order; up to 20.")
    otherwise: Actions = strawberry.field(
        default_factory=list, description="What is done where none of the filters holds."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class ValueCaseInput:
    """The way for some values of a property."""

    values: list[JSON | None] = strawberry.field(description="These values; a null among them: no value.")
    actions: Actions = strawberry.field(default_factory=list, description="What is done on this way.")
    name: str | None = strawberry.field(default=None, description="What people call it.")


@strawberry.input
class ValueBranchActionInput:
    """Goes the way of a property's value; all ways lead to the action behind the branch."""

    property: str = strawberry.field(description="The internal name of the property.")
    cases: list[ValueCaseInput] = strawberry.field(description="The ways; up to 250 values in all.")
    otherwise: Actions = strawberry.field(
        default_factory=list, description="What is done for any other value."
    )
    of: OneAssociatedInput | None = strawberry.field(
        default=None, description="The property of this associated record; null: of the enrolled one."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class UntilTimeInput:
    """The next time that the clock shows a time of day."""

    at: str = strawberry.field(description='The time of day in the account\'s time zone, such as "09:00".')
    weekdays: list[Weekday] = strawberry.field(
        default_factory=list, description="Only on these days; none named: on any."
    )


@strawberry.input
class UntilPropertyInput:
    """The moment in a date property. Without a value, or where it is past, nothing is waited for."""

    property: str = strawberry.field(description="The date property of the enrolled record.")
    offset: DurationInput | None = strawberry.field(
        default=None, description="So much later; negative: earlier."
    )
    at: str = strawberry.field(
        default="09:00", description="Of a date: the time of day in the account's time zone."
    )


@strawberry.input(one_of=True)
class WaitedForInput:
    """What is waited for. Exactly one field is given."""

    property_changed: PropertyChangedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="A property of the enrolled record changes."
    )
    association_changed: AssociationChangedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="An association or a label of it is added or removed."
    )
    segment_changed: SegmentChangedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="It joins or leaves a segment."
    )
    event_occurred: EventOccurredTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="An event is recorded for it."
    )
    webhook_received: WebhookReceivedTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="A webhook event's delivery matches it."
    )


@strawberry.input
class UntilEventInput:
    """An event, or a time-out."""

    event: WaitedForInput = strawberry.field(description="What is waited for.")
    timeout: DurationInput = strawberry.field(description="How long.")
    timed_out: Actions = strawberry.field(
        default_factory=list, description="What is done where the time runs out first."
    )


@strawberry.input
class DelayActionInput:
    """Waits: for a duration, or until a moment, a date, a time of day or an event. Exactly one of them is given."""

    duration: DurationInput | None = strawberry.field(default=None, description="So long.")
    until: str | None = strawberry.field(
        default=None, description="Until this moment, in ISO 8601 with an offset."
    )
    until_property: UntilPropertyInput | None = strawberry.field(
        default=None, description="Until the moment in a date property."
    )
    until_time: UntilTimeInput | None = strawberry.field(default=None, description="Until a time of day.")
    until_event: UntilEventInput | None = strawberry.field(
        default=None, description="Until an event, or a time-out."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class GoToActionInput:
    """Goes on with another action of the workflow."""

    action: str = strawberry.field(description="The id of that action.")
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class EndActionInput:
    """Ends the enrollment as completed."""

    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)
