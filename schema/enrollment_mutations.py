"""What people do with enrollments that failed: they have them taken up again."""

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import retries
from schema.access import Requires
from schema.context import Info
from schema.enrollments import Enrollment
from schema.errors import UserError, told


@strawberry.input
class RetryStepInput:
    """A failed step to be tried again."""

    enrollment_id: strawberry.ID = strawberry.field(description="The enrollment.")
    step: int | None = strawberry.field(
        default=None,
        description=(
            "The number of an earlier step whose failure was passed over: what it sent outside, and did not arrive, is"
            " sent again, and the enrollment stays where it is. Null: the step at which the enrollment failed; it goes"
            " on from there."
        ),
    )


@strawberry.input
class RetryFailedInput:
    """Failed enrollments of a workflow to be taken up again."""

    workflow_id: strawberry.ID = strawberry.field(description="The workflow.")
    action: str | None = strawberry.field(
        default=None, description="Only those that failed at the action with this id."
    )
    after: strawberry.ID | None = strawberry.field(
        default=None, description="Only those behind this enrollment: `lastId` of the call before."
    )


@strawberry.type
class RetryStepPayload:
    """What became of a step to retry."""

    enrollment: Enrollment | None = strawberry.field(
        description="The enrollment as it stands now; null where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class RetryFailedPayload:
    """What became of failed enrollments."""

    retried_count: int = strawberry.field(
        description="How many go on; the others were taken for a loop, were undone, or their record is active again."
    )
    last_id: strawberry.ID | None = strawberry.field(
        description="The last enrollment that was looked at where there may be more; else null."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class EnrollmentMutation:
    """Changes of enrollments."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def retry_step(self, info: Info, input: RetryStepInput) -> RetryStepPayload:
        """Try a failed step again. What it sends outside has the same idempotency key as before."""
        row, errors = await told(retries.step(info.context, input.enrollment_id, input.step))
        return RetryStepPayload(enrollment=None if row is None else Enrollment.of(row), user_errors=errors)

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def retry_failed(self, info: Info, input: RetryFailedInput) -> RetryFailedPayload:
        """Take up again up to 1,000 enrollments of a workflow that have failed."""
        found, errors = await told(retries.failed(info.context, input.workflow_id, input.action, input.after))
        last = None if found is None else found.last
        return RetryFailedPayload(
            retried_count=0 if found is None else found.count,
            last_id=None if last is None else strawberry.ID(ids.encode("enrollment", last)),
            user_errors=errors,
        )
