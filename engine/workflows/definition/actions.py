"""What is done with an enrolled record. See `engine.workflows.definition.values` for the habit that all fields follow.

Each has an `id`, its name in histories and for `GoTo`, and says what becomes of the enrollment when it fails.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.workflows.definition.parts import (
    Assignment,
    Associated,
    Duration,
    Equality,
    OneAssociated,
    OnError,
    Weekday,
    Where,
)
from engine.workflows.definition.triggers import (
    AssociationChanged,
    EventOccurred,
    PropertyChanged,
    SegmentChanged,
    WebhookReceived,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What all actions have."""

    id: str = ""
    on_error: OnError = OnError.STOP


@dataclass(frozen=True, slots=True)
class CreateAssociations(Action):
    """Associates the enrolled record with those records of a type whose property equals one of its own.

    With a label or without. Of very many matching ones, all; `where` narrows them.
    """

    to: str
    match: Equality
    label: str | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class ApplyLabel(Action):
    """Applies a label to records that are associated already: all of a type, or those that the refinements leave."""

    to: str
    label: str
    where: Where | None = None
    own_where: Where | None = None
    match: Equality | None = None


@dataclass(frozen=True, slots=True)
class UpdateLabels(Action):
    """Where `label` is set, adds `new_label`, or replaces it by `new_label`."""

    to: str
    label: str
    new_label: str
    replace: bool = False
    where: Where | None = None
    own_where: Where | None = None
    match: Equality | None = None


@dataclass(frozen=True, slots=True)
class RemoveLabels(Action):
    """Takes labels off, from both sides; with `with_association` also the association itself.

    No labels (None) together with `with_association`: every association with the type.
    """

    to: str
    labels: tuple[str, ...] | None = None
    with_association: bool = False
    where: Where | None = None
    own_where: Where | None = None
    match: Equality | None = None


@dataclass(frozen=True, slots=True)
class SetProperty(Action):
    """Sets (no value, no template, no step time: clears) a property of the enrolled record, or of associated ones."""

    property: str
    value: Any = None
    template: str | None = None
    step_time: bool = False
    of: Associated | None = None


@dataclass(frozen=True, slots=True)
class CopyProperty(Action):
    """Copies a property's value: from the enrolled record or one associated one to it or to associated ones.

    An empty value is copied only if `copy_empty`.
    """

    property: str
    into: str
    source: OneAssociated | None = None
    target: Associated | None = None
    copy_empty: bool = False


@dataclass(frozen=True, slots=True)
class IncrementProperty(Action):
    """Adds to a number; a record without a value begins at 0."""

    property: str
    by: float = 1
    of: Associated | None = None


@dataclass(frozen=True, slots=True)
class BranchPart:
    """One way of a branch."""

    where: Where
    actions: tuple["AnyAction", ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Branch(Action):
    """Goes the first way whose filter holds, else the default one; all ways lead to the action behind the branch."""

    branches: tuple[BranchPart, ...]
    otherwise: tuple["AnyAction", ...] = ()


@dataclass(frozen=True, slots=True)
class ValueCase:
    """The way for some values of a property; a null among them: no value."""

    values: tuple[Any, ...]
    actions: tuple["AnyAction", ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ValueBranch(Action):
    """Goes the way of a property's value: the enrolled record's, or that of one associated record."""

    property: str
    cases: tuple[ValueCase, ...]
    otherwise: tuple["AnyAction", ...] = ()
    of: OneAssociated | None = None


@dataclass(frozen=True, slots=True)
class UntilTime:
    """The next time that the clock shows `at` in the account's zone, on one of `weekdays` where some are given."""

    at: str
    weekdays: tuple[Weekday, ...] = ()


@dataclass(frozen=True, slots=True)
class UntilProperty:
    """The moment in a date property, `offset` added; for a date, `at` in the account's zone. Empty or past: at once."""

    property: str
    offset: Duration | None = None
    at: str = "09:00"


@dataclass(frozen=True, slots=True)
class UntilEvent:
    """What an event trigger waits for; after `timeout` the enrollment goes through `timed_out` instead."""

    event: "WaitedFor"
    timeout: Duration
    timed_out: tuple["AnyAction", ...] = ()


@dataclass(frozen=True, slots=True)
class WaitedFor:
    """Exactly one kind of event."""

    property_changed: PropertyChanged | None = None
    association_changed: AssociationChanged | None = None
    segment_changed: SegmentChanged | None = None
    event_occurred: EventOccurred | None = None
    webhook_received: WebhookReceived | None = None


@dataclass(frozen=True, slots=True)
class Delay(Action):
    """Waits: exactly one of a duration, a moment (ISO 8601), a date property, a time of day, an event."""

    duration: Duration | None = None
    until: str | None = None
    until_property: UntilProperty | None = None
    until_time: UntilTime | None = None
    until_event: UntilEvent | None = None


@dataclass(frozen=True, slots=True)
class SendEmail(Action):
    """Sends a mail to the enrolled contact, or to associated contacts; templates see the enrolled record.

    Who has unsubscribed, or whose address bounced, gets none. Without contacts to write to, the step says so.
    """

    subject: str
    text: str
    html: str | None = None
    to_associated: Associated | None = None
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class CallWebhook(Action):
    """Posts the record (these properties; None: all) to a URL, signed where there is a secret."""

    url: str
    properties: tuple[str, ...] | None = None
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class EnrollIn(Action):
    """Enrolls the enrolled record, or associated ones, in another workflow."""

    workflow: str
    of: Associated | None = None


@dataclass(frozen=True, slots=True)
class Unenroll(Action):
    """Takes the enrolled record, or associated ones, out of a workflow (None: out of this one)."""

    workflow: str | None = None
    of: Associated | None = None


@dataclass(frozen=True, slots=True)
class AddToSegment(Action):
    """Adds the enrolled record, or associated ones, to a static segment."""

    segment: str
    of: Associated | None = None


@dataclass(frozen=True, slots=True)
class RemoveFromSegment(Action):
    """Removes the enrolled record, or associated ones, from a static segment."""

    segment: str
    of: Associated | None = None


@dataclass(frozen=True, slots=True)
class CreateRecord(Action):
    """Makes a record of type `to`, associated with the enrolled one (with a label, if one is named) unless told not."""

    to: str
    properties: tuple[Assignment, ...] = ()
    associate: bool = True
    label: str | None = None


@dataclass(frozen=True, slots=True)
class CreateTask(Action):
    """Makes a task about the enrolled record, due so long after the step."""

    title: str
    notes: str | None = None
    due: Duration | None = None
    properties: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class GoTo(Action):
    """Goes on with the action that has this id."""

    action: str


@dataclass(frozen=True, slots=True)
class End(Action):
    """Ends the enrollment as completed."""


AnyAction: TypeAlias = (
    CreateAssociations
    | ApplyLabel
    | UpdateLabels
    | RemoveLabels
    | SetProperty
    | CopyProperty
    | IncrementProperty
    | Branch
    | ValueBranch
    | Delay
    | SendEmail
    | CallWebhook
    | EnrollIn
    | Unenroll
    | AddToSegment
    | RemoveFromSegment
    | CreateRecord
    | CreateTask
    | GoTo
    | End
)
