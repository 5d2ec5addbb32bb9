"""Webhook events are made, changed, shown a sample, and put away."""

import strawberry

from engine.access import Scope
from engine.object_types import KEEP
from engine.webhooks.definitions import Mapped, Match
from engine.webhooks.definitions import WebhookEvent as Found
from resolvers import webhooks as work
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from schema.event_mutations import EventPropertyInput
from schema.webhooks import WebhookEvent


@strawberry.input
class WebhookMatchInput:
    """Which record a delivery is about."""

    path: str = strawberry.field(
        description='Where the payload names the record: names and indexes, such as "contact.emails[0]".'
    )
    property: str = strawberry.field(description="The unique property whose value stands there.")


@strawberry.input
class WebhookMappingInput:
    """Which value of a payload an event keeps, and as what."""

    path: str = strawberry.field(description='Where the payload has it, such as "order.items[0].sku".')
    property: EventPropertyInput = strawberry.field(description="The property of the event that holds it.")


@strawberry.input
class CreateWebhookEventInput:
    """A new webhook event."""

    name: str = strawberry.field(
        description="The internal name of its event type: a-z, 0-9 and _; it never changes."
    )
    label: str = strawberry.field(description="What people call it.")
    object_type: str = strawberry.field(description="The object type of the records that it is about.")
    match: WebhookMatchInput | None = strawberry.field(
        default=None,
        description="Which record a delivery is about; without it, the next delivery is kept as the sample.",
    )
    mapping: list[WebhookMappingInput] = strawberry.field(
        default_factory=list, description="Which values of a payload events keep."
    )
    signing_secret: str | None = strawberry.field(
        default=None, description="What deliveries must be signed with: 16 to 200 characters; null: nothing."
    )


@strawberry.input
class UpdateWebhookEventInput:
    """What is to change of a webhook event; what is left out stays."""

    id: strawberry.ID = strawberry.field(description="The webhook event.")
    label: str | None = strawberry.field(default=None, description="What people call it.")
    match: WebhookMatchInput | None = strawberry.field(
        default=None, description="Which record a delivery is about."
    )
    mapping: list[WebhookMappingInput] | None = strawberry.field(
        default=None, description="All values of a payload that events keep; what is missing is kept no more."
    )
    signing_secret: str | None = strawberry.field(
        default=strawberry.UNSET, description="What deliveries must be signed with; null: nothing."
    )
    new_url: bool = strawberry.field(
        default=False, description="Whether it gets another address; the old one ends at once."
    )


@strawberry.input
class CaptureWebhookSampleInput:
    """A webhook event that is to keep its next delivery as the sample."""

    id: strawberry.ID = strawberry.field(description="The webhook event.")


@strawberry.input
class ArchiveWebhookEventInput:
    """A webhook event to put away."""

    id: strawberry.ID = strawberry.field(description="The webhook event.")


@strawberry.type
class WebhookEventPayload:
    """A webhook event after a change."""

    webhook_event: WebhookEvent | None = strawberry.field(description="The webhook event as it is now.")
    user_errors: list[UserError]


@strawberry.type
class WebhookMutation:
    """Changes of webhook events."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def create_webhook_event(self, info: Info, input: CreateWebhookEventInput) -> WebhookEventPayload:
        """Make an address to which another system can post, and a type for the events that come of it."""
        made = work.create(
            info.context,
            name=input.name,
            label=input.label,
            object_type=input.object_type,
            match=_match(input.match),
            mapping=_mapping(input.mapping),
            signing_secret=input.signing_secret,
        )
        return _payload(info, *await told(made))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def update_webhook_event(self, info: Info, input: UpdateWebhookEventInput) -> WebhookEventPayload:
        """Change a webhook event."""
        changed = work.update(
            info.context,
            input.id,
            label=input.label,
            match=_match(input.match),
            mapping=None if input.mapping is None else _mapping(input.mapping),
            signing_secret=KEEP if input.signing_secret is strawberry.UNSET else input.signing_secret,
            new_address=input.new_url,
        )
        return _payload(info, *await told(changed))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def capture_webhook_sample(
        self, info: Info, input: CaptureWebhookSampleInput
    ) -> WebhookEventPayload:
        """Keep the next delivery as the sample; it triggers nothing."""
        return _payload(info, *await told(work.capture(info.context, input.id)))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def archive_webhook_event(self, info: Info, input: ArchiveWebhookEventInput) -> WebhookEventPayload:
        """Put a webhook event and its event type away: nothing is taken at its address any more; deliveries stay."""
        return _payload(info, *await told(work.archive(info.context, input.id)))


def _match(given: WebhookMatchInput | None) -> Match | None:
    return None if given is None else Match(given.path, given.property)


def _mapping(given: list[WebhookMappingInput]) -> list[Mapped]:
    return [Mapped(one.path, one.property.plain()) for one in given]


def _payload(info: Info, found: Found | None, errors: list[UserError]) -> WebhookEventPayload:
    return WebhookEventPayload(
        webhook_event=None if found is None else WebhookEvent.of(info.context, found), user_errors=errors
    )
