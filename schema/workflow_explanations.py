"""Why a record was enrolled in a workflow, and why it was not."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from engine import ids
from engine.access import Scope
from engine.workflows.diagnosis import Cause, Diagnosed
from engine.workflows.needed import Needed
from engine.workflows.seen import Condition, Role
from engine.workflows.why_not import WhyNot
from engine.workflows.why_not_words import MESSAGES, needs, reasons
from resolvers import loaders, records, workflows
from resolvers import workflow_explanations as reads
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollments import Enrollment
from schema.errors import UserError, user_error
from schema.explanations import FilterExplanation
from schema.records import Record
from schema.scalars import JSON
from schema.workflows import Workflow

WhyNotReason = Enum("WhyNotReason", {one: one for one in reasons()})  # type: ignore[misc]
enum(WhyNotReason, "WhyNotReason", "Why a record is not enrolled.", MESSAGES)

NeededKind = Enum("NeededKind", {one: one for one in needs()})  # type: ignore[misc]
enum(NeededKind, "NeededKind", "What kind of change something needs.", needs())

ConditionRole = Enum("ConditionRole", {one.name: one.value for one in Role})  # type: ignore[misc]
enum(
    ConditionRole,
    "WorkflowConditionRole",
    "What a condition of a workflow is for.",
    {
        "TRIGGER": "It lets a record in.",
        "REENROLLMENT": "It lets a record in again.",
        "SUPPRESSION": "It keeps a record out.",
        "GOAL": "It keeps a record out, and ends its enrollment.",
    },
)


@strawberry.type
class EnrollmentCause:
    """The change for which a record was enrolled."""

    told: strawberry.Private[Cause]
    kind: str = strawberry.field(description="What happened, as `EnrollmentReason` says it.")
    at: datetime = strawberry.field(description="When.")
    exact: bool = strawberry.field(
        description="Whether `at` is the time of the change itself; else it is that of the enrollment."
    )
    record_id: strawberry.ID | None = strawberry.field(description="The record that changed.")
    source: str | None = strawberry.field(
        description="What kind of thing changed it: API, IMPORT, WORKFLOW …"
    )
    source_id: str | None = strawberry.field(description="Which of its kind.")
    user_id: strawberry.ID | None = strawberry.field(description="The user who did it, if it was one.")
    details: JSON = strawberry.field(
        description="The rest of what is known: the property, the associated record, the event …"
    )

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record that changed, as it is now."""
        return await _record(info, self.told.record)

    @classmethod
    def of(cls, cause: Cause) -> "EnrollmentCause":
        """The cause as clients see it."""
        return cls(
            told=cause,
            kind=cause.kind,
            at=cause.at,
            exact=cause.exact,
            record_id=None if cause.record is None else strawberry.ID(ids.encode("record", cause.record)),
            source=cause.source,
            source_id=cause.source_id,
            user_id=None if cause.user_id is None else strawberry.ID(ids.encode("user", cause.user_id)),
            details=JSON(dict(cause.details)),
        )


@strawberry.type
class DiagnosedTrigger:
    """A trigger that let a record in, and what it saw at that moment."""

    told: strawberry.Private[Mapping[str, Any]]
    trigger: int = strawberry.field(
        description="Its place among the triggers, from 0; re-enrollment triggers count on behind the others."
    )
    kind: str = strawberry.field(description="Its key in `TriggerInput`.")
    occurred: JSON = strawberry.field(description="What happened, as it was told.")
    event_id: strawberry.ID | None = strawberry.field(description="The event that occurred, if it was one.")

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    def where(self) -> FilterExplanation | None:
        """What was asked of the record, with the values and associated records as they were then.

        Null: nothing was asked, or so much was looked at that it was not kept.
        """
        return _explanation(self.told.get("where"))

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def other(self, info: Info) -> Record | None:
        """The record at the other end of the association that came or went."""
        told = self.told.get("other")
        return None if told is None else await _record(info, ids.decode("record", told["record"]))

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    def other_where(self) -> FilterExplanation | None:
        """What was asked of the record at the other end, as it was then."""
        return _explanation((self.told.get("other") or {}).get("where"))


@strawberry.type
class EnrollmentDiagnosis:
    """Why a record was enrolled, as it was seen at that moment."""

    enrollment: Enrollment = strawberry.field(description="The enrollment.")
    cause: EnrollmentCause = strawberry.field(description="Whose change it was, when, and by whom.")
    triggers: list[DiagnosedTrigger] = strawberry.field(
        description="What let it in, and, at a re-enrollment, what let it in again. Empty where it was called in."
    )
    kept: bool = strawberry.field(description="Whether what the triggers saw was kept.")

    @classmethod
    def of(cls, found: Diagnosed) -> "EnrollmentDiagnosis":
        """The diagnosis as clients see it."""
        return cls(
            enrollment=Enrollment.of(found.row),
            cause=EnrollmentCause.of(found.cause),
            triggers=[
                DiagnosedTrigger(
                    told=one,
                    trigger=one["trigger"],
                    kind=one["kind"],
                    occurred=JSON(one["occurred"]),
                    event_id=one.get("event"),
                )
                for one in found.triggers
            ],
            kept=found.kept,
        )


