"""Lines of an enrollment's history: what came of an action, what it changed, what it has sent."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from engine import ids
from engine.problems import PathPart
from resolvers import workflow_explanations as reads
from schema.context import Info
from schema.documentation import enum
from schema.enrollment_changes import EnrollmentChange
from schema.scalars import JSON
from storage.enrollments import StepRow
from storage.outbox import OutboxRow


class StepOutcome(Enum):
    """What came of an action."""

    DONE = "DONE"
    UNCHANGED = "UNCHANGED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    UNDONE = "UNDONE"


enum(
    StepOutcome,
    "StepOutcome",
    "What came of an action.",
    {
        "DONE": "It was carried out.",
        "UNCHANGED": "It was carried out; everything was already as it should be.",
        "SKIPPED": "The workflow was off when it was due.",
        "FAILED": "It could not be carried out; `error` says why.",
        "UNDONE": "No action: somebody has undone what the enrollment did.",
    },
)


@strawberry.type
class RefusedRecord:
    """An associated record for which an action was refused."""

    associated: strawberry.ID = strawberry.field(description="The record.")
    code: str = strawberry.field(description="Why, as a stable code.")


@strawberry.type
class EnrollmentError:
    """Why an enrollment or a step failed."""

    code: str = strawberry.field(description="What is wrong, as a stable code.")
    message: str = strawberry.field(description="What is wrong, in words.")
    path: list[JSON] | None = strawberry.field(description="Where in the action, where that is known.")
    associated: strawberry.ID | None = strawberry.field(
        description="The associated record for which it was refused, where it is about one."
    )
    refused: int = strawberry.field(
        description="How many records it was refused for; 0 where it is about none."
    )
    others: list[RefusedRecord] = strawberry.field(description="The first hundred of those besides.")

    @classmethod
    def of(cls, error: dict[str, Any] | None) -> "EnrollmentError | None":
        """An error of a history."""
        if error is None:
            return None
        path: list[PathPart] = error.get("path") or []
        about = error.get("associated")
        return cls(
            code=error["code"],
            message=error["message"],
            path=[JSON(part) for part in path] or None,
            associated=None if about is None else strawberry.ID(about),
            refused=error.get("refused", 0 if about is None else 1),
            others=[RefusedRecord(**one) for one in error.get("others", ())],
        )


class DeliveryKind(Enum):
    """What is sent."""

    EMAIL = "EMAIL"
    WEBHOOK = "WEBHOOK"


enum(DeliveryKind, "DeliveryKind", "What is sent.", {"EMAIL": "A mail.", "WEBHOOK": "A call of a webhook."})


class DeliveryStatus(Enum):
    """How far something that is sent has come."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    CANCELLED = "CANCELLED"


enum(
    DeliveryStatus,
    "OutgoingStatus",
    "How far something that is sent has come.",
    {
        "PENDING": "It waits for its first attempt, or for the next one.",
        "SENDING": "It is being sent.",
        "DELIVERED": "The receiver has taken it.",
        "FAILED": "It did not arrive, and is not tried again by itself.",
        "UNKNOWN": "It may have arrived or not.",
        "CANCELLED": "It was called back before it was sent, or its receiver must get no mails any more.",
    },
)


@strawberry.type
class Delivery:
    """A mail or a call of a webhook that a step has asked for."""

    kind: DeliveryKind = strawberry.field(description="What is sent.")
    status: DeliveryStatus = strawberry.field(description="How far it has come.")
    key: str = strawberry.field(description="By what the receiver knows a repetition.")
    to: str = strawberry.field(description="The address, or the URL.")
    record_id: strawberry.ID | None = strawberry.field(description="The record to or about which it is.")
    attempts: int = strawberry.field(description="How often it was tried.")
    last_error: EnrollmentError | None = strawberry.field(description="What went wrong last.")
    at: datetime = strawberry.field(
        description="When it came to its end; before that, when it was asked for."
    )
    next_attempt_at: datetime | None = strawberry.field(description="When it is tried next.")

    @classmethod
    def of(cls, row: OutboxRow) -> "Delivery":
        """The delivery as clients see it."""
        return cls(
            kind=DeliveryKind(row.kind),
            status=DeliveryStatus(row.status),
            key=row.key,
            to=row.request.get("to") or row.request.get("url") or "",
            record_id=None if row.record_id is None else strawberry.ID(ids.encode("record", row.record_id)),
            attempts=row.attempts,
            last_error=EnrollmentError.of((row.outcome or {}).get("error")),
            at=row.finished_at or row.created_at,
            next_attempt_at=row.next_attempt_at,
        )


@strawberry.type
class EnrollmentStep:
    """A line of an enrollment's history. An action on many associated records may take several."""

    row: strawberry.Private[StepRow]
    n: int = strawberry.field(description="Its number, from 0.")
    action: str = strawberry.field(description="The id of the action.")
    at: datetime = strawberry.field(description="When.")
    outcome: StepOutcome = strawberry.field(description="What came of it.")

    @strawberry.field
    def changes(self) -> list[EnrollmentChange]:
        """What was changed, in order."""
        return [EnrollmentChange.of(change) for change in self.row.changes]

    @strawberry.field
    async def deliveries(self, info: Info) -> list[Delivery]:
        """The mails and calls that it has sent, or is about to send."""
        return [Delivery.of(row) for row in await reads.deliveries(info.context, self.row)]

    @strawberry.field
    def error(self) -> EnrollmentError | None:
        """Why it failed."""
        return EnrollmentError.of(self.row.error)

    @classmethod
    def of(cls, row: StepRow) -> "EnrollmentStep":
        """The step as clients see it."""
        return cls(row=row, n=row.n, action=row.action, at=row.at, outcome=StepOutcome(row.outcome))
