"""Dry runs: what a workflow would do, told and not done."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from engine import ids
from engine.access import Scope
from engine.workflows.dry_run import DryRun as Found
from engine.workflows.dry_run import Line, Rehearsal
from resolvers import dry_runs as reads
from resolvers import records
from resolvers.dry_runs import Asked
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollment_changes import EnrollmentChange
from schema.enrollment_steps import DeliveryKind, EnrollmentError, StepOutcome
from schema.enrollments import EnrollmentStatus
from schema.errors import UserError, told, user_error
from schema.records import Record
from schema.scalars import JSON
from schema.workflow_actions import ActionInput
from schema.workflow_definitions import WorkflowDefinitionInput, definition
from schema.workflow_explanations import WhyNotReason
from schema.workflow_triggers import TriggerInput
from storage.outbox import OutboxRow
from storage.records import RecordRow


class DryRunEntry(Enum):
    """How the records of a dry run enter the workflow."""

    TRIGGERED = "TRIGGERED"
    CALLED = "CALLED"


enum(
    DryRunEntry,
    "DryRunEntry",
    "How the records of a dry run enter the workflow.",
    {
        "TRIGGERED": (
            "As if something that concerns them had just changed: filters decide, and what other triggers wait for"
            " counts as having happened, unless they ask more of it than of the record."
        ),
        "CALLED": "As by `enrollRecords`, whatever the triggers say.",
    },
)


@strawberry.input
class DryRunDefinitionInput:
    """A definition that is nowhere kept."""

    object_type: str = strawberry.field(description='The object type that it enrolls, such as "contacts".')
    triggers: list[TriggerInput] = strawberry.field(description="Any one of them enrolls.")
    actions: list[ActionInput] = strawberry.field(
        default_factory=list, description="What is done, in this order."
    )
    settings: WorkflowDefinitionInput | None = strawberry.field(default=None, description="The rest.")


@strawberry.input
class DryRunWorkflowInput:
    """What to try: a workflow, or a definition."""

    workflow: strawberry.ID | None = strawberry.field(default=None, description="A workflow, on or off.")
    revision: int | None = strawberry.field(
        default=None,
        description="This revision of it; null: the published one, or, before the first publication, the draft.",
    )
    draft: bool = strawberry.field(default=False, description="Its draft, whatever is published.")
    definition: DryRunDefinitionInput | None = strawberry.field(
        default=None, description="A definition in place of a workflow."
    )
    record_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="The records to try it with, 100 at most."
    )
    entry: DryRunEntry = strawberry.field(default=DryRunEntry.TRIGGERED, description="How they enter.")
    events_occur: bool = strawberry.field(
        default=False,
        description="Whether what delays wait for occurs at once; else their time runs out.",
    )
    count_all: bool = strawberry.field(
        default=False,
        description="Whether to count all records that meet the triggers that are filters, and are not kept out.",
    )


@strawberry.type
class DryRunSending:
    """A mail or a call that would be sent, and is not."""

    kind: DeliveryKind = strawberry.field(description="What it is.")
    to: str = strawberry.field(description="The address, or the URL.")
    record_id: strawberry.ID | None = strawberry.field(description="The record to or about which it is.")
    subject: str | None = strawberry.field(description="Of a mail: its subject.")
    text: str | None = strawberry.field(description="Of a mail: its text.")
    html: str | None = strawberry.field(description="Of a mail: its text with a layout.")
    payload: JSON | None = strawberry.field(description="Of a call: what is posted.")

    @classmethod
    def of(cls, row: OutboxRow) -> "DryRunSending":
        """What would be sent as clients see it."""
        request: Mapping[str, Any] = row.request
        return cls(
            kind=DeliveryKind(row.kind),
            to=request.get("to") or request.get("url") or "",
            record_id=None if row.record_id is None else strawberry.ID(ids.encode("record", row.record_id)),
            subject=request.get("subject"),
            text=request.get("text"),
            html=request.get("html"),
            payload=None if request.get("payload") is None else JSON(request["payload"]),
        )


@strawberry.type
class DryRunStep:
    """A step that would be taken."""

    action: str = strawberry.field(description="The id of the action.")
    kind: str = strawberry.field(description="Its key in `ActionInput`.")
    at: datetime = strawberry.field(description="When it would be, at the earliest.")
    outcome: StepOutcome = strawberry.field(description="What would come of it.")
    branch: str | None = strawberry.field(description="Of a branch: the way it would go.")
    waits_for: str | None = strawberry.field(
        description="Why it would wait before: DELAY, EVENT, OUTSIDE, WINDOW (its hours), RETRY."
    )
    waits_until: datetime | None = strawberry.field(description="Until when it would wait.")
    changes: list[EnrollmentChange] = strawberry.field(description="What it would change.")
    sends: list[DryRunSending] = strawberry.field(description="The mails and calls that it would send.")
    error: EnrollmentError | None = strawberry.field(description="Why it would fail.")

    @classmethod
    def of(cls, line: Line) -> "DryRunStep":
        """The step as clients see it."""
        step = line.step
        branch = next((one["branch"] for one in step.changes if "branch" in one), None)
        return cls(
            action=step.action,
            kind=line.kind,
            at=step.at,
            outcome=StepOutcome(step.outcome),
            branch=None if branch is None else str(branch),
            waits_for=line.waited,
            waits_until=line.waited_until,
            changes=[EnrollmentChange.of(one) for one in step.changes],
            sends=[DryRunSending.of(one) for one in line.sent],
            error=EnrollmentError.of(step.error),
        )


@strawberry.type
class DryRunCreatedRecord:
    """A record that would be made."""

    object_type: str = strawberry.field(description="Its object type.")
    created_id: strawberry.ID = strawberry.field(
        description="How the changes call it; there is no such record."
    )
    properties: JSON = strawberry.field(
        description="Its properties, by internal name, as they would be in the end."
    )


@strawberry.type
class DryRunRecord:
    """What would become of one record."""

    row: strawberry.Private[RecordRow | None]
    record_id: strawberry.ID = strawberry.field(description="The record, as it was named.")
    enters: bool = strawberry.field(description="Whether it would be enrolled.")
    reason: WhyNotReason | None = strawberry.field(description="Why it would not.")
    trigger: int | None = strawberry.field(description="Which trigger would let it in.")
    status: EnrollmentStatus | None = strawberry.field(
        description="How its enrollment would end; ACTIVE where the run was cut off."
    )
    error: EnrollmentError | None = strawberry.field(description="Why it would end so.")
    steps: list[DryRunStep] = strawberry.field(description="The path that it would take.")
    changes: list[EnrollmentChange] = strawberry.field(
        description="The difference that all of it would make, in order; branches and delays are left out."
    )
    created: list[DryRunCreatedRecord] = strawberry.field(description="The records that would be made.")
    problem: UserError | None = strawberry.field(description="Why it cannot be tried with this record.")

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record as it is, which is as it was."""
        return None if self.row is None else Record.of(records.found(info.context, self.row))

    @classmethod
    def of(cls, info: Info, one: Rehearsal) -> "DryRunRecord":
        """The record's part as clients see it."""
        types = info.context.catalogue.object_types
        return cls(
            row=one.record,
            record_id=strawberry.ID(ids.encode("record", one.asked)),
            enters=one.status is not None,
            reason=None if one.reason is None else WhyNotReason(one.reason),
            trigger=one.trigger,
            status=None if one.status is None else EnrollmentStatus(one.status),
            error=None if one.error is None else EnrollmentError.of(dict(one.error)),
            steps=[DryRunStep.of(line) for line in one.lines],
            changes=[
                EnrollmentChange.of(change)
                for change in one.changes
                if "branch" not in change and "waited_for" not in change
            ],
            created=[
                DryRunCreatedRecord(
                    object_type=types[row.object_type_id].name,
                    created_id=strawberry.ID(ids.encode("record", row.id)),
                    properties=JSON(row.properties),
                )
                for row in one.created.values()
            ],
            problem=None if one.problem is None else user_error(one.problem),
        )


