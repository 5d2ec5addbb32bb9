"""How workflows fare."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from engine.workflows.health import Health
from resolvers import workflow_explanations as reads
from resolvers import workflows
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollment_steps import EnrollmentError
from schema.enrollments import Enrollment
from schema.errors import UserError, user_error
from schema.nodes import page_info
from schema.workflows import Workflow, WorkflowConnection, WorkflowEdge
from storage.workflow_health import FailureRow


class WorkflowState(Enum):
    """How a workflow fares."""

    OFF = "OFF"
    BROKEN = "BROKEN"
    FAILING = "FAILING"
    SILENT = "SILENT"
    OK = "OK"


enum(
    WorkflowState,
    "WorkflowState",
    "How a workflow fares; the first of these that is true.",
    {
        "OFF": "It is off.",
        "BROKEN": "It names what is not there any more; `problems` says what.",
        "FAILING": "Actions have failed, or records could not be examined.",
        "SILENT": "Nobody was enrolled in all this time.",
        "OK": "All is well.",
    },
)


@strawberry.type
class WorkflowFailure:
    """Failures of one action for one reason."""

    row: strawberry.Private[FailureRow]
    action: str | None = strawberry.field(
        description="The id of the action; null where enrollments were stopped as they began."
    )
    code: str | None = strawberry.field(description="Why, as a code.")
    count: int = strawberry.field(description="How many, among the newest 5,000 enrollments.")
    last_at: datetime = strawberry.field(description="When it last happened.")
    last_error: EnrollmentError | None = strawberry.field(description="What was wrong then.")

    @strawberry.field
    async def enrollment(self, info: Info) -> Enrollment | None:
        """The enrollment to which it last happened."""
        row = await workflows.enrollment(info.context, self.row.enrollment_id)
        return None if row is None else Enrollment.of(row)

    @strawberry.field
    def enrollment_id(self) -> strawberry.ID:
        """Its id."""
        return strawberry.ID(ids.encode("enrollment", self.row.enrollment_id))

    @classmethod
    def of(cls, row: FailureRow) -> "WorkflowFailure":
        """The failures as clients see them."""
        return cls(
            row=row,
            action=row.action,
            code=row.code,
            count=row.count,
            last_at=row.last_at,
            last_error=EnrollmentError.of(row.error),
        )


@strawberry.type
class WorkflowHealth:
    """How a workflow fares. Numbers stop at 10,000."""

    health: strawberry.Private[Health]
    state: WorkflowState = strawberry.field(description="How it fares.")
    problems: list[UserError] = strawberry.field(
        description="What it names and is not there any more, with the path in the definition."
    )
    silent_since: datetime | None = strawberry.field(
        description="When it last enrolled a record, or was turned on since; null: it is off."
    )
    last_enrolled_at: datetime | None = strawberry.field(
        description="When it last enrolled a record; null: never."
    )
    failures: list[WorkflowFailure] = strawberry.field(
        description="What has failed in these days, by action and reason, the most frequent first."
    )
    waiting_outside: int = strawberry.field(
        description="How many enrollments wait for mails and calls to arrive."
    )
    due: int = strawberry.field(description="How many enrollments are due, and wait for their turn.")
    due_since: datetime | None = strawberry.field(description="Since when the first of them is.")
    put_aside: int = strawberry.field(
        description="How many evaluations were put aside after an unexpected error; they are tried again."
    )
    put_aside_error: str | None = strawberry.field(description="One of these errors.")
    changes_waiting_since: datetime | None = strawberry.field(
        description="The time of the account's oldest change that no workflow has examined yet; null: there is none."
    )

    @strawberry.field
    def workflow(self, info: Info) -> Workflow:
        """The workflow."""
        return Workflow.of(info.context, self.health.workflow)

    @classmethod
    def of(cls, found: Health) -> "WorkflowHealth":
        """The health as clients see it."""
        standing = found.standing
        return cls(
            health=found,
            state=WorkflowState(found.state.value),
            problems=[user_error(one) for one in found.problems],
            silent_since=found.silent_since,
            last_enrolled_at=standing.last_enrolled_at,
            failures=[WorkflowFailure.of(row) for row in found.failures],
            waiting_outside=standing.outside,
            due=standing.due,
            due_since=standing.due_since,
            put_aside=standing.aside,
            put_aside_error=standing.aside_error,
            changes_waiting_since=standing.queued_since,
        )


@strawberry.type
class WorkflowHealthQuery:
    """How workflows fare."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def workflow_health(
        self,
        info: Info,
        workflow: Annotated[strawberry.ID, strawberry.argument(description="The workflow.")],
        days: Annotated[
            int, strawberry.argument(description="So many days are looked back on, and count as silence.")
        ] = 7,
    ) -> WorkflowHealth:
        """How a workflow fares: whether what it names is there, what fails, what waits, and since when it is silent."""
        return WorkflowHealth.of(await reads.workflow_health(info.context, workflow, days))

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def broken_workflows(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> WorkflowConnection:
        """The published workflows that name what is not there any more: they enroll nobody, or their actions fail."""
        rows, more = await reads.broken_workflows(info.context, first, after)
        nodes = [Workflow.of(info.context, row) for row in rows]
        edges = [WorkflowEdge(cursor=str(node.id), node=node) for node in nodes]
        return WorkflowConnection(
            edges=edges, nodes=nodes, page_info=page_info(edges, more, after is not None)
        )
