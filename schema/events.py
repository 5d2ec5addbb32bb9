"""What happens to enrollments: live, and resumed by cursor without a gap or a repetition."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import Enum
from typing import Annotated, cast

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import events
from resolvers.streams import EventStream
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollments import record_of
from schema.records import Record
from schema.scalars import JSON
from schema.streams import CURSOR, After, shown
from schema.workflows import Workflow
from storage.changes import LoggedEvent

# Said elsewhere, or of no use to clients.
HIDDEN = ("enrollment", "outbox")


class EnrollmentEventKind(Enum):
    """What happened to an enrollment."""

    ENROLLED = "ENROLLED"
    STEP_DONE = "STEP_DONE"
    STEP_SKIPPED = "STEP_SKIPPED"
    STEP_FAILED = "STEP_FAILED"
    STEP_RETRIED = "STEP_RETRIED"
    ENROLLMENT_COMPLETED = "ENROLLMENT_COMPLETED"
    ENROLLMENT_FAILED = "ENROLLMENT_FAILED"
    UNENROLLED = "UNENROLLED"
    ENROLLMENT_UNDONE = "ENROLLMENT_UNDONE"
    OUTBOX_DELIVERED = "OUTBOX_DELIVERED"
    OUTBOX_FAILED = "OUTBOX_FAILED"


enum(
    EnrollmentEventKind,
    "EnrollmentEventKind",
    "What happened to an enrollment.",
    {
        "ENROLLED": "It began.",
        "STEP_DONE": "An action was carried out.",
        "STEP_SKIPPED": "An action was passed over, since the workflow is off.",
        "STEP_FAILED": "An action could not be carried out.",
        "STEP_RETRIED": "Somebody asked for a failed action to be tried again.",
        "ENROLLMENT_COMPLETED": "It went through all actions.",
        "ENROLLMENT_FAILED": "It ended with an error.",
        "UNENROLLED": "It left; `status` in the details says why: archived or merged away, goal met, taken out …",
        "ENROLLMENT_UNDONE": "Somebody has undone what it had changed.",
        "OUTBOX_DELIVERED": "A mail or a webhook's call that an action asked for arrived.",
        "OUTBOX_FAILED": "A mail or a webhook's call that an action asked for did not arrive, or may not have.",
    },
)


@strawberry.type
class EnrollmentEvent:
    """Something that happened to an enrollment."""

    event: strawberry.Private[LoggedEvent]
    cursor: str = strawberry.field(description=CURSOR)
    at: datetime = strawberry.field(description="When it happened.")
    kind: EnrollmentEventKind = strawberry.field(description="What happened.")

    enrollment_id: strawberry.ID = strawberry.field(description="The enrollment.")

    @strawberry.field
    async def workflow(self, info: Info) -> Workflow:
        """The workflow."""
        assert self.event.subject_id is not None  # such events always have one
        return await Workflow.found(info.context, self.event.subject_id)

    @strawberry.field
    async def record(self, info: Info) -> Record:
        """The record that it is about, as it is now; where it was merged away, its survivor."""
        assert self.event.record_id is not None  # such events always have one
        return await record_of(info.context, self.event.record_id)

    @strawberry.field
    def details(self) -> JSON:
        """What is particular to the kind: the reason, the action, the outcome, the error."""
        payload = self.event.payload
        return JSON(shown({name: value for name, value in payload.items() if name not in HIDDEN}))

    @classmethod
    def of(cls, event: LoggedEvent, cursor: str) -> "EnrollmentEvent":
        """The event as clients see it."""
        return cls(
            event=event,
            cursor=cursor,
            at=event.at,
            kind=EnrollmentEventKind(event.kind.value),
            enrollment_id=strawberry.ID(ids.encode("enrollment", event.payload["enrollment"])),
        )


@strawberry.type
class EventSubscription:
    """Streams of events."""

    @strawberry.subscription(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def enrollment_events(
        self,
        info: Info,
        workflow: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this workflow; null: of all.")
        ] = None,
        record: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this record; null: of all.")
        ] = None,
        kinds: Annotated[
            list[EnrollmentEventKind] | None,
            strawberry.argument(description="Only events of these kinds; null: of all."),
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[EnrollmentEvent, None]:
        """What happens to enrollments, in the order in which it was committed."""
        chosen = None if kinds is None else [kind.value for kind in kinds]
        interest = events.of_enrollments(workflow, record, chosen)
        stream = EventStream(info.context, interest, after, EnrollmentEvent.of)
        return cast("AsyncGenerator[EnrollmentEvent, None]", stream)