@strawberry.type
class DryRunWorkflowPayload:
    """What a workflow would do. Nothing of it has been done."""

    found: strawberry.Private[Found | None]
    count: int | None = strawberry.field(
        description="How many records meet the triggers, where that was asked."
    )
    user_errors: list[UserError]

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    def records(self, info: Info) -> list[DryRunRecord]:
        """What would become of each record."""
        return [] if self.found is None else [DryRunRecord.of(info, one) for one in self.found.records]

    @classmethod
    def of(cls, found: Found | None, errors: list[UserError]) -> "DryRunWorkflowPayload":
        """The answer as clients see it."""
        problems = [] if found is None else [user_error(one, "input") for one in found.problems]
        count = None if found is None else found.count
        return cls(found=found, count=count, user_errors=[*errors, *problems])


@strawberry.type
class DryRunQuery:
    """Dry runs."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def dry_run_workflow(self, info: Info, input: DryRunWorkflowInput) -> DryRunWorkflowPayload:
        """What a workflow, or a definition, would do with chosen records. Nothing is written, and nothing is sent."""
        given = input.definition
        document = (
            None
            if given is None
            else (given.object_type, definition(given.triggers, given.actions, given.settings))
        )
        asked = Asked(
            input.workflow,
            document,
            input.revision,
            input.draft,
            input.record_ids,
            input.entry is DryRunEntry.CALLED,
            input.events_occur,
            input.count_all,
        )
        return DryRunWorkflowPayload.of(*await told(reads.dry(info.context, asked)))
