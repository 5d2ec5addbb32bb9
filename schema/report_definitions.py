"""What a report is made of, as clients write it and as they read it again."""

from typing import Annotated, Any, Union

import strawberry

from engine.reports.parts import HavingOperator
from schema.documentation import enum
from schema.filters import FilterInput
from schema.mirrored import mirrored, union
from storage.reports.tree import Bucket, Function

enum(
    Bucket,
    "ReportBucket",
    "What of a date or moment tells groups apart; moments by the clocks of the account's time zone.",
    {
        "DAY": "The day, such as 2026-01-31.",
        "WEEK": "The week, from Monday, as ISO 8601 counts them, such as 2026-W05.",
        "MONTH": "The month, such as 2026-01.",
        "QUARTER": "The quarter, such as 2026-Q1.",
        "YEAR": "The year.",
    },
)
enum(
    Function,
    "ReportFunction",
    "What a measure makes of a group. Each record of the source counts once, however often it was joined.",
    {
        "COUNT": "The number of records of the source.",
        "DISTINCT": "The number of different values of the property.",
        "SUM": "The sum of the property's numbers.",
        "AVERAGE": "Their average; records without a value do not count.",
        "MINIMUM": "The smallest of them.",
        "MAXIMUM": "The largest of them.",
    },
)
enum(
    HavingOperator,
    "ReportOperator",
    "How a measure compares with a number.",
    {
        "EQUALS": "It is the number.",
        "NOT_EQUALS": "It is another number.",
        "LESS_THAN": "It is less.",
        "LESS_THAN_OR_EQUAL": "It is less, or the number.",
        "GREATER_THAN": "It is more.",
        "GREATER_THAN_OR_EQUAL": "It is more, or the number.",
    },
)

SOURCE = "The name of a source: of a join, or of the report's object type; null: the latter."


@strawberry.input
class ReportJoinInput:
    """Another source: records associated with those of an earlier one."""

    to: str = strawberry.field(description='The internal name of their object type, such as "companies".')
    as_: str | None = strawberry.field(
        default=None,
        name="as",
        description="What the report's other parts call this source; null: its object type.",
    )
    from_: str | None = strawberry.field(
        default=None,
        name="from",
        description="The name of the source whose records they are associated with; null: the report's own.",
    )
    labels: list[str] | None = strawberry.field(
        default=None,
        description="Internal names of the labels that join, as they stand at the records of `from`: any of them. "
        "Null: whatever is associated; an empty list: what is associated without a label.",
    )
    unlabelled: bool = strawberry.field(
        default=False, description="With `labels`: associations without any label join, too."
    )
    required: bool = strawberry.field(
        default=False,
        description="Records that have nobody to join do not count; else they do, with no values from here.",
    )
    where: FilterInput | None = strawberry.field(
        default=None, description="What the joined records must be like; others are as if not associated."
    )


@strawberry.input
class ReportTopInput:
    """The first values of an axis by a measure, largest first."""

    n: int = strawberry.field(description="How many, from 1 to 100.")
    measure: int = strawberry.field(default=0, description="By which measure, counted from 0.")
    others: bool = strawberry.field(
        default=True, description="All other values together count as one more; else they are left out."
    )


@strawberry.input
class ReportPropertyAxisInput:
    """Groups told apart by a property of a source; each choice of a multiple one is a group."""

    name: str = strawberry.field(
        description='The internal name of the property, or "createdAt", "updatedAt".'
    )
    source: str | None = strawberry.field(default=None, description=SOURCE)
    bucket: Bucket | None = strawberry.field(
        default=None, description="For dates and moments; null: dates as they are, moments by day."
    )
    step: float | None = strawberry.field(
        default=None, description="For numbers: groups that are so wide, told by where they begin."
    )
    top: ReportTopInput | None = strawberry.field(
        default=None, description="Only the first values; null: all."
    )


@strawberry.input
class ReportLabelAxisInput:
    """Groups told apart by the label under which a source was joined."""

    # As of properties: one field of one type, whichever kind of axis is read again.
    source: str | None = strawberry.field(
        default=None, description="The name of a join; the report's own object type is joined by no label."
    )
    top: ReportTopInput | None = strawberry.field(
        default=None, description="Only the first labels; null: all."
    )


@strawberry.input(one_of=True)
class ReportAxisInput:
    """What tells groups apart. Exactly one field is given."""

    property: ReportPropertyAxisInput | None = strawberry.field(
        default=strawberry.UNSET, description="A property's values."
    )
    label: ReportLabelAxisInput | None = strawberry.field(
        default=strawberry.UNSET, description="The label by which a source was joined."
    )


@strawberry.input
class ReportMeasureInput:
    """A number for each group."""

    function: Function = strawberry.field(default=Function.COUNT, description="What is made of the group.")
    source: str | None = strawberry.field(default=None, description=SOURCE)
    property: str | None = strawberry.field(
        default=None, description="The property that it is made of; COUNT has none."
    )
    name: str | None = strawberry.field(
        default=None, description="What people call it; null: words made of the above."
    )


@strawberry.input
class ReportHavingInput:
    """A condition on groups; totals do not look at it."""

    operator: HavingOperator = strawberry.field(description="How the measure compares with `value`.")
    value: float = strawberry.field(description="The number.")
    measure: int = strawberry.field(default=0, description="Which measure, counted from 0.")


@strawberry.input
class ReportOrderInput:
    """The order of the first axis. Other axes are in the order of their values; what has none stands last."""

    measure: int | None = strawberry.field(
        default=None, description="By what this measure comes to, counted from 0; null: by the axis's values."
    )
    descending: bool = strawberry.field(default=False, description="The largest first.")


@strawberry.input
class ReportDefinitionInput:
    """What is counted, by what, over which associations."""

    object_type: str = strawberry.field(
        description="The internal name of the object type whose records are looked at."
    )
    where: FilterInput | None = strawberry.field(
        default=None, description="What they must be like; null: all of them."
    )
    joins: list[ReportJoinInput] = strawberry.field(
        default_factory=list, description="Other sources, at most 5, each from one that stands before it."
    )
    axes: list[ReportAxisInput] = strawberry.field(
        default_factory=list, description="What tells groups apart, at most 3; none: everything is one group."
    )
    measures: list[ReportMeasureInput] = strawberry.field(
        default_factory=list, description="Numbers for each group, at most 10; none: records are counted."
    )
    having: list[ReportHavingInput] = strawberry.field(
        default_factory=list, description="Conditions on groups, all of which must hold; at most 10."
    )
    order: ReportOrderInput | None = strawberry.field(
        default=None, description="The order of groups; null: by the values of the axes."
    )


union(ReportAxisInput, "schema.report_definitions", "ReportAxis")
mirrored(ReportTopInput, "ReportTop")
ReportAxis: Any = Annotated[
    Union[  # noqa: UP007
        mirrored(ReportPropertyAxisInput, "ReportPropertyAxis"),
        mirrored(ReportLabelAxisInput, "ReportLabelAxis"),
    ],
    strawberry.union("ReportAxis", description="What tells groups apart."),
]
for _part in (ReportJoinInput, ReportMeasureInput, ReportHavingInput, ReportOrderInput):
    mirrored(_part, _part.__name__.removesuffix("Input"))
ReportDefinition: Any = mirrored(ReportDefinitionInput, "ReportDefinition")
