"""Records are enrolled, and taken out, by hand."""

import strawberry

from engine.access import Scope
from engine.batches import Mode
from resolvers import enrolling
from resolvers import workflows as reads
from resolvers.batches import Batch
from schema.access import Requires
from schema.batches import Done, done
from schema.context import Info
from schema.enrollments import Enrollment
from schema.errors import UserError


@strawberry.input
class EnrollRecordsInput:
    """Records to enroll, at most 1,000. It needs no trigger, and may be again: only who is active is not enrolled."""

    workflow_id: strawberry.ID = strawberry.field(description="The workflow; it must be on.")
    record_ids: list[strawberry.ID] = strawberry.field(description="The records.")
    mode: Mode = strawberry.field(
        default=Mode.PER_ITEM, description="What one record's problem means for the others."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="A text of your choice: the same key twice does the work once and answers the same.",
    )


@strawberry.input
class UnenrollRecordsInput:
    """Records to take out of a workflow, at most 1,000."""

    workflow_id: strawberry.ID = strawberry.field(description="The workflow.")
    record_ids: list[strawberry.ID] = strawberry.field(description="The records.")
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="A text of your choice: the same key twice does the work once and answers the same.",
    )


@strawberry.type
class EnrollRecordResult:
    """What became of one record that was to be enrolled."""

    record_id: strawberry.ID = strawberry.field(description="The record as it was named.")
    enrollment: Enrollment | None = strawberry.field(description="Its enrollment; null where it has none.")
    user_errors: list[UserError] = strawberry.field(
        description="Why not: ACTIVE_NOW, SUPPRESSED, GOAL_MET, RECORD_ARCHIVED, WORKFLOW_OFF …"
    )


@strawberry.type
class EnrollRecordsPayload:
    """What became of records that were to be enrolled."""

    results: list[EnrollRecordResult] = strawberry.field(
        description="One for each record, in the same order; none where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong, with the request or with any of its records; empty when all went well."
    )


@strawberry.type
class UnenrollRecordResult:
    """What became of one record that was to be taken out."""

    record_id: strawberry.ID = strawberry.field(description="The record as it was named.")
    unenrolled: bool = strawberry.field(description="Whether it was active until now.")
    user_errors: list[UserError] = strawberry.field(description="What was wrong with it.")


@strawberry.type
class UnenrollRecordsPayload:
    """What became of records that were to be taken out."""

    results: list[UnenrollRecordResult] = strawberry.field(
        description="One for each record, in the same order; none where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong, with the request or with any of its records; empty when all went well."
    )


@strawberry.type
class EnrollingMutation:
    """Enrolling by hand."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def enroll_records(self, info: Info, input: EnrollRecordsInput) -> EnrollRecordsPayload:
        """Enroll records by hand, whatever the triggers say."""
        records = [str(one) for one in input.record_ids]
        about = str(input.workflow_id)
        batch = Batch("enrollRecords", records, input.mode, input.idempotency_key, about=about)
        found = await done(enrolling.enroll(info.context, about, batch), len(records), "recordIds")
        results = [
            EnrollRecordResult(
                record_id=strawberry.ID(one),
                enrollment=None if value is None else await _enrollment(info, value),
                user_errors=own,
            )
            for one, value, own in _each(records, found)
        ]
        return EnrollRecordsPayload(results=results, user_errors=found.user_errors)

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def unenroll_records(self, info: Info, input: UnenrollRecordsInput) -> UnenrollRecordsPayload:
        """Take records out of a workflow: what they have not come to is not done any more."""
        records = [str(one) for one in input.record_ids]
        about = str(input.workflow_id)
        batch = Batch("unenrollRecords", records, Mode.PER_ITEM, input.idempotency_key, about=about)
        found = await done(enrolling.unenroll(info.context, about, batch), len(records), "recordIds")
        results = [
            UnenrollRecordResult(record_id=strawberry.ID(one), unenrolled=bool(value), user_errors=own)
            for one, value, own in _each(records, found)
        ]
        return UnenrollRecordsPayload(results=results, user_errors=found.user_errors)


def _each(records: list[str], found: Done) -> list[tuple[str, int | None, list[UserError]]]:
    return list(zip(records, found.values, found.errors, strict=bool(found.values)))


async def _enrollment(info: Info, number: int) -> Enrollment:
    row = await reads.enrollment(info.context, number)
    assert row is not None  # it was made, now or under the same key
    return Enrollment.of(row)
