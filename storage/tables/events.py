"""Events: what kinds an account has, what occurred to its records, and the webhooks by which they come in."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from storage.tables.columns import big, document, key, moment, text


class EventType(SQLModel, table=True):
    """A kind of event of the account's own. Its name never changes; an archived one keeps it taken.

    Those that every account has are known by code, without rows: see storage.event_types.
    """

    __tablename__ = "event_type"
    __table_args__ = (
        UniqueConstraint("account_id", "name"),
        ForeignKeyConstraint(["account_id", "object_type_id"], ["object_type.account_id", "object_type.id"]),
    )

    account_id: int = key()
    id: int = key()
    name: str = text()
    label: str = text()
    description: str | None = text(nullable=True)
    # Whose records it can occur to; null: any.
    object_type_id: int | None = big(nullable=True)
    # [{"name", "label", "type", "multiple", "options", "archived"?}] in display order.
    properties: list[dict[str, Any]] = document()
    # The webhook that records it, if one does.
    webhook_id: int | None = big(nullable=True)
    created_at: datetime = moment()
    created_by: int | None = big(nullable=True)
    archived_at: datetime | None = moment(nullable=True)


class RecordEvent(SQLModel, table=True):
    """Something that occurred to a record. Never changed; a merge moves it to the survivor, and that is all.

    No foreign key to the kind: those that every account has are no rows.
    """

    __tablename__ = "record_event"
    __table_args__ = (
        # A record's events of one kind, by time: filters, and pages of the newest.
        Index("record_event_of_record", "account_id", "record_id", "event_type_id", "occurred_at", "id"),
        # What a caller's key has recorded is recorded once. Most events come without a key.
        Index(
            "record_event_key",
            "account_id",
            "event_type_id",
            "idempotency_key",
            unique=True,
            postgresql_where="idempotency_key IS NOT NULL",
        ),
    )

    account_id: int = key()
    id: int = key()
    # Below zero: one that every account has.
    event_type_id: int = big()
    record_id: int = big()
    # To the millisecond, and never later than it was recorded.
    occurred_at: datetime = moment()
    # Known values only, by property name, as records keep them.
    properties: dict[str, Any] = document()
    source: str = text()
    source_id: str | None = text(nullable=True)
    user_id: int | None = big(nullable=True)
    created_at: datetime = moment()
    idempotency_key: str | None = text(nullable=True)


class Webhook(SQLModel, table=True):
    """An address to which another system posts; what it posts becomes events of one kind, the webhook's own."""

    __table_args__ = (
        UniqueConstraint("account_id", "secret"),
        ForeignKeyConstraint(["account_id", "object_type_id"], ["object_type.account_id", "object_type.id"]),
        ForeignKeyConstraint(["account_id", "event_type_id"], ["event_type.account_id", "event_type.id"]),
    )

    account_id: int = key()
    id: int = key()
    event_type_id: int = big()
    object_type_id: int = big()
    # The unguessable part of the address. Kept as it is, since the address is shown to those who manage it.
    secret: str = text()
    # What deliveries are signed with; null: they are not.
    signing_secret: str | None = text(nullable=True)
    # Where the payload names the record, and the unique property that it names; null until somebody says.
    match_path: str | None = text(nullable=True)
    match_property: str | None = text(nullable=True)
    # [{"path", "property"}]: where the payload has the value of which property of the event.
    mapping: list[dict[str, Any]] = document()
    # Whether the next delivery is kept as the sample, and triggers nothing.
    capturing: bool
    sample: Any | None = document(nullable=True)
    sampled_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()
    created_by: int | None = big(nullable=True)
    archived_at: datetime | None = moment(nullable=True)


class WebhookDelivery(SQLModel, table=True):
    """What was posted to a webhook, and what became of it."""

    __tablename__ = "webhook_delivery"
    # Newest first, of one webhook.
    __table_args__ = (Index("webhook_delivery_page", "account_id", "webhook_id", "id"),)

    account_id: int = key()
    id: int = key()
    webhook_id: int = big()
    received_at: datetime = moment()
    # TRIGGERED, UNMATCHED, INVALID, SAMPLE or DUPLICATE.
    outcome: str = text()
    payload: Any | None = document(nullable=True)
    # {"code", "message", "path"?}, where it is INVALID or UNMATCHED.
    error: dict[str, Any] | None = document(nullable=True)
    record_id: int | None = big(nullable=True)
    event_id: int | None = big(nullable=True)
