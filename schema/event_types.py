"""Event types, and the events that occur to records."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from engine import ids
from engine.access import Scope
from engine.named import Named
from resolvers import event_types as reads
from resolvers.context import Context
from resolvers.event_types import Page
from resolvers.records import record as record_of
from schema.access import Requires
from schema.context import Info
from schema.nodes import PageInfo, page_info
from schema.properties import PropertyOption, PropertyType
from schema.scalars import JSON
from schema.uses import DefinitionUse, uses_of
from storage.catalogue import EventTypeRow, PropertyRow
from storage.record_events import RecordEventRow

if TYPE_CHECKING:
    from schema.records import Record


@strawberry.type
class EventPropertyDefinition:
    """What events of a type can hold."""

    name: str = strawberry.field(description="The internal name; it never changes.")
    label: str = strawberry.field(description="What people read.")
    type: PropertyType = strawberry.field(description="What values it has. It never changes.")
    multiple: bool = strawberry.field(description="Whether several options can be chosen at once.")
    options: list[PropertyOption] = strawberry.field(description="The choices of an enumeration.")
    archived: bool = strawberry.field(description="Whether it was put away: nothing new holds it.")

    @classmethod
    def of(cls, row: PropertyRow) -> "EventPropertyDefinition":
        """The property as clients see it."""
        return cls(
            name=row.name,
            label=row.label,
            type=PropertyType(row.type),
            multiple=row.multiple,
            options=[
                PropertyOption(
                    value=option["value"], label=option["label"], archived=bool(option.get("archived"))
                )
                for option in row.options
            ],
            archived=row.archived_at is not None,
        )


@strawberry.type
class EventType:
    """A kind of event that can occur to records."""

    row: strawberry.Private[EventTypeRow]
    name: str = strawberry.field(description='The internal name, such as "page_viewed"; it never changes.')
    label: str = strawberry.field(description="What people call it.")
    description: str | None = strawberry.field(description="What it means.")
    object_type: str | None = strawberry.field(
        description="The object type of the records that it can occur to; null: any."
    )
    built_in: bool = strawberry.field(description="Whether every account has it; it cannot be changed then.")
    webhook_id: strawberry.ID | None = strawberry.field(
        description="The webhook event that records it; null: everybody may."
    )
    archived_at: datetime | None = strawberry.field(
        description="When it was put away; null while it is in use."
    )

    @strawberry.field
    def properties(
        self,
        include_archived: Annotated[
            bool, strawberry.argument(description="Whether properties that were put away are listed, too.")
        ] = False,
    ) -> list[EventPropertyDefinition]:
        """What its events can hold."""
        return [
            EventPropertyDefinition.of(prop)
            for prop in self.row.properties.values()
            if include_archived or prop.archived_at is None
        ]

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def uses(self, info: Info) -> list[DefinitionUse]:
        """The places in segments and workflows that name it: what breaks when it is put away."""
        return await uses_of(info.context, Named.EVENT_TYPE, self.row.id)

    @classmethod
    def of(cls, context: Context, row: EventTypeRow) -> "EventType":
        """The event type as clients see it."""
        about = row.object_type_id
        return cls(
            row=row,
            name=row.name,
            label=row.label,
            description=row.description,
            object_type=None if about is None else context.catalogue.object_types[about].name,
            built_in=row.built_in,
            webhook_id=None
            if row.webhook_id is None
            else strawberry.ID(ids.encode("webhook", row.webhook_id)),
            archived_at=row.archived_at,
        )


@strawberry.type
class RecordEvent:
    """Something that occurred to a record. It never changes."""

    row: strawberry.Private[RecordEventRow]
    id: strawberry.ID = strawberry.field(description="The event's id.")
    type: EventType = strawberry.field(description="What kind of event it is.")
    occurred_at: datetime = strawberry.field(description="When it occurred.")
    properties: JSON = strawberry.field(description="What it holds, by property name.")
    source: str = strawberry.field(description="What kind of thing recorded it: API, WEBHOOK, WORKFLOW …")
    source_id: str | None = strawberry.field(description="Which of its kind.")
    created_at: datetime = strawberry.field(description="When it was recorded.")

    @strawberry.field
    async def record(self, info: Info) -> Annotated["Record", strawberry.lazy("schema.records")] | None:
        """The record that it occurred to."""
        from schema.records import Record

        found = await record_of(info.context, None, ids.encode("record", self.row.record_id), None)
        return None if found is None else Record.of(found)

    @classmethod
    def of(cls, context: Context, row: RecordEventRow) -> "RecordEvent":
        """The event as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("event", row.id)),
            type=EventType.of(context, context.catalogue.event_types[row.event_type_id]),
            occurred_at=row.occurred_at,
            properties=JSON(row.properties),
            source=row.source,
            source_id=row.source_id,
            created_at=row.created_at,
        )


@strawberry.type
class RecordEventEdge:
    """An event on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: RecordEvent = strawberry.field(description="The event.")


@strawberry.type
class RecordEventConnection:
    """A page of events, newest first."""

    edges: list[RecordEventEdge] = strawberry.field(description="The events with their cursors.")
    nodes: list[RecordEvent] = strawberry.field(description="The events.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(cls, context: Context, page: Page) -> "RecordEventConnection":
        """The page as clients see it."""
        edges = [
            RecordEventEdge(cursor=reads.cursor(row), node=RecordEvent.of(context, row))
            for row in page.rows
            if row.event_type_id in context.catalogue.event_types
        ]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=page_info(edges, page.has_next, page.has_previous),
        )


@strawberry.type
class EventTypeQuery:
    """Reads of event types."""

    @strawberry.field(extensions=[Requires(Scope.DEFINITIONS_READ)])
    def event_types(
        self,
        info: Info,
        include_archived: Annotated[
            bool, strawberry.argument(description="Whether those that were put away are listed, too.")
        ] = False,
    ) -> list[EventType]:
        """All event types: those that every account has, and its own."""
        return [EventType.of(info.context, row) for row in reads.listing(info.context, include_archived)]

    @strawberry.field(extensions=[Requires(Scope.DEFINITIONS_READ)])
    def event_type(
        self, info: Info, name: Annotated[str, strawberry.argument(description="Its internal name.")]
    ) -> EventType | None:
        """One event type, archived or not; null where there is none of this name."""
        row = reads.by_name(info.context, name)
        return None if row is None else EventType.of(info.context, row)
