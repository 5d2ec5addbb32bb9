"""Filters and orders as clients write them. The filter's fields are its definition, which workflows store as it is."""

from enum import Enum
from typing import Any, Optional

import strawberry
from strawberry.types.base import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from engine.filters.operators import Operator
from resolvers.listings import Asked, Direction, OrderField, definition
from schema.documentation import enum
from schema.scalars import JSON
from storage.filters.times import Unit
from storage.filters.tree import Authorship, Quantifier

enum(
    Operator,
    "PropertyOperator",
    "What a condition asks of a value. Which operators fit depends on the property's type.",
    {
        "KNOWN": "There is a value.",
        "UNKNOWN": "There is no value.",
        "EQUALS": "Equal to `value`.",
        "NOT_EQUALS": "Not equal to `value`.",
        "ANY_OF": "One of `values`; of several choices, at least one.",
        "NONE_OF": "None of `values`.",
        "CONTAINS": "Text that contains `value`, or one of `values`.",
        "NOT_CONTAINS": "Text that contains neither `value` nor any of `values`.",
        "STARTS_WITH": "Text that begins with `value`, or one of `values`.",
        "ENDS_WITH": "Text that ends with `value`, or one of `values`.",
        "LESS_THAN": "A number less than `value`.",
        "LESS_THAN_OR_EQUAL": "A number less than `value`, or equal to it.",
        "GREATER_THAN": "A number greater than `value`.",
        "GREATER_THAN_OR_EQUAL": "A number greater than `value`, or equal to it.",
        "BETWEEN": "From the first to the second of `values`, both included.",
        "EXACTLY": "Several choices: `values` and no others.",
        "CONTAINS_ALL": "Several choices: all of `values`, perhaps others.",
        "BEFORE": "A date or moment before `value`.",
        "AFTER": "A date or moment after `value`.",
        "ON": "A date or moment on the day `value`.",
        "LESS_THAN_AGO": "In the last `value` units (`unit`), up to now; of a date, up to today.",
        "MORE_THAN_AGO": "Longer ago than `value` units.",
        "LESS_THAN_FROM_NOW": "In the next `value` units, from now on; of a date, from today on.",
        "MORE_THAN_FROM_NOW": "Later than `value` units from now.",
        "IN_THIS": "In the present day, week, month, quarter or year (`unit`).",
        "IN_LAST": "In the day, week, month, quarter or year before the present one.",
        "IN_NEXT": "In the day, week, month, quarter or year after the present one.",
        "HAS_EVER_BEEN": "Is, or once was, one of `values`; of several choices: exactly these.",
        "HAS_NEVER_BEEN": "Had a value, and never one of `values`.",
        "HAS_EVER_CONTAINED": "Contains, or once contained, one of `values`; of several choices: held one of them.",
        "HAS_NEVER_CONTAINED": "Had a value, and never one that contained one of `values`.",
        "UPDATED_IN_LAST": "Was set or cleared in the last `value` units, whatever it holds.",
        "NOT_UPDATED_IN_LAST": "Was set or cleared, and not in the last `value` units.",
    },
)

enum(
    Unit,
    "TimeUnit",
    "A unit of time. Days and longer ones are those of the account's time zone; dates know no minutes and hours.",
    {
        "MINUTE": "60 seconds.",
        "HOUR": "60 minutes.",
        "DAY": "From midnight to midnight, or to the same time of the next day.",
        "WEEK": "Seven days; a week of the calendar begins on Monday.",
        "MONTH": "A month of the calendar, or to the same day of the next month.",
        "QUARTER": "Three months, from January, April, July or October.",
        "YEAR": "Twelve months, from January.",
    },
)

enum(
    Authorship,
    "SourceChange",
    "What somebody did to a record.",
    {
        "CREATED": "Made it.",
        "UPDATED": "Changed a property after it was made.",
        "EITHER": "Made or changed it.",
    },
)


