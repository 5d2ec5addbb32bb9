"""Undoing what an enrollment has changed."""

from enum import Enum

import strawberry

from engine.access import Scope
from resolvers import workflow_explanations as reads
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollment_changes import EnrollmentChange
from schema.enrollments import Enrollment
from schema.errors import UserError, told
from schema.scalars import JSON


class UndoStatus(Enum):
    """What became of a change that was to be undone."""

    UNDONE = "UNDONE"
    ALREADY = "ALREADY"
    CONFLICT = "CONFLICT"
    IMPOSSIBLE = "IMPOSSIBLE"


enum(
    UndoStatus,
    "UndoStatus",
    "What became of a change that was to be undone.",
    {
        "UNDONE": "It was taken back.",
        "ALREADY": "All was as before the change.",
        "CONFLICT": "It was left as it is: somebody has changed it since, or a rule forbids it; `reason` says which.",
        "IMPOSSIBLE": "It cannot be taken back: a mail was sent, a webhook called, an enrollment elsewhere is over.",
    },
)


@strawberry.type
class UndoneChange:
    """A change of an enrollment, and what became of it."""

    step: int = strawberry.field(description="The number of the step that made it.")
    change: EnrollmentChange = strawberry.field(description="The change, as the step made it.")
    status: UndoStatus = strawberry.field(description="What became of it.")
    reason: str | None = strawberry.field(
        description=(
            "Why it was left, as a code: CHANGED_SINCE, GONE (the record, property, label or segment), SENT,"
            " ENROLLMENT_ENDED, UNENROLLED, or that of the command that was refused."
        )
    )
    current: JSON | None = strawberry.field(description="What stands there now, where that is in the way.")


@strawberry.input
class UndoEnrollmentInput:
    """An enrollment to undo."""

    enrollment_id: strawberry.ID = strawberry.field(description="The enrollment; an active one ends first.")


@strawberry.type
class UndoEnrollmentPayload:
    """What was undone, and what was not."""

    enrollment: Enrollment | None = strawberry.field(description="The enrollment as it is now.")
    changes: list[UndoneChange] = strawberry.field(description="All that it had changed, the last one first.")
    already_undone: bool = strawberry.field(
        description="Whether it had been undone before; `changes` then tell what became of them at that time."
    )
    user_errors: list[UserError]


@strawberry.type
class UndoMutation:
    """Undoing."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def undo_enrollment(self, info: Info, input: UndoEnrollmentInput) -> UndoEnrollmentPayload:
        """Take back what an enrollment has changed, the last change first, where nobody has changed it since.

        Records that it made are archived. Mails and calls cannot be undone. What is undone counts as changed by you.
        """
        found, errors = await told(reads.undo_enrollment(info.context, input.enrollment_id))
        if found is None:
            return UndoEnrollmentPayload(
                enrollment=None, changes=[], already_undone=False, user_errors=errors
            )
        return UndoEnrollmentPayload(
            enrollment=Enrollment.of(found.row),
            changes=[
                UndoneChange(
                    step=line["step"],
                    change=EnrollmentChange.of(line["undone"]),
                    status=UndoStatus(line["status"]),
                    reason=line.get("reason"),
                    current=None if line.get("current") is None else JSON(line["current"]),
                )
                for line in found.lines
            ],
            already_undone=found.before,
            user_errors=errors,
        )
