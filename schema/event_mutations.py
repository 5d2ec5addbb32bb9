"""Event types are made and changed; events are recorded."""

from datetime import datetime
from typing import Any

import strawberry

from engine.access import Scope
from engine.batches import Mode
from engine.events.types import EventProperty
from engine.properties import Option
from resolvers import event_types as work
from resolvers.batches import Batch
from resolvers.event_types import New
from schema.access import Requires
from schema.batches import done
from schema.context import Info
from schema.errors import UserError, told
from schema.event_types import EventType, RecordEvent
from schema.properties import PropertyType
from schema.property_mutations import PropertyOptionInput, keep
from schema.record_queries import UniqueInput
from schema.scalars import JSON
from storage.catalogue import EventTypeRow


@strawberry.input
class EventPropertyInput:
    """A property that events of a type are to have."""

    name: str = strawberry.field(description="The internal name: a-z, 0-9 and _; it never changes.")
    type: PropertyType = strawberry.field(description="What values it has; this never changes.")
    label: str | None = strawberry.field(default=None, description="What people read; null: the name.")
    multiple: bool = strawberry.field(
        default=False, description="Whether several options can be chosen at once."
    )
    options: list[PropertyOptionInput] | None = strawberry.field(
        default=None, description="The choices of an enumeration, in order."
    )

    def plain(self) -> EventProperty:
        """What it says, for the engine."""
        options = [Option(option.value, option.label) for option in self.options or ()]
        return EventProperty(self.name, self.type.value, self.label, self.multiple, options)


@strawberry.input
class CreateEventTypeInput:
    """A new kind of event."""

    name: str = strawberry.field(
        description="The internal name: a-z, 0-9 and _, beginning with a letter; it never changes."
    )
    label: str = strawberry.field(description="What people call it.")
    description: str | None = strawberry.field(default=None, description="What it means.")
    object_type: str | None = strawberry.field(
        default=None,
        description="The object type of the records that it can occur to; null: any. This never changes.",
    )
    properties: list[EventPropertyInput] = strawberry.field(
        default_factory=list, description="What its events can hold."
    )


@strawberry.input
class UpdateEventTypeInput:
    """What is to change of an event type; what is left out stays."""

    name: str = strawberry.field(description="The internal name of the event type.")
    label: str | None = strawberry.field(default=None, description="What people call it.")
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="What it means; null takes the description away."
    )
    properties: list[EventPropertyInput] | None = strawberry.field(
        default=None, description="All that its events can hold; what is missing is archived."
    )


@strawberry.input
class ArchiveEventTypeInput:
    """An event type to put away."""

    name: str = strawberry.field(description="The internal name of the event type.")


@strawberry.type
class EventTypePayload:
    """An event type after a change."""

    event_type: EventType | None = strawberry.field(description="The event type as it is now.")
    user_errors: list[UserError]


@strawberry.input
class ByUniqueInput(UniqueInput):
    """A unique property of an object type, and a value of it."""

    object_type: str = strawberry.field(
        description='The internal name of an object type, such as "contacts".'
    )


@strawberry.input(one_of=True)
class EventRecordInput:
    """The record that an event occurred to, by its id or by a unique value. Exactly one field is given."""

    id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Its id; one that was merged away is its survivor."
    )
    by: ByUniqueInput | None = strawberry.field(default=strawberry.UNSET, description="A unique value of it.")


@strawberry.input
class NewEventInput:
    """An event to record."""

    type: str = strawberry.field(description='The internal name of an event type, such as "page_viewed".')
    record: EventRecordInput = strawberry.field(description="The record that it occurred to.")
    properties: JSON | None = strawberry.field(
        default=None, description='Values by property name, such as {"url": "/pricing"}.'
    )
    occurred_at: datetime | None = strawberry.field(
        default=None, description="When it occurred; null: now. The future is refused."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="A text of your choice: the same key twice records the event once and answers the same.",
    )


@strawberry.input
class RecordEventsInput:
    """Events to record, at most 1,000."""

    events: list[NewEventInput] = strawberry.field(description="The events.")
    mode: Mode = strawberry.field(
        default=Mode.PER_ITEM, description="What one event's problem means for the others."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="A text of your choice: the same key twice does the work once and answers the same.",
    )


@strawberry.type
class RecordEventResult:
    """What became of one event of a batch."""

    number: strawberry.Private[int | None]
    recorded: bool = strawberry.field(
        description="Whether this input recorded it; false where its key had done so before."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with it; paths start at the input."
    )

    @strawberry.field
    async def event(self, info: Info) -> RecordEvent | None:
        """The event; null where nothing was recorded."""
        row = None if self.number is None else await work.by_id(info.context, self.number)
        return None if row is None else RecordEvent.of(info.context, row)


@strawberry.type
class RecordEventsPayload:
    """What became of a batch of events."""

    results: list[RecordEventResult] = strawberry.field(description="One for each input, in the same order.")
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong, with the request or with any of its events; empty when all went well."
    )


@strawberry.type
class EventMutation:
    """Changes of event types, and events."""

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def create_event_type(self, info: Info, input: CreateEventTypeInput) -> EventTypePayload:
        """Add a kind of event."""
        made = work.create(
            info.context,
            name=input.name,
            label=input.label,
            description=input.description,
            object_type=input.object_type,
            properties=[one.plain() for one in input.properties],
        )
        return _payload(info, *await told(made))

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def update_event_type(self, info: Info, input: UpdateEventTypeInput) -> EventTypePayload:
        """Change texts and properties of an event type of the account's own."""
        changed = work.update(
            info.context,
            input.name,
            label=input.label,
            description=keep(input.description),
            properties=None if input.properties is None else [one.plain() for one in input.properties],
        )
        return _payload(info, *await told(changed))

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def archive_event_type(self, info: Info, input: ArchiveEventTypeInput) -> EventTypePayload:
        """Put an event type away: nothing of it is recorded any more; its events stay, and its name stays taken."""
        return _payload(info, *await told(work.archive(info.context, input.name)))

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def record_events(self, info: Info, input: RecordEventsInput) -> RecordEventsPayload:
        """Record what occurred to records; filters, segments and workflows follow at once."""
        batch = Batch("recordEvents", [_new(one) for one in input.events], input.mode, input.idempotency_key)
        found = await done(work.record(info.context, batch), len(input.events), "events")
        results = [
            RecordEventResult(
                number=value and value["id"], recorded=bool(value and value["recorded"]), user_errors=errors
            )
            for value, errors in zip(found.values, found.errors, strict=True)
        ]
        return RecordEventsPayload(results=results, user_errors=found.user_errors)


def _new(given: NewEventInput) -> New:
    by: dict[str, Any] | None = None
    if given.record.by:
        unique = given.record.by
        by = {"objectType": unique.object_type, "property": unique.property, "value": unique.value}
    return New(
        given.type,
        given.record.id or None,
        by,
        given.properties,
        given.occurred_at,
        given.idempotency_key,
    )


def _payload(info: Info, row: EventTypeRow | None, errors: list[UserError]) -> EventTypePayload:
    found = None if row is None else EventType.of(info.context, row)
    return EventTypePayload(event_type=found, user_errors=errors)
