"""Mails, calls, other workflows, segments and new records, as clients write them."""

import strawberry

from engine.workflows.definition.parts import OnError
from schema.workflow_parts import ACTION_ID, ON_ERROR, AssignmentInput, AssociatedInput, DurationInput


@strawberry.input
class SendEmailActionInput:
    """Sends a mail to the enrolled contact, or to associated contacts. Who has unsubscribed gets none."""

    subject: str = strawberry.field(
        description='The subject: a template, such as "Welcome, {{ firstname }}".'
    )
    text: str = strawberry.field(
        description="The text: a template. `{{ unsubscribe_url }}` is the link by which the receiver leaves."
    )
    html: str | None = strawberry.field(
        default=None, description="The same as HTML: a template whose values are escaped."
    )
    to_associated: AssociatedInput | None = strawberry.field(
        default=None, description="To these associated contacts; null: to the enrolled contact."
    )
    reply_to: str | None = strawberry.field(default=None, description="The address for answers.")
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class CallWebhookActionInput:
    """Posts the enrolled record to a URL, with an idempotency key."""

    url: str = strawberry.field(description="Where to, http or https.")
    properties: list[str] | None = strawberry.field(default=None, description="These properties; null: all.")
    secret: str | None = strawberry.field(
        default=None,
        description="Signs the request. It is never shown again; an action that keeps its id keeps it.",
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class EnrollInActionInput:
    """Enrolls the enrolled record, or associated ones, in another workflow."""

    workflow: strawberry.ID = strawberry.field(description="The workflow.")
    of: AssociatedInput | None = strawberry.field(
        default=None, description="Of these associated records; null: of the enrolled record."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class UnenrollActionInput:
    """Takes the enrolled record, or associated ones, out of a workflow."""

    workflow: strawberry.ID | None = strawberry.field(
        default=None, description="The workflow; null: this one."
    )
    of: AssociatedInput | None = strawberry.field(
        default=None, description="Of these associated records; null: of the enrolled record."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class AddToSegmentActionInput:
    """Adds the enrolled record, or associated ones, to a static segment."""

    segment: strawberry.ID = strawberry.field(description="The segment.")
    of: AssociatedInput | None = strawberry.field(
        default=None, description="Of these associated records; null: of the enrolled record."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class RemoveFromSegmentActionInput:
    """Removes the enrolled record, or associated ones, from a static segment."""

    segment: strawberry.ID = strawberry.field(description="The segment.")
    of: AssociatedInput | None = strawberry.field(
        default=None, description="Of these associated records; null: of the enrolled record."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class CreateRecordActionInput:
    """Makes a record, associated with the enrolled one."""

    to: str = strawberry.field(description='The object type of the new record, such as "deals".')
    properties: list[AssignmentInput] = strawberry.field(default_factory=list, description="What it holds.")
    associate: bool = strawberry.field(
        default=True, description="Whether it is associated with the enrolled record."
    )
    label: str | None = strawberry.field(
        default=None, description="With this label, as it stands at the enrolled record."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class CreateTaskActionInput:
    """Makes a task about the enrolled record."""

    title: str = strawberry.field(
        description='What is to be done: a template, such as "Call {{ firstname }}".'
    )
    notes: str | None = strawberry.field(default=None, description="More about it: a template.")
    due: DurationInput | None = strawberry.field(
        default=None, description="So long after the step it is due."
    )
    properties: list[AssignmentInput] = strawberry.field(
        default_factory=list, description="What else it holds."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)
