"""Use cases of webhook events: defined, read with what was posted to them; and the door by which deliveries come in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import ids
from engine.problems import MalformedId
from engine.webhooks import definitions, receiving
from engine.webhooks.definitions import WebhookEvent
from engine.webhooks.problems import WebhookUnknown
from engine.webhooks.receiving import Posted, Received
from resolvers import listings
from resolvers.context import Context
from resolvers.listings import MalformedCursor
from resolvers.writing import again, write
from storage import webhooks
from storage.database import AccountMissing, Actor, Database, Transaction
from storage.webhooks import DeliveryRow

NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """Deliveries, newest first, and whether there are more on either side."""

    rows: Sequence[DeliveryRow]
    has_next: bool
    has_previous: bool


async def listing(context: Context, include_archived: bool) -> list[WebhookEvent]:
    """Webhook events, oldest first."""
    async with context.db.read(context.account_id) as reader:
        found = await definitions.listing(reader, context.catalogue)
    return [one for one in found if include_archived or one.row.archived_at is None]


async def by_id(context: Context, number: int) -> WebhookEvent | None:
    """One webhook event; None where there is none."""
    key = ("webhook", number)
    if key not in context.loaders:
        async with context.db.read(context.account_id) as reader:
            row = await webhooks.by_id(reader, number)
        type_ = None if row is None else context.catalogue.event_types.get(row.event_type_id)
        context.loaders[key] = None if row is None or type_ is None else WebhookEvent(row, type_)
    found: WebhookEvent | None = context.loaders[key]
    return found


async def create(context: Context, **definition: Any) -> WebhookEvent:
    """A webhook event; `definition` as `engine.webhooks.definitions.create` takes it."""
    return await write(context, lambda tx: definitions.create(tx, **definition), defining=True)


async def update(context: Context, ident: str, **changes: Any) -> WebhookEvent:
    """Change a webhook event; `changes` as `engine.webhooks.definitions.update` takes them."""
    number = ids.decode_at("webhook", ident, "id")
    return await write(context, lambda tx: definitions.update(tx, number, **changes), defining=True)


async def capture(context: Context, ident: str) -> WebhookEvent:
    """Let the next delivery be kept as the sample."""
    number = ids.decode_at("webhook", ident, "id")
    return await write(context, lambda tx: definitions.wait_for_sample(tx, number), defining=True)


async def archive(context: Context, ident: str) -> WebhookEvent:
    """Put a webhook event away."""
    number = ids.decode_at("webhook", ident, "id")
    return await write(context, lambda tx: definitions.archive(tx, number), defining=True)


async def deliveries(
    context: Context, number: int, outcome: str | None, first: int | None, after: str | None
) -> Page:
    """A page of what was posted to a webhook, newest first."""
    size = listings.page_size(first)
    before = NEWEST
    if after is not None:
        try:
            before = ids.decode("delivery", after)
        except MalformedId:
            raise MalformedCursor(path=("after",), argument="after") from None
    async with context.db.read(context.account_id) as reader:
        rows = await webhooks.deliveries(reader, number, outcome=outcome, before=before, limit=size + 1)
    return Page(rows[:size], len(rows) > size, after is not None)


async def receive(db: Database, secret: str, posted: Posted, *, now: datetime) -> Received:
    """Take a delivery at an address, in a transaction of the account that it names. Raises `WebhookUnknown`."""
    account_id = definitions.account_of(secret)
    if account_id is None:
        raise WebhookUnknown

    async def attempt() -> Received:
        tx: Transaction
        async with db.transaction(account_id, now=now, actor=Actor(receiving.SOURCE)) as tx:
            return await receiving.receive(tx, secret, posted)

    # Whoever guesses is not to hold definitions, nor to be told more of one guess than of another.
    try:
        async with db.read(account_id) as reader:
            if await webhooks.by_secret(reader, secret) is None:
                raise WebhookUnknown
        return await again(attempt)
    except AccountMissing:
        raise WebhookUnknown from None
