"""Evaluations that failed for an unexpected reason: what they were, and trying them again."""

from datetime import datetime

import strawberry

from engine import ids
from engine.access import Scope
from engine.evaluation.trouble import Kind
from resolvers import segments, troubles, workflows
from resolvers.troubles import Page
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollments import record_of
from schema.errors import UserError, told
from schema.nodes import PageInfo, page_info
from schema.records import Record
from schema.segments import Segment
from schema.workflows import Workflow
from storage.troubles import TroubleRow

enum(
    Kind,
    "EvaluationTroubleKind",
    "What is to be done again.",
    {
        "CHANGE": "All that follows from a change of the record.",
        "WALK": "Going on from the changed record to the records that it concerns.",
        "LOOK": "Examining the record for one workflow or segment.",
        "BY_HAND": "What a change of the record does to segments that are made by hand, and to its enrollments.",
    },
)


@strawberry.type
class EvaluationTrouble:
    """An evaluation that failed for an unexpected reason. It is tried again by itself, ever more rarely."""

    row: strawberry.Private[TroubleRow]
    id: strawberry.ID = strawberry.field(description="Its id, until it is tried again.")
    kind: Kind = strawberry.field(description="What is to be done again.")
    attempts: int = strawberry.field(description="How often it was tried.")
    error: str = strawberry.field(description="What went wrong the last time.")
    first_at: datetime = strawberry.field(description="When it failed first.")
    retry_at: datetime = strawberry.field(description="When it is tried again.")

    @strawberry.field
    async def record(self, info: Info) -> Record:
        """The record that changed, or that was to be examined; where it was merged away, its survivor."""
        return await record_of(info.context, self.row.work["record_id"])

    @strawberry.field
    async def workflow(self, info: Info) -> Workflow | None:
        """The workflow for which the record was to be examined, if it was for one."""
        number = self.row.work.get("listener_id")
        found = None if number is None else await workflows.by_id(info.context, number)
        return None if found is None else Workflow.of(info.context, found)

    @strawberry.field
    async def segment(self, info: Info) -> Segment | None:
        """The segment for which the record was to be examined, if it was for one."""
        number = self.row.work.get("listener_id")
        found = None if number is None else await segments.by_id(info.context, number)
        return None if found is None else Segment.of(info.context, found)

    @classmethod
    def of(cls, row: TroubleRow) -> "EvaluationTrouble":
        """The trouble as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("trouble", row.id)),
            kind=Kind(row.kind),
            attempts=row.attempts,
            error=row.error,
            first_at=row.first_at,
            retry_at=row.retry_at,
        )


@strawberry.type
class EvaluationTroubleEdge:
    """A failed evaluation on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: EvaluationTrouble = strawberry.field(description="The failed evaluation.")


@strawberry.type
class EvaluationTroubleConnection:
    """A page of failed evaluations, in the order in which they last failed."""

    edges: list[EvaluationTroubleEdge] = strawberry.field(
        description="The failed evaluations with their cursors."
    )
    nodes: list[EvaluationTrouble] = strawberry.field(description="The failed evaluations.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(cls, page: Page) -> "EvaluationTroubleConnection":
        """The page as clients see it."""
        nodes = [EvaluationTrouble.of(row) for row in page.rows]
        edges = [EvaluationTroubleEdge(cursor=node.id, node=node) for node in nodes]
        return cls(edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous))


@strawberry.input
class RetryEvaluationsInput:
    """Failed evaluations to be tried again."""

    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="These; null: all.")


@strawberry.type
class RetryEvaluationsPayload:
    """What became of failed evaluations to try again."""

    retried_count: int = strawberry.field(
        description="How many are tried again at once; others have been tried in the meantime."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class TroubleQuery:
    """Reads of failed evaluations."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def evaluation_troubles(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> EvaluationTroubleConnection:
        """What could not be evaluated for an unexpected reason: it is tried again, and nothing waits for it."""
        return EvaluationTroubleConnection.of(await troubles.listing(info.context, first, after))


@strawberry.type
class TroubleMutation:
    """Changes of failed evaluations."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def retry_evaluations(self, info: Info, input: RetryEvaluationsInput) -> RetryEvaluationsPayload:
        """Try failed evaluations again at once, once their cause has gone."""
        found, errors = await told(troubles.retry(info.context, input.ids))
        return RetryEvaluationsPayload(retried_count=found or 0, user_errors=errors)
