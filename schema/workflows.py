"""Workflows: what the account does by itself with records that meet a condition."""

from datetime import datetime
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from engine.named import Named
from resolvers import workflows as reads
from resolvers.context import Context
from schema.access import Requires
from schema.context import Info
from schema.enrollments import EnrollmentConnection, Status
from schema.errors import UserError, told, user_error
from schema.nodes import Node, PageInfo, page_info
from schema.uses import DefinitionUse, uses_of
from schema.workflow_actions import ActionInput
from schema.workflow_definitions import WorkflowDefinition, WorkflowDefinitionInput, definition
from schema.workflow_triggers import TriggerInput
from storage.workflows import WorkflowRow


@strawberry.type
class WorkflowRevision:
    """A definition that was published; it never changes."""

    revision: int = strawberry.field(description="Its number, from 1.")
    definition: WorkflowDefinition = strawberry.field(description="What it reacts to, and what it does.")
    published_at: datetime = strawberry.field(description="When it was published.")
    published_by_id: strawberry.ID | None = strawberry.field(
        description="The user who did it, if it was one."
    )


@strawberry.type
class WorkflowBackfill:
    """The enrolling of records that met the triggers when the workflow was turned on, until it has come to its end.

    While the workflow is off it stays where it is.
    """

    enrolled: int = strawberry.field(description="How many it has enrolled so far.")
    started_at: datetime = strawberry.field(description="When it began.")


