"""Webhooks and what was posted to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook. `mapping` is [{"path", "property"}]; see storage.tables.events."""

    id: int
    event_type_id: int
    object_type_id: int
    secret: str
    signing_secret: str | None
    match_path: str | None
    match_property: str | None
    mapping: list[dict[str, Any]]
    capturing: bool
    sample: Any
    sampled_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_by: int | None
    archived_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """Something that was posted, and what became of it: TRIGGERED, UNMATCHED, INVALID, SAMPLE or DUPLICATE."""

    id: int
    webhook_id: int
    received_at: datetime
    outcome: str
    payload: Any = None
    error: dict[str, Any] | None = None
    record_id: int | None = None
    event_id: int | None = None


# The fields of WebhookRow, in its order.
COLUMNS = """w.id, w.event_type_id, w.object_type_id, w.secret, w.signing_secret, w.match_path, w.match_property,
           w.mapping, w.capturing, w.sample, w.sampled_at, w.created_at, w.updated_at, w.created_by, w.archived_at"""

INSERT = Statement(
    "webhooks.insert",
    """
    INSERT INTO webhook (account_id, id, event_type_id, object_type_id, secret, signing_secret, match_path,
                         match_property, mapping, capturing, sample, sampled_at, created_at, updated_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, NULL, $11, $11, $12)
    """,
)

UPDATE = Statement(
    "webhooks.update",
    """
    UPDATE webhook AS w
       SET secret = $3, signing_secret = $4, match_path = $5, match_property = $6, mapping = $7, capturing = $8,
           updated_at = $9, archived_at = $10
     WHERE w.account_id = $1 AND w.id = $2
    """,
)

# Few, and the oldest first.
LISTING = Statement(
    "webhooks.listing",
    f"SELECT {COLUMNS} FROM webhook AS w WHERE w.account_id = $1 ORDER BY w.id",
)

BY_ID = Statement(
    "webhooks.by_id", f"SELECT {COLUMNS} FROM webhook AS w WHERE w.account_id = $1 AND w.id = $2"
)

# By the unique index (account, secret). The account comes from the secret's own text: an ordinary scoped statement.
BY_SECRET = Statement(
    "webhooks.by_secret",
    f"""
    SELECT {COLUMNS} FROM webhook AS w
     WHERE w.account_id = $1 AND w.secret = $2 AND w.archived_at IS NULL
    """,
)

# Of several deliveries at once one is the sample: the row's lock decides, and the others find it taken.
CAPTURE = Statement(
    "webhooks.capture",
    """
    UPDATE webhook AS w SET capturing = false, sample = $3, sampled_at = $4
     WHERE w.account_id = $1 AND w.id = $2 AND w.capturing
    """,
)

DELIVERED = Statement(
    "webhooks.delivered",
    """
    INSERT INTO webhook_delivery (account_id, id, webhook_id, received_at, outcome, payload, error, record_id,
                                  event_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    """,
)

# Newest first, along the index; of one outcome, the others are passed over.
DELIVERIES = Statement(
    "webhooks.deliveries",
    """
    SELECT d.id, d.webhook_id, d.received_at, d.outcome, d.payload, d.error, d.record_id, d.event_id
      FROM webhook_delivery AS d
     WHERE d.account_id = $1 AND d.webhook_id = $2 AND d.id < $3 AND ($4::text IS NULL OR d.outcome = $4)
     ORDER BY d.id DESC LIMIT $5
    """,
)


async def insert(tx: Transaction, row: WebhookRow) -> None:
    """Write a new webhook."""
    await tx.execute(
        INSERT,
        row.id,
        row.event_type_id,
        row.object_type_id,
        row.secret,
        row.signing_secret,
        row.match_path,
        row.match_property,
        row.mapping,
        row.capturing,
        row.created_at,
        row.created_by,
    )


async def update(tx: Transaction, row: WebhookRow) -> None:
    """Write what may change of a webhook."""
    await tx.execute(
        UPDATE,
        row.id,
        row.secret,
        row.signing_secret,
        row.match_path,
        row.match_property,
        row.mapping,
        row.capturing,
        row.updated_at,
        row.archived_at,
    )


async def listing(reader: Queryable) -> list[WebhookRow]:
    """All webhooks, archived ones included, oldest first."""
    return [WebhookRow(*row) for row in await reader.fetch(LISTING)]


async def by_id(reader: Queryable, number: int) -> WebhookRow | None:
    """One webhook."""
    row = await reader.fetchrow(BY_ID, number)
    return None if row is None else WebhookRow(*row)


async def by_secret(reader: Queryable, secret: str) -> WebhookRow | None:
    """The live webhook whose address holds this secret."""
    row = await reader.fetchrow(BY_SECRET, secret)
    return None if row is None else WebhookRow(*row)


async def capture(tx: Transaction, number: int, payload: Any) -> bool:
    """Keep a payload as the webhook's sample; False where it does not wait for one any more."""
    return await tx.execute(CAPTURE, number, payload, tx.now) == 1


async def deliver(tx: Transaction, row: DeliveryRow) -> None:
    """Keep what was posted."""
    await tx.execute(
        DELIVERED,
        row.id,
        row.webhook_id,
        row.received_at,
        row.outcome,
        row.payload,
        row.error,
        row.record_id,
        row.event_id,
    )


async def deliveries(
    reader: Queryable, webhook_id: int, *, outcome: str | None, before: int, limit: int
) -> Sequence[DeliveryRow]:
    """Up to `limit` deliveries with ids below `before`, newest first."""
    rows = await reader.fetch(DELIVERIES, webhook_id, before, outcome, limit)
    return [DeliveryRow(*row) for row in rows]