class RecordField(Enum):
    """The record's own moments."""

    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"
    LAST_ASSOCIATION_CHANGE_AT = "LAST_ASSOCIATION_CHANGE_AT"


enum(
    RecordField,
    "RecordField",
    "What a record's own moments are called.",
    {
        "CREATED_AT": "When it was made.",
        "UPDATED_AT": "When it last changed.",
        "LAST_ASSOCIATION_CHANGE_AT": "When an association or a label of it last changed.",
    },
)


class WorkflowMembership(Enum):
    """What a record has to do with a workflow."""

    ENROLLED_EVER = "ENROLLED_EVER"
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    GOAL_MET = "GOAL_MET"


enum(
    Quantifier,
    "AssociatedQuantifier",
    "How many of the associated records must meet the nested filter.",
    {
        "ANY": "At least one.",
        "ALL": "All of them, and there is at least one.",
        "NONE": "None of them, or there is none.",
        "COUNT": "So many that `operator` holds with `count`.",
    },
)


enum(
    WorkflowMembership,
    "WorkflowMembership",
    "What a record has to do with a workflow.",
    {
        "ENROLLED_EVER": "It is or was enrolled.",
        "ACTIVE": "It is on its way through it.",
        "COMPLETED": "It went through to the end.",
        "GOAL_MET": "It left since it met the goal.",
    },
)


@strawberry.input
class PropertyFilterInput:
    """A condition on one property."""

    name: str = strawberry.field(description="The internal name of the property.")
    operator: Operator = strawberry.field(description="What is asked of the value.")
    value: JSON | None = strawberry.field(default=None, description="The value to compare with.")
    values: list[JSON] | None = strawberry.field(default=None, description="Several values.")
    other: str | None = strawberry.field(
        default=None, description="Compare with this other property of the same record, in place of a value."
    )
    offset: int | None = strawberry.field(
        default=None,
        description="With `other`, of dates and moments: so many units (`unit`) are added to it; negative: taken off.",
    )
    unit: Unit | None = strawberry.field(
        default=None, description="The unit of time of `value` or `offset`, or the one of the calendar."
    )
    include_empty: bool | None = strawberry.field(
        default=None,
        description="Whether a record without a value meets the condition; null: it does so for negative "
        "operators on contacts only.",
    )


@strawberry.input
class FieldFilterInput:
    """A condition on one of the record's own moments."""

    name: RecordField = strawberry.field(description="Which one.")
    operator: Operator = strawberry.field(description="What is asked of it: what can be asked of a moment.")
    value: JSON | None = strawberry.field(
        default=None, description="The value to compare with, or a number of units."
    )
    values: list[JSON] | None = strawberry.field(default=None, description="Several values.")
    unit: Unit | None = strawberry.field(default=None, description="The unit of time.")
    include_empty: bool | None = strawberry.field(
        default=None, description="Whether a record that has no such moment meets the condition."
    )


@strawberry.input
class SourceFilterInput:
    """A condition on who made or changed the record: `sources`, or an `import`."""

    change: Authorship = strawberry.field(default=Authorship.EITHER, description="What it did to the record.")
    sources: list[str] | None = strawberry.field(
        default=None, description="Kinds of source, such as API, IMPORT, WORKFLOW or MERGE: any one of them."
    )
    import_: strawberry.ID | None = strawberry.field(
        default=None, name="import", description="The id of an import."
    )
    negated: bool = strawberry.field(default=False, description="Whether it must not have.")


@strawberry.input
class SegmentFilterInput:
    """A condition on the record's segments."""

    segment: strawberry.ID = strawberry.field(description="The id of a segment of the record's object type.")
    negated: bool = strawberry.field(default=False, description="Whether the record must not be in it.")


@strawberry.input
class WorkflowFilterInput:
    """A condition on the record's enrollments."""

    workflow: strawberry.ID = strawberry.field(
        description="The id of a workflow of the record's object type."
    )
    status: WorkflowMembership = strawberry.field(
        default=WorkflowMembership.ENROLLED_EVER, description="What the record has to do with it."
    )
    negated: bool = strawberry.field(default=False, description="Whether it must not be so.")


