"""Webhook events: addresses to which other systems post, and what became of each delivery."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from engine.webhooks.definitions import WebhookEvent as Found
from resolvers import event_types
from resolvers import webhooks as reads
from resolvers.context import Context
from resolvers.records import record as record_of
from resolvers.webhooks import Page
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.event_types import EventType, RecordEvent
from schema.nodes import Node, PageInfo, page_info
from schema.records import Record
from schema.scalars import JSON
from storage.webhooks import DeliveryRow


class DeliveryOutcome(Enum):
    """What became of a delivery."""

    TRIGGERED = "TRIGGERED"
    UNMATCHED = "UNMATCHED"
    INVALID = "INVALID"
    SAMPLE = "SAMPLE"
    DUPLICATE = "DUPLICATE"


enum(
    DeliveryOutcome,
    "WebhookDeliveryOutcome",
    "What became of a delivery.",
    {
        "TRIGGERED": "It was recorded as an event of a record.",
        "UNMATCHED": "It names no record that is there; nothing was triggered.",
        "INVALID": "It could not be taken: `error` says why.",
        "SAMPLE": "It was kept as the sample; nothing was triggered.",
        "DUPLICATE": "It had been recorded before; nothing was triggered again.",
    },
)


@strawberry.type
class WebhookMatch:
    """Which record a delivery is about."""

    path: str = strawberry.field(description="Where the payload names the record.")
    property: str = strawberry.field(description="The unique property whose value stands there.")


@strawberry.type
class WebhookMapping:
    """Which value of a payload an event keeps."""

    path: str = strawberry.field(description='Where the payload has it, such as "order.items[0].sku".')
    property: str = strawberry.field(description="The property of the event that holds it.")


@strawberry.type
class WebhookDelivery:
    """Something that was posted to a webhook."""

    row: strawberry.Private[DeliveryRow]
    id: strawberry.ID = strawberry.field(description="The delivery's id.")
    received_at: datetime = strawberry.field(description="When it came in.")
    outcome: DeliveryOutcome = strawberry.field(description="What became of it.")
    payload: JSON | None = strawberry.field(
        description="What was posted; null where it was not JSON, or not signed by whoever may."
    )
    error: JSON | None = strawberry.field(description="Why nothing was triggered: code, message and path.")

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record that it was about."""
        if self.row.record_id is None:
            return None
        found = await record_of(info.context, None, ids.encode("record", self.row.record_id), None)
        return None if found is None else Record.of(found)

    @strawberry.field
    async def event(self, info: Info) -> RecordEvent | None:
        """The event that it was recorded as."""
        number = self.row.event_id
        row = None if number is None else await event_types.by_id(info.context, number)
        return None if row is None else RecordEvent.of(info.context, row)

    @classmethod
    def of(cls, row: DeliveryRow) -> "WebhookDelivery":
        """The delivery as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("delivery", row.id)),
            received_at=row.received_at,
            outcome=DeliveryOutcome(row.outcome),
            payload=None if row.payload is None else JSON(row.payload),
            error=None if row.error is None else JSON(row.error),
        )


@strawberry.type
class WebhookDeliveryEdge:
    """A delivery on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: WebhookDelivery = strawberry.field(description="The delivery.")


@strawberry.type
class WebhookDeliveryConnection:
    """A page of deliveries, newest first."""

    edges: list[WebhookDeliveryEdge] = strawberry.field(description="The deliveries with their cursors.")
    nodes: list[WebhookDelivery] = strawberry.field(description="The deliveries.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(cls, page: Page) -> "WebhookDeliveryConnection":
        """The page as clients see it."""
        nodes = [WebhookDelivery.of(row) for row in page.rows]
        edges = [WebhookDeliveryEdge(cursor=node.id, node=node) for node in nodes]
        return cls(edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous))


@strawberry.type
class WebhookEvent(Node):
    """An address to which another system posts; what it posts becomes events of a type of its own."""

    found: strawberry.Private[Found]
    name: str = strawberry.field(description="The internal name of its event type; it never changes.")
    label: str = strawberry.field(description="What people call it.")
    object_type: str = strawberry.field(description="The object type of the records that it is about.")
    match: WebhookMatch | None = strawberry.field(
        description="Which record a delivery is about; null: nobody has said yet, and nothing is triggered."
    )
    mapping: list[WebhookMapping] = strawberry.field(description="Which values of a payload events keep.")
    signed: bool = strawberry.field(description="Whether deliveries must be signed.")
    capturing: bool = strawberry.field(description="Whether the next delivery is kept as the sample.")
    sample_payload: JSON | None = strawberry.field(description="The delivery that was kept as the sample.")
    sampled_at: datetime | None = strawberry.field(description="When the sample came in.")
    created_at: datetime = strawberry.field(description="When it was made.")
    archived_at: datetime | None = strawberry.field(
        description="When it was put away; null while it is in use."
    )

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    def url(self, info: Info) -> str:
        """The address to post to. It holds a secret: whoever knows it can post."""
        return f"{info.context.public_url}/hooks/{self.found.row.secret}"

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    def signing_secret(self) -> str | None:
        """What deliveries are signed with; null: they are not."""
        return self.found.row.signing_secret

    @strawberry.field
    def event_type(self, info: Info) -> EventType:
        """The type of its events."""
        return EventType.of(info.context, self.found.type)

    @strawberry.field
    async def deliveries(
        self,
        info: Info,
        outcome: Annotated[
            DeliveryOutcome | None, strawberry.argument(description="Only those that had this outcome.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> WebhookDeliveryConnection:
        """What was posted, newest first."""
        wanted = None if outcome is None else outcome.value
        page = await reads.deliveries(info.context, self.found.row.id, wanted, first, after)
        return WebhookDeliveryConnection.of(page)

    @classmethod
    def of(cls, context: Context, found: Found) -> "WebhookEvent":
        """The webhook event as clients see it."""
        row = found.row
        match = (
            None
            if row.match_path is None or row.match_property is None
            else WebhookMatch(path=row.match_path, property=row.match_property)
        )
        return cls(
            found=found,
            id=strawberry.ID(ids.encode("webhook", row.id)),
            name=found.type.name,
            label=found.type.label,
            object_type=context.catalogue.object_types[row.object_type_id].name,
            match=match,
            mapping=[WebhookMapping(path=one["path"], property=one["property"]) for one in row.mapping],
            signed=row.signing_secret is not None,
            capturing=row.capturing,
            sample_payload=None if row.sample is None else JSON(row.sample),
            sampled_at=row.sampled_at,
            created_at=row.created_at,
            archived_at=row.archived_at,
        )


@strawberry.type
class WebhookQuery:
    """Reads of webhook events."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def webhook_events(
        self,
        info: Info,
        include_archived: Annotated[
            bool, strawberry.argument(description="Whether those that were put away are listed, too.")
        ] = False,
    ) -> list[WebhookEvent]:
        """All webhook events, oldest first."""
        found = await reads.listing(info.context, include_archived)
        return [WebhookEvent.of(info.context, one) for one in found]

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def webhook_event(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> WebhookEvent | None:
        """One webhook event, archived or not; null where there is none."""
        found = await reads.by_id(info.context, ids.decode("webhook", id))
        return None if found is None else WebhookEvent.of(info.context, found)
