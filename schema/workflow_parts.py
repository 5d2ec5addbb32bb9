"""What triggers and actions are made of, as clients write it and read it."""

import strawberry

from engine.workflows.definition.parts import (
    Direction,
    Matching,
    Membership,
    OnError,
    Pick,
    Span,
    Weekday,
)
from schema.documentation import enum
from schema.filters import FilterInput
from schema.scalars import JSON

enum(
    OnError,
    "OnError",
    "What becomes of an enrollment whose action fails.",
    {"STOP": "It ends as FAILED.", "CONTINUE": "It goes on with the next action."},
)

enum(
    Span,
    "DurationUnit",
    "A unit of a duration. Days and longer ones are those of the account's calendar.",
    {
        "MINUTE": "60 seconds.",
        "HOUR": "60 minutes.",
        "DAY": "To the same time of the next day.",
        "WEEK": "Seven days.",
        "MONTH": "To the same day of the next month, or its last one.",
        "YEAR": "To the same day of the next year.",
    },
)

enum(Weekday, "Weekday", "A day of the week.", {day.name: f"{day.name.capitalize()}." for day in Weekday})

enum(
    Direction,
    "AssociationDirection",
    "Whether something came or went.",
    {"ADDED": "It came.", "REMOVED": "It went."},
)

enum(
    Membership,
    "SegmentMovement",
    "Whether a record came to a segment or left it.",
    {"JOINED": "It came.", "LEFT": "It left."},
)

enum(
    Pick,
    "AssociatedPick",
    "Which one of several associated records is meant.",
    {
        "MOST_RECENTLY_UPDATED": "The one whose properties changed last.",
        "LEAST_RECENTLY_UPDATED": "The one whose properties have stayed the longest.",
        "NEWEST": "The one that was made last.",
        "OLDEST": "The one that was made first.",
        "MOST_RECENTLY_ASSOCIATED": "The one that was associated last.",
        "FIRST_ASSOCIATED": "The one that was associated first.",
    },
)

enum(
    Matching,
    "Matching",
    "When two values count as equal.",
    {
        "EXACT": "They are the same.",
        "CASE_INSENSITIVE": "Texts are the same but for upper and lower case.",
        "TRIMMED": "Texts are the same but for upper and lower case and blanks around them.",
        "EMAIL_DOMAIN": "What stands behind the @ of an address, a domain, or the host of a URL is the same.",
    },
)

ACTION_ID = "The action's name in histories, unique in the workflow; given out where it is left out."
ON_ERROR = "What becomes of the enrollment when this fails."
LABELS = "Under any of these labels, by internal names; null: any association; []: without a label."


@strawberry.input
class DurationInput:
    """So many units of time."""

    value: int = strawberry.field(description="How many; negative: before.")
    unit: Span = strawberry.field(description="Of which unit.")


@strawberry.input
class AssociatedInput:
    """Records that are associated with the enrolled one."""

    to: str = strawberry.field(description='Their object type, such as "companies".')
    labels: list[str] | None = strawberry.field(default=None, description=LABELS)
    where: FilterInput | None = strawberry.field(default=None, description="Only those that meet this.")


@strawberry.input
class OneAssociatedInput:
    """One of the records that are associated with the enrolled one."""

    to: str = strawberry.field(description='Its object type, such as "companies".')
    labels: list[str] | None = strawberry.field(default=None, description=LABELS)
    where: FilterInput | None = strawberry.field(default=None, description="Only one that meets this.")
    pick: Pick = strawberry.field(
        default=Pick.MOST_RECENTLY_UPDATED, description="Which one, where there are several."
    )


@strawberry.input
class EqualityInput:
    """A value of the enrolled record equals one of the other record."""

    own: str = strawberry.field(description="The property of the enrolled record.")
    other: str = strawberry.field(description="The property of the other record.")
    matching: Matching = strawberry.field(default=Matching.EXACT, description="When values count as equal.")
    negated: bool = strawberry.field(default=False, description="The values must not be equal instead.")


@strawberry.input
class AssignmentInput:
    """What a property is to be: a value, a template, the value of an own property, or the time."""

    property: str = strawberry.field(description="The internal name of the property.")
    value: JSON | None = strawberry.field(default=None, description="The value.")
    template: str | None = strawberry.field(
        default=None, description='A text with values in it, such as "Hello {{ firstname }}".'
    )
    copy_of: str | None = strawberry.field(
        default=None, description="The property of the enrolled record whose value it gets."
    )
    step_time: bool = strawberry.field(default=False, description="The time at which the step is taken.")