@strawberry.input
class AssociatedFilterInput:
    """A condition on associated records."""

    to: str = strawberry.field(description="The internal name of their object type.")
    quantifier: Quantifier = strawberry.field(
        default=Quantifier.ANY, description="How many of them must meet `where`."
    )
    labels: list[str] | None = strawberry.field(
        default=None,
        description="Internal names of labels, as they stand at the record that is tested: any one of them. "
        "Null: any association; an empty list: those without a label.",
    )
    where: Optional["FilterInput"] = strawberry.field(
        default=None, description="What they must be like; null: anything."
    )
    operator: Operator | None = strawberry.field(
        default=None, description="For COUNT: how the number compares with `count`."
    )
    count: int | None = strawberry.field(default=None, description="For COUNT: the number.")
    include_empty: bool | None = strawberry.field(
        default=None, description="Whether a record that never had such an association meets the condition."
    )


@strawberry.input(one_of=True)
class FilterInput:
    """What records must be like: a condition, or conditions put together. Exactly one field is given."""

    and_: list["FilterInput"] | None = strawberry.field(
        default=strawberry.UNSET, name="and", description="All of these hold."
    )
    or_: list["FilterInput"] | None = strawberry.field(
        default=strawberry.UNSET, name="or", description="At least one of these holds."
    )
    not_: Optional["FilterInput"] = strawberry.field(
        default=strawberry.UNSET, name="not", description="This does not hold."
    )
    property: PropertyFilterInput | None = strawberry.field(
        default=strawberry.UNSET, description="A condition on a property."
    )
    associated: AssociatedFilterInput | None = strawberry.field(
        default=strawberry.UNSET, description="A condition on associated records."
    )
    field: FieldFilterInput | None = strawberry.field(
        default=strawberry.UNSET, description="A condition on one of the record's own moments."
    )
    source: SourceFilterInput | None = strawberry.field(
        default=strawberry.UNSET, description="A condition on who made or changed the record."
    )
    in_segment: SegmentFilterInput | None = strawberry.field(
        default=strawberry.UNSET, description="A condition on the record's segments."
    )
    in_workflow: WorkflowFilterInput | None = strawberry.field(
        default=strawberry.UNSET, description="A condition on the record's enrollments."
    )


enum(
    OrderField,
    "OrderField",
    "What every record can be sorted by.",
    {
        "ID": "The id: the order in which records were made, as far as one process made them.",
        "CREATED_AT": "When it was made.",
        "UPDATED_AT": "When it last changed.",
        "LAST_ASSOCIATION_CHANGE_AT": "When an association or a label of it last changed.",
    },
)

enum(
    Direction,
    "OrderDirection",
    "Which end comes first. Records without a value come last in both directions.",
    {"ASC": "The least first.", "DESC": "The greatest first."},
)


@strawberry.input
class OrderInput:
    """One part of an order: a property or a field."""

    property: str | None = strawberry.field(default=None, description="The internal name of a property.")
    field: OrderField | None = strawberry.field(default=None, description="A field of the record itself.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


def plain(value: Any) -> Any:
    """An input as plain values: objects by the names that clients use, enumerations by theirs."""
    declared = get_object_definition(value)
    if declared is not None:
        members = ((field, getattr(value, field.python_name)) for field in declared.fields)
        return {
            field.graphql_name or to_camel_case(field.python_name): plain(member)
            for field, member in members
            if member is not strawberry.UNSET
        }
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value


def filter_definition(where: FilterInput | None) -> dict[str, Any] | None:
    """The definition that a filter spells out: camelCase keys, nothing that is null."""
    return None if where is None else definition(plain(where))


def asked(
    where: FilterInput | None,
    order_by: list[OrderInput] | None,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> Asked:
    """The arguments of a list."""
    return Asked(
        filter_definition(where), [plain(order) for order in order_by or ()], first, after, last, before
    )