@strawberry.type
class Workflow(Node):
    """A workflow of one object type: a draft, a published revision, and a switch."""

    row: strawberry.Private[WorkflowRow]
    name: str = strawberry.field(description="What people call it; unique in the account.")
    object_type: str = strawberry.field(description="The internal name of the object type that it enrolls.")
    version: int = strawberry.field(
        description="The draft's version. Whoever updates or publishes names the one that he has read."
    )
    enabled: bool = strawberry.field(description="Whether it is on: enrolls, and carries out actions.")
    enabled_at: datetime | None = strawberry.field(description="When it was last turned on.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @strawberry.field
    def draft(self) -> WorkflowDefinition:
        """What it is going to be, once published."""
        return WorkflowDefinition.of(self.row.draft)

    @strawberry.field
    async def published(self, info: Info) -> WorkflowRevision | None:
        """What new enrollments run on; null before it was ever published."""
        row = await reads.revision(info.context, self.row)
        if row is None:
            return None
        return WorkflowRevision(
            revision=row.revision,
            definition=WorkflowDefinition.of(row.definition),
            published_at=row.published_at,
            published_by_id=None
            if row.published_by is None
            else strawberry.ID(ids.encode("user", row.published_by)),
        )

    @strawberry.field
    async def problems(self, info: Info) -> list[UserError]:
        """What it names and is not there any more. A workflow whose triggers are broken enrolls nobody."""
        return [user_error(problem) for problem in await reads.problems(info.context, self.row)]

    @strawberry.field
    async def backfill(self, info: Info) -> WorkflowBackfill | None:
        """The enrolling of existing records, as far as it is; null where there is none, or it has ended."""
        row = await reads.backfill(info.context, self.row)
        return None if row is None else WorkflowBackfill(enrolled=row.enrolled, started_at=row.started_at)

    @strawberry.field
    async def enrollments(
        self, info: Info, status: Status = None, first: int | None = None, after: str | None = None
    ) -> EnrollmentConnection:
        """Its enrollments, newest first."""
        wanted = reads.asked(None if status is None else status.value, first, after)
        return EnrollmentConnection.of(await reads.page(info.context, self.row.id, None, wanted))

    @strawberry.field
    async def uses(self, info: Info) -> list[DefinitionUse]:
        """The places in segments and other workflows that name it; while there are any, it is not deleted."""
        return await uses_of(info.context, Named.WORKFLOW, self.row.id)

    @classmethod
    def of(cls, context: Context, row: WorkflowRow) -> "Workflow":
        """The workflow as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("workflow", row.id)),
            name=row.name,
            object_type=reads.of(context, row).name,
            version=row.draft_version,
            enabled=row.enabled,
            enabled_at=row.enabled_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @classmethod
    async def found(cls, context: Context, number: int) -> "Workflow":
        """The workflow that an enrollment or an event names."""
        row = await reads.by_id(context, number)
        assert row is not None  # workflows are never deleted
        return cls.of(context, row)


@strawberry.type
class WorkflowEdge:
    """A workflow on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: Workflow = strawberry.field(description="The workflow.")


@strawberry.type
class WorkflowConnection:
    """A page of workflows, in the order in which they were made."""

    edges: list[WorkflowEdge] = strawberry.field(description="The workflows with their cursors.")
    nodes: list[Workflow] = strawberry.field(description="The workflows.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.input
class CreateWorkflowInput:
    """A new workflow. It is off, and not published."""

    name: str = strawberry.field(description="What people call it; unique in the account.")
    object_type: str = strawberry.field(description='The object type that it enrolls, such as "contacts".')
    triggers: list[TriggerInput] = strawberry.field(
        description="Any one of them enrolls; at least one is needed."
    )
    actions: list[ActionInput] = strawberry.field(
        default_factory=list, description="What is done, in this order."
    )
    settings: WorkflowDefinitionInput | None = strawberry.field(
        default=None,
        description="Re-enrollment, who is kept out or taken out, and when actions are carried out.",
    )


@strawberry.input
class UpdateWorkflowInput:
    """What is to change of a draft; what is left out stays."""

    id: strawberry.ID = strawberry.field(description="The workflow.")
    version: int = strawberry.field(description="The version of the draft that you have read.")
    name: str | None = strawberry.field(default=None, description="What people call it.")
    triggers: list[TriggerInput] | None = strawberry.field(default=None, description="All triggers.")
    actions: list[ActionInput] | None = strawberry.field(
        default=None, description="All actions; one that keeps its id is told as the same in histories."
    )
    settings: WorkflowDefinitionInput | None = strawberry.field(
        default=None, description="The rest; of it, too, what is left out stays, and null takes away."
    )


@strawberry.input
class PublishWorkflowInput:
    """A draft to publish."""

    id: strawberry.ID = strawberry.field(description="The workflow.")
    version: int | None = strawberry.field(
        default=None, description="The version of the draft that you have read; null: whatever it is now."
    )


@strawberry.input
class SetWorkflowEnabledInput:
    """A workflow to turn on or off."""

    id: strawberry.ID = strawberry.field(description="The workflow.")
    enabled: bool = strawberry.field(description="Whether it is to be on.")
    enroll_existing: bool | None = strawberry.field(
        default=None,
        description="When turning it on: also enroll the records that meet the triggers already, from the first on. "
        "Where that had not come to its end when it was turned off, it goes on (null), or ends (false).",
    )


@strawberry.input
class DeleteWorkflowInput:
    """A workflow to delete."""

    id: strawberry.ID = strawberry.field(description="The workflow.")


@strawberry.type
class DeleteWorkflowPayload:
    """What became of a workflow to delete."""

    deleted_id: strawberry.ID | None = strawberry.field(
        description="The workflow that is gone; null where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class WorkflowPayload:
    """A workflow after a change."""

    workflow: Workflow | None = strawberry.field(description="The workflow as it is now.")
    user_errors: list[UserError]


@strawberry.type
class WorkflowQuery:
    """Reads of workflows."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def workflows(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> WorkflowConnection:
        """All workflows."""
        rows, more = await reads.listing(info.context, first, after)
        nodes = [Workflow.of(info.context, row) for row in rows]
        edges = [WorkflowEdge(cursor=str(node.id), node=node) for node in nodes]
        return WorkflowConnection(
            edges=edges, nodes=nodes, page_info=page_info(edges, more, after is not None)
        )

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def workflow(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Workflow | None:
        """One workflow."""
        row = await reads.by_id(info.context, ids.decode_at("workflow", id, "id"))
        return None if row is None or row.deleted_at is not None else Workflow.of(info.context, row)


@strawberry.type
class WorkflowMutation:
    """Changes of workflows."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def create_workflow(self, info: Info, input: CreateWorkflowInput) -> WorkflowPayload:
        """Make a workflow: a draft, off."""
        given = definition(input.triggers, input.actions, input.settings)
        work = reads.create(info.context, input.name, input.object_type, given)
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def update_workflow(self, info: Info, input: UpdateWorkflowInput) -> WorkflowPayload:
        """Change a draft. What is published stays as it is."""
        given = definition(input.triggers, input.actions, input.settings)
        work = reads.update(info.context, input.id, input.version, input.name, given)
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def publish_workflow(self, info: Info, input: PublishWorkflowInput) -> WorkflowPayload:
        """Let new enrollments run on the draft; running ones keep their revision."""
        return _payload(info, *await told(reads.publish(info.context, input.id, input.version)))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def set_workflow_enabled(self, info: Info, input: SetWorkflowEnabledInput) -> WorkflowPayload:
        """Turn a workflow on or off. Off, nobody enrolls, and actions that come due are skipped."""
        work = reads.set_enabled(info.context, input.id, input.enabled, input.enroll_existing)
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def delete_workflow(self, info: Info, input: DeleteWorkflowInput) -> DeleteWorkflowPayload:
        """Delete a workflow that nothing else names. Its active enrollments end; its history stays."""
        row, errors = await told(reads.delete(info.context, input.id))
        gone = None if row is None else strawberry.ID(ids.encode("workflow", row.id))
        return DeleteWorkflowPayload(deleted_id=gone, user_errors=errors)


def _payload(info: Info, row: WorkflowRow | None, errors: list[UserError]) -> WorkflowPayload:
    return WorkflowPayload(
        workflow=None if row is None else Workflow.of(info.context, row), user_errors=errors
    )
