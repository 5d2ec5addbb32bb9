"""Workflows as wholes: revisions, what differs between them, copies, and files."""

from enum import Enum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError, GraphQLInputObjectType
from graphql.utilities import validate_input_value

from engine.access import Scope
from engine.problems import Problem, Refused
from engine.workflows import exchange
from resolvers import workflow_exchange as work
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.errors import UserError, told
from schema.scalars import JSON
from schema.workflows import Workflow, WorkflowPayload
from storage.workflows import WorkflowRow


class FileFormat(Enum):
    """How a file is written."""

    JSON = "JSON"
    YAML = "YAML"


enum(FileFormat, "FileFormat", "How a file is written.", {"JSON": "As JSON.", "YAML": "As YAML."})


@strawberry.type
class WorkflowDifference:
    """What differs at one place of two definitions."""

    path: list[JSON] = strawberry.field(description="The place: keys, numbers, and for an action its id.")
    before: JSON | None = strawberry.field(description="What stood there; null: nothing.")
    after: JSON | None = strawberry.field(description="What stands there; null: nothing.")


@strawberry.input
class CloneWorkflowInput:
    """A workflow to copy."""

    id: strawberry.ID = strawberry.field(description="The workflow; its draft is copied.")
    name: str = strawberry.field(description="What the copy is called.")


@strawberry.input
class ImportWorkflowInput:
    """A workflow's file."""

    content: str = strawberry.field(description="The file's text, JSON or YAML, as `workflowFile` gives it.")
    name: str | None = strawberry.field(
        default=None, description="What the workflow is called; null: as in the file."
    )


@strawberry.type
class WorkflowExchangeQuery:
    """Reads of workflows as wholes."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def workflow_diff(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The workflow.")],
        before: Annotated[
            int | None, strawberry.argument(description="The earlier revision; null: the draft.")
        ] = None,
        after: Annotated[
            int | None, strawberry.argument(description="The later revision; null: the draft.")
        ] = None,
    ) -> list[WorkflowDifference]:
        """What differs between two revisions of a workflow, or a revision and the draft."""
        return [
            WorkflowDifference(
                path=[JSON(part) for part in one.path],
                before=None if one.before is None else JSON(one.before),
                after=None if one.after is None else JSON(one.after),
            )
            for one in await work.differences(info.context, id, before, after)
        ]

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def workflow_file(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The workflow.")],
        format: Annotated[
            FileFormat, strawberry.argument(description="How it is written.")
        ] = FileFormat.YAML,
        revision: Annotated[
            int | None, strawberry.argument(description="This revision; null: the draft.")
        ] = None,
    ) -> str:
        """A workflow as a file that `importWorkflow` takes, in this account or another. It holds no secrets."""
        return await work.file(info.context, id, revision, as_yaml=format is FileFormat.YAML)


@strawberry.type
class WorkflowExchangeMutation:
    """Copies of workflows."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def clone_workflow(self, info: Info, input: CloneWorkflowInput) -> WorkflowPayload:
        """Make a workflow with the draft of another, off."""
        return _payload(info, *await told(work.clone(info.context, input.id, input.name)))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def import_workflow(self, info: Info, input: ImportWorkflowInput) -> WorkflowPayload:
        """Make a workflow from a file: a draft, off. All that it names must be there, under the same names."""

        async def take_in() -> WorkflowRow:
            return await work.take_in(info.context, _file(info, input.content), input.name)

        return _payload(info, *await told(take_in()))


def _file(info: Info, content: str) -> dict[str, Any]:
    """A file's content, once it fits the input that a client would send. Raises `Refused`."""
    try:
        file = exchange.parsed(content)
    except Problem as problem:
        raise problem.at("content") from None
    given = {key: part for key, part in file.items() if key not in ("relata", "form")}
    settings = ("name", "objectType", "triggers", "actions")
    shaped = {key: given[key] for key in settings if key in given}
    shaped["settings"] = {key: part for key, part in given.items() if key not in settings}
    found: list[Problem] = []

    def note(error: GraphQLError, path: list[str | int]) -> None:
        found.append(exchange.WorkflowFileUnreadable(reason=error.message, path=("content", *path)))

    kind = info._raw_info.schema.type_map["CreateWorkflowInput"]
    assert isinstance(kind, GraphQLInputObjectType)  # this very schema declares it
    validate_input_value(shaped, kind, note)
    if found:
        raise Refused(found)
    return file


def _payload(info: Info, row: WorkflowRow | None, errors: list[UserError]) -> WorkflowPayload:
    return WorkflowPayload(
        workflow=None if row is None else Workflow.of(info.context, row), user_errors=errors
    )
