"""The outbox: what is to be told to the outside world, written with the step that asks for it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from storage.tables.columns import big, document, key, moment, text

# Finished rows have no next time: both indexes hold open ones only, and a condition on the time implies theirs.
OPEN = "next_attempt_at IS NOT NULL"


class Outbox(SQLModel, table=True):
    """One mail, or one call of a webhook."""

    __table_args__ = (
        # Asked for once, however often the step that asks is carried out.
        UniqueConstraint("account_id", "key"),
        # Which accounts have anything due.
        Index("outbox_due", "account_id", "next_attempt_at", "id", postgresql_where=OPEN),
        # What is due, host by host: one that is busy or dead keeps nobody from seeing what lies behind it.
        Index("outbox_host", "account_id", "host", "next_attempt_at", "id", postgresql_where=OPEN),
        Index(
            "outbox_enrollment",
            "account_id",
            "enrollment_id",
            "step",
            "id",
            postgresql_where="enrollment_id IS NOT NULL",
        ),
        # What is on its way, and what did not arrive, counted by workflow.
        Index(
            "outbox_outside",
            "account_id",
            "workflow_id",
            "status",
            postgresql_where="workflow_id IS NOT NULL AND status <> 'DELIVERED' AND status <> 'CANCELLED'",
        ),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    account_id: int = key()
    id: int = key()
    # What a receiver knows repetitions by: see engine.outbox.
    key: str = text()
    # EMAIL or WEBHOOK.
    kind: str = text()
    # Whose places it takes: host and port of a webhook, empty for the mail server.
    host: str = text()
    # PENDING, SENDING (a sender has it), DELIVERED, FAILED, UNKNOWN (it may have arrived) or CANCELLED.
    status: str = text()
    request: dict[str, Any] = document()
    # The enrollment that waits for it, and the number of the line of history that will tell of it.
    enrollment_id: int | None = big(nullable=True)
    step: int | None = Field(default=None)
    workflow_id: int | None = big(nullable=True)
    # Whom it is about.
    record_id: int | None = big(nullable=True)
    # How often it was taken to be sent, this time included.
    attempts: int = Field(default=0)
    # PENDING: its next attempt. SENDING: when the sender's lease ends, and anybody may take it again.
    next_attempt_at: datetime | None = moment(nullable=True)
    # What the sender that has it must show to say how it went.
    lease_token: str | None = text(nullable=True)
    # No longer wanted: what a sender has cannot be called back, but it is not tried again.
    recalled: bool = Field(default=False)
    # How the last attempt went: {"statusCode"?, "messageId"?, "response"?, "error"?: {"code", "message"}}
    outcome: dict[str, Any] | None = document(nullable=True)
    created_at: datetime = moment()
    finished_at: datetime | None = moment(nullable=True)
