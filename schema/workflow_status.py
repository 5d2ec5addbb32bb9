"""How workflows stand: current counts, told anew as they change."""

from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from typing import Annotated, cast

import strawberry

from engine import ids
from engine.access import Scope
from engine.tallies import Standing
from resolvers import tallies
from resolvers.streams import StateStream
from resolvers.tallies import Stood
from schema.access import Requires
from schema.context import Info
from schema.workflows import Workflow


@strawberry.type
class WorkflowCounts:
    """Numbers of enrollments, and of what they ask for outside."""

    enrolled: int = strawberry.field(description="How many there are, and ever were.")
    active: int = strawberry.field(description="How many are on their way: those due and those waiting.")
    due: int = strawberry.field(description="How many active ones wait for nothing but their turn.")
    waiting: int = strawberry.field(
        description="How many active ones wait for a time, an event, or an answer from outside."
    )
    completed: int = strawberry.field(description="How many went through all actions.")
    failed: int = strawberry.field(description="How many ended with an error.")
    goal_met: int = strawberry.field(description="How many left since the goal was met.")
    unenrolled: int = strawberry.field(
        description="How many left for another reason: archived, merged away, taken out …"
    )
    outbox_pending: int = strawberry.field(description="Mails and calls of webhooks that are on their way.")
    outbox_failed: int = strawberry.field(
        description="Mails and calls of webhooks that did not arrive, or may not have."
    )


@strawberry.type
class WorkflowStanding(WorkflowCounts):
    """How one workflow stands."""

    number: strawberry.Private[int]
    workflow_id: strawberry.ID = strawberry.field(description="The workflow's id.")

    @strawberry.field
    async def workflow(self, info: Info) -> Workflow | None:
        """The workflow as it is now: its name, whether it is on, how far the enrolling of existing records is."""
        return await Workflow.found(info.context, self.number)


@strawberry.type
class WorkflowStatus(WorkflowCounts):
    """How a workflow stands, or all together."""

    cursor: str = strawberry.field(
        description="Of the moment that is counted: passed as `after` to a stream of events, it tells all that "
        "came behind it."
    )
    at: datetime = strawberry.field(description="When it was counted.")
    workflows: list[WorkflowStanding] = strawberry.field(
        description="Workflow by workflow; those that never enrolled anybody are left out, unless asked for."
    )

    @classmethod
    def of(cls, stood: Stood) -> "WorkflowStatus":
        """The counts as clients see them."""
        each = [
            WorkflowStanding(
                number=number,
                workflow_id=strawberry.ID(ids.encode("workflow", number)),
                **_counts([standing]),
            )
            for number, standing in stood.workflows.items()
        ]
        return cls(
            cursor=stood.cursor,
            at=stood.at,
            workflows=each,
            **_counts([Standing({}), *stood.workflows.values()]),
        )


def _counts(standings: Iterable[Standing]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in standings:
        by_status = one.by_status
        named = sum(by_status.get(status, 0) for status in ("ACTIVE", "COMPLETED", "FAILED", "GOAL_MET"))
        counts = {
            "enrolled": one.enrolled,
            "active": one.active,
            "due": one.due,
            "waiting": one.active - one.due,
            "completed": by_status.get("COMPLETED", 0),
            "failed": by_status.get("FAILED", 0),
            "goal_met": by_status.get("GOAL_MET", 0),
            "unenrolled": one.enrolled - named,
            "outbox_pending": one.outbox_pending,
            "outbox_failed": one.outbox_failed,
        }
        found = {name: found.get(name, 0) + n for name, n in counts.items()}
    return found


@strawberry.type
class WorkflowStatusSubscription:
    """The stream of counts."""

    @strawberry.subscription(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def workflow_status(
        self,
        info: Info,
        workflow: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only this workflow; null: all.")
        ] = None,
    ) -> AsyncGenerator[WorkflowStatus, None]:
        """How a workflow stands, or how all do: first as it is now, then whenever it changes, a few times a second."""

        async def states() -> AsyncGenerator[WorkflowStatus, None]:
            async for stood in tallies.stream(info.context, workflow):
                yield WorkflowStatus.of(stood)

        return cast("AsyncGenerator[WorkflowStatus, None]", StateStream(states))
