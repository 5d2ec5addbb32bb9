"""What is done with an enrolled record: one of many kinds of action, as clients write it and read it.

The fields of each are those of `engine.workflows.definition.actions`; a test holds the two together.
"""

from typing import Annotated, Any, Union

import strawberry

from schema.mirrored import OUTPUTS, mirrored, union
from schema.workflow_control_actions import (
    BranchActionInput,
    BranchPartInput,
    DelayActionInput,
    EndActionInput,
    GoToActionInput,
    UntilEventInput,
    UntilPropertyInput,
    UntilTimeInput,
    ValueBranchActionInput,
    ValueCaseInput,
    WaitedForInput,
)
from schema.workflow_data_actions import (
    ApplyLabelActionInput,
    CopyPropertyActionInput,
    CreateAssociationsActionInput,
    IncrementPropertyActionInput,
    RemoveLabelsActionInput,
    SetPropertyActionInput,
    UpdateLabelsActionInput,
)
from schema.workflow_other_actions import (
    AddToSegmentActionInput,
    CallWebhookActionInput,
    CreateRecordActionInput,
    CreateTaskActionInput,
    EnrollInActionInput,
    RemoveFromSegmentActionInput,
    SendEmailActionInput,
    UnenrollActionInput,
)
from schema.workflow_parts import AssignmentInput, AssociatedInput, EqualityInput, OneAssociatedInput
from schema.workflow_triggers import (
    AssociationChangedTriggerInput,
    EventOccurredTriggerInput,
    PropertyChangedTriggerInput,
    SegmentChangedTriggerInput,
    WebhookReceivedTriggerInput,
)


@strawberry.input(one_of=True)
class ActionInput:
    """What is done with an enrolled record. Exactly one field is given."""

    create_associations: CreateAssociationsActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Associate with records whose values match."
    )
    apply_label: ApplyLabelActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Apply a label to associated records."
    )
    update_labels: UpdateLabelsActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Add a label beside another, or in its place."
    )
    remove_labels: RemoveLabelsActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Take labels, or associations, away."
    )
    set_property: SetPropertyActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Set or clear a property."
    )
    copy_property: CopyPropertyActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Copy a value."
    )
    increment_property: IncrementPropertyActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Add to a number."
    )
    branch: BranchActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Go one of several ways, by filters."
    )
    value_branch: ValueBranchActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Go the way of a value."
    )
    delay: DelayActionInput | None = strawberry.field(default=strawberry.UNSET, description="Wait.")
    send_email: SendEmailActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Send a mail."
    )
    call_webhook: CallWebhookActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Call a URL."
    )
    enroll_in: EnrollInActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Enroll in another workflow."
    )
    unenroll: UnenrollActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Take out of a workflow."
    )
    add_to_segment: AddToSegmentActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Add to a static segment."
    )
    remove_from_segment: RemoveFromSegmentActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Remove from a static segment."
    )
    create_record: CreateRecordActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Make a record."
    )
    create_task: CreateTaskActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Make a task."
    )
    go_to: GoToActionInput | None = strawberry.field(default=strawberry.UNSET, description="Go on elsewhere.")
    end: EndActionInput | None = strawberry.field(default=strawberry.UNSET, description="End here.")


# Read again as outputs of the same fields: first what they are made of.
union(ActionInput, "schema.workflow_actions", "Action")
union(WaitedForInput, "schema.workflow_actions", "WaitedFor")
for part in (
    AssociatedInput,
    OneAssociatedInput,
    EqualityInput,
    AssignmentInput,
    BranchPartInput,
    ValueCaseInput,
    UntilTimeInput,
    UntilPropertyInput,
    UntilEventInput,
):
    mirrored(part, part.__name__.removesuffix("Input"))

KINDS = (
    CreateAssociationsActionInput,
    ApplyLabelActionInput,
    UpdateLabelsActionInput,
    RemoveLabelsActionInput,
    SetPropertyActionInput,
    CopyPropertyActionInput,
    IncrementPropertyActionInput,
    BranchActionInput,
    ValueBranchActionInput,
    DelayActionInput,
    SendEmailActionInput,
    CallWebhookActionInput,
    EnrollInActionInput,
    UnenrollActionInput,
    AddToSegmentActionInput,
    RemoveFromSegmentActionInput,
    CreateRecordActionInput,
    CreateTaskActionInput,
    GoToActionInput,
    EndActionInput,
)
# A secret is never shown.
HIDDEN = {"secret": "signed"}
Action: Any = Annotated[
    Union[  # noqa: UP007
        tuple(
            mirrored(
                kind,
                kind.__name__.removesuffix("Input"),
                hidden=HIDDEN if kind is CallWebhookActionInput else None,
            )
            for kind in KINDS
        )
    ],
    strawberry.union("Action", description="What is done with an enrolled record."),
]
WaitedFor: Any = Annotated[
    Union[  # noqa: UP007
        tuple(
            OUTPUTS[kind]
            for kind in (
                PropertyChangedTriggerInput,
                AssociationChangedTriggerInput,
                SegmentChangedTriggerInput,
                EventOccurredTriggerInput,
                WebhookReceivedTriggerInput,
            )
        )
    ],
    strawberry.union("WaitedFor", description="What a delay waits for."),
]
