"""Enrollments: who walks through a workflow, why, and what was done on the way."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, cast

import strawberry

from engine import ids
from engine.access import Scope
from engine.workflows.histories import encoded
from resolvers import loaders, records
from resolvers import workflows as reads
from resolvers.context import Context
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollment_steps import EnrollmentError, EnrollmentStep
from schema.nodes import Node, PageInfo, page_info
from schema.records import Record
from schema.scalars import JSON
from storage.enrollment_pages import Narrow
from storage.enrollments import EnrollmentRow

if TYPE_CHECKING:
    from schema.workflows import Workflow


class EnrollmentStatus(Enum):
    """Where an enrollment stands."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    GOAL_MET = "GOAL_MET"
    UNENROLLED = "UNENROLLED"
    MERGED = "MERGED"


enum(
    EnrollmentStatus,
    "EnrollmentStatus",
    "Where an enrollment stands.",
    {
        "ACTIVE": "It is on its way.",
        "COMPLETED": "It went through all actions.",
        "FAILED": "An action failed, or it was taken for part of a loop; `error` says why.",
        "GOAL_MET": "It left: the record came to meet the goal.",
        "UNENROLLED": "It left before its end; `error` says why: the record was archived, say, or suppressed.",
        "MERGED": "It left: the record was merged into another.",
    },
)


class EnrollmentWaiting(Enum):
    """What an active enrollment waits for."""

    DELAY = "DELAY"
    EVENT = "EVENT"
    OUTSIDE = "OUTSIDE"


enum(
    EnrollmentWaiting,
    "EnrollmentWaiting",
    "What an active enrollment waits for.",
    {
        "DELAY": "For a moment: `dueAt`.",
        "EVENT": "For an event, until `dueAt` at the latest.",
        "OUTSIDE": "For a mail, or a call of a webhook, to arrive or to fail.",
    },
)

Status = Annotated[EnrollmentStatus | None, strawberry.argument(description="Only those that stand here.")]


@strawberry.type
class EnrollmentReason:
    """Why a record was enrolled."""

    kind: str = strawberry.field(
        description=(
            "What happened: CREATED, UPDATED, ASSOCIATED, OCCURRED …; CLOCK, DATE or SCHEDULE; IMPORT; MANUAL or"
            " WORKFLOW where it was called in; TURNED_ON where it met the triggers before."
        )
    )
    trigger: int | None = strawberry.field(
        description=(
            "Which trigger let it in: its place among them, from 0, re-enrollment triggers counting on behind the"
            " others; null where it was called in."
        )
    )
    reenrollment: int | None = strawberry.field(
        description="Which re-enrollment trigger let it in again, by the same count; null at the first time."
    )
    record_id: strawberry.ID | None = strawberry.field(
        description="The record that changed: the enrolled one, or one that it is associated with."
    )
    source: str | None = strawberry.field(
        description="What kind of thing changed it: API, IMPORT, WORKFLOW …"
    )
    source_id: str | None = strawberry.field(description="Which of its kind.")
    user_id: strawberry.ID | None = strawberry.field(
        description="Who called it in, if it was a person. `diagnoseEnrollment` knows more."
    )