@strawberry.type
class NeededChange:
    """One thing that must be otherwise for a record to be enrolled."""

    told: strawberry.Private[Needed]
    kind: NeededKind = strawberry.field(description="What kind of change it is.")
    words: str = strawberry.field(description="The change, in words.")
    record_id: strawberry.ID | None = strawberry.field(description="Of which record.")
    path: list[JSON] = strawberry.field(description="The condition: its place in the definition.")
    holds: bool = strawberry.field(description="Whether the condition must come to hold; else it must fail.")
    expected: JSON | None = strawberry.field(
        description="What the condition asks: property, operator, values …"
    )
    actual: JSON | None = strawberry.field(description="What it has found; null: nothing.")
    to: str | None = strawberry.field(
        description="Of which type the records to be associated, or parted, are."
    )
    labels: list[str] | None = strawberry.field(description="Under which of these labels; null: any.")
    other_id: strawberry.ID | None = strawberry.field(description="The record to be parted from.")
    count: int = strawberry.field(description="How many such changes are needed.")

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record."""
        return await _record(info, self.told.record_id)

    @classmethod
    def of(cls, needed: Needed) -> "NeededChange":
        """The change as clients see it."""
        record, other = needed.record_id, needed.other
        return cls(
            told=needed,
            kind=NeededKind(needed.kind),
            words=needed.words,
            record_id=None if record is None else strawberry.ID(ids.encode("record", record)),
            path=[JSON(step) for step in needed.path],
            holds=needed.holds,
            expected=None if needed.expected is None else JSON(dict(needed.expected)),
            actual=None if needed.actual is None else JSON(needed.actual),
            to=needed.to,
            labels=None if needed.labels is None else list(needed.labels),
            other_id=None if other is None else strawberry.ID(ids.encode("record", other)),
            count=needed.count,
        )


@strawberry.type
class WorkflowCondition:
    """A condition of a workflow, and what it says of a record now."""

    told: strawberry.Private[Condition]
    role: ConditionRole = strawberry.field(description="What it is for.")
    number: int | None = strawberry.field(description="Of a trigger: its place in its list, from 0.")
    kind: str | None = strawberry.field(description="Of a trigger: its key in `TriggerInput`.")
    holds: bool = strawberry.field(
        description="Whether it holds now. Triggers that wait for something to happen never hold by themselves."
    )

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    def where(self) -> FilterExplanation | None:
        """What it asks of the record, part by part; null where nothing is asked, or too much is looked at."""
        return _explanation(self.told.tree)

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    def nearest(self) -> list[NeededChange] | None:
        """The smallest change after which it lets the record in, or keeps it out no longer.

        Null: there is none, or so much is looked at that it cannot be told.
        """
        way = self.told.way
        return None if way is None else [NeededChange.of(one) for one in way.changes]


@strawberry.type
class WhyNotEnrolled:
    """Why a record is not enrolled in a workflow."""

    told: strawberry.Private[WhyNot]
    reason: WhyNotReason = strawberry.field(description="Why, as a code.")
    message: str = strawberry.field(description="Why, in words.")
    conditions: list[WorkflowCondition] = strawberry.field(
        description="What the triggers, the suppression and the goal say now."
    )
    problems: list[UserError] = strawberry.field(
        description="What the workflow names and is not there any more."
    )

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    def nearest(self) -> list[NeededChange] | None:
        """The smallest change that would enroll the record. Empty: it is still to be examined.

        Null: nothing would, or so much is looked at that it cannot be told.
        """
        needed = self.told.needed
        return None if needed is None else [NeededChange.of(one) for one in needed]

    @strawberry.field
    async def workflow(self, info: Info) -> Workflow:
        """The workflow."""
        return Workflow.of(info.context, self.told.workflow)

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def record(self, info: Info) -> Record:
        """The record; where it was merged away, its survivor."""
        return Record.of(records.found(info.context, self.told.record))

    @strawberry.field
    async def enrollment(self, info: Info) -> Enrollment | None:
        """Its last enrollment in the workflow, if it was enrolled."""
        standing = self.told.standing
        row = None if standing is None else await workflows.enrollment(info.context, standing.enrollment_id)
        return None if row is None else Enrollment.of(row)

    @classmethod
    def of(cls, found: WhyNot) -> "WhyNotEnrolled":
        """The answer as clients see it."""
        return cls(
            told=found,
            reason=WhyNotReason(found.reason),
            message=MESSAGES[found.reason],
            conditions=[
                WorkflowCondition(
                    told=one, role=ConditionRole(one.role), number=one.number, kind=one.kind, holds=one.holds
                )
                for one in found.conditions
            ],
            problems=[user_error(one) for one in found.problems],
        )


@strawberry.type
class WorkflowExplanationQuery:
    """Explanations of workflows."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def diagnose_enrollment(
        self,
        info: Info,
        enrollment: Annotated[strawberry.ID, strawberry.argument(description="The enrollment.")],
    ) -> EnrollmentDiagnosis:
        """Why a record was enrolled: whose change it was, and what the triggers saw at that moment."""
        return EnrollmentDiagnosis.of(await reads.diagnose(info.context, enrollment))

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def why_not_enrolled(
        self,
        info: Info,
        workflow: Annotated[strawberry.ID, strawberry.argument(description="The workflow.")],
        record: Annotated[strawberry.ID, strawberry.argument(description="The record.")],
    ) -> WhyNotEnrolled:
        """Why a record is not enrolled in a workflow, and the smallest change that would enroll it."""
        return WhyNotEnrolled.of(await reads.why_not_enrolled(info.context, workflow, record))


async def _record(info: Info, number: int | None) -> Record | None:
    row = None if number is None else await loaders.record(info.context).load(number)
    return None if row is None else Record.of(records.found(info.context, row))


def _explanation(told: Mapping[str, Any] | None) -> FilterExplanation | None:
    return None if told is None else FilterExplanation(told=told)