@strawberry.type
class Enrollment(Node):
    """A record's way through one revision of a workflow."""

    row: strawberry.Private[EnrollmentRow]
    revision: int = strawberry.field(description="The revision that it runs on.")
    status: EnrollmentStatus = strawberry.field(description="Where it stands.")
    enrolled_at: datetime = strawberry.field(description="When it began.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it is active.")
    due_at: datetime | None = strawberry.field(description="When its next action is due.")
    epoch: int = strawberry.field(
        description="How often the record has been enrolled in the workflow by then."
    )
    waiting: EnrollmentWaiting | None = strawberry.field(
        description="What it waits for; null: nothing but its turn."
    )
    attempts: int = strawberry.field(description="How often its next action has gone wrong unexpectedly.")
    undone_at: datetime | None = strawberry.field(description="When somebody undid what it had changed.")

    @strawberry.field
    async def workflow(self, info: Info) -> Annotated["Workflow", strawberry.lazy("schema.workflows")]:
        """The workflow."""
        from schema.workflows import Workflow

        return await Workflow.found(info.context, self.row.workflow_id)

    @strawberry.field
    async def record(self, info: Info) -> Record:
        """The record; where it was merged away, its survivor."""
        return await record_of(info.context, self.row.record_id)

    @strawberry.field
    def reason(self) -> EnrollmentReason:
        """Why it began."""
        reason = self.row.reason
        record_id = reason.get("record")
        return EnrollmentReason(
            kind=reason["kind"],
            trigger=reason["trigger"],
            reenrollment=reason.get("reenrollment"),
            record_id=None if record_id is None else strawberry.ID(ids.encode("record", record_id)),
            source=reason.get("source"),
            source_id=reason.get("sourceId"),
            user_id=None if reason.get("user") is None else strawberry.ID(ids.encode("user", reason["user"])),
        )

    @strawberry.field
    def arrived(self) -> JSON | None:
        """What has come that it waited for, before its turn."""
        return None if self.row.arrived is None else JSON(encoded(self.row.arrived))

    @strawberry.field
    def error(self) -> EnrollmentError | None:
        """Why it failed, or why its action is tried again."""
        return EnrollmentError.of(self.row.error)

    @strawberry.field
    async def steps(self, info: Info) -> list[EnrollmentStep]:
        """What was done so far, in order."""
        return [EnrollmentStep.of(step) for step in await reads.steps(info.context, self.row)]

    @classmethod
    def of(cls, row: EnrollmentRow) -> "Enrollment":
        """The enrollment as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("enrollment", row.id)),
            revision=row.revision,
            status=EnrollmentStatus(row.status),
            enrolled_at=row.enrolled_at,
            ended_at=row.ended_at,
            due_at=row.due_at,
            epoch=row.epoch,
            waiting=None if row.waiting is None else EnrollmentWaiting(row.waiting),
            attempts=row.attempts,
            undone_at=row.undone_at,
        )


@strawberry.type
class EnrollmentEdge:
    """An enrollment on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: Enrollment = strawberry.field(description="The enrollment.")


@strawberry.type
class EnrollmentConnection:
    """A page of enrollments, newest first."""

    edges: list[EnrollmentEdge] = strawberry.field(description="The enrollments with their cursors.")
    nodes: list[Enrollment] = strawberry.field(description="The enrollments.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(cls, page: reads.Page) -> "EnrollmentConnection":
        """The page as clients see it."""
        nodes = [Enrollment.of(row) for row in page.rows]
        edges = [EnrollmentEdge(cursor=str(node.id), node=node) for node in nodes]
        return cls(edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous))


@strawberry.type
class EnrollmentQuery:
    """Reads of enrollments."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def enrollments(
        self,
        info: Info,
        workflow: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this workflow.")
        ] = None,
        record: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this record.")
        ] = None,
        status: Status = None,
        trigger: Annotated[
            int | None,
            strawberry.argument(
                description="Only those that this trigger let in: its place among all of them."
            ),
        ] = None,
        failed_action: Annotated[
            str | None,
            strawberry.argument(description="Only those of which the action with this id has failed."),
        ] = None,
        enrolled_after: Annotated[
            datetime | None, strawberry.argument(description="Only those that began then, or later.")
        ] = None,
        enrolled_before: Annotated[
            datetime | None, strawberry.argument(description="Only those that began before.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> EnrollmentConnection:
        """Enrollments, newest first."""
        narrow = Narrow(trigger, failed_action, enrolled_after, enrolled_before)
        wanted = reads.asked(None if status is None else status.value, first, after, narrow)
        workflow_id = None if workflow is None else ids.decode_at("workflow", workflow, "workflow")
        record_id = None if record is None else ids.decode_at("record", record, "record")
        return EnrollmentConnection.of(await reads.page(info.context, workflow_id, record_id, wanted))


async def record_of(context: Context, record_id: int) -> Record:
    """The record with this number, or the survivor that it was merged into."""
    row = await loaders.record(context).load(record_id)
    assert row is not None  # records are never deleted
    return Record.of(records.found(context, row))


def record_told_of(context: Context, record_id: int) -> Record:
    """The same for who tells of events: at once where it is at hand, else to be awaited, which GraphQL does."""
    row = loaders.at_hand(context).get(record_id)
    told = record_of(context, record_id) if row is None else Record.of(records.found(context, row))
    return cast("Record", told)
