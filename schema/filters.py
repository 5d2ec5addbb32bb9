"""Filters and orders as clients write them. The filter's fields are its definition, which workflows store as it is."""

from enum import Enum
from typing import Annotated, Any, Optional

import strawberry
from strawberry.types.base import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from engine.filters.operators import Operator
from resolvers.listings import Asked, Direction, OrderField, definition
from schema.documentation import enum
from schema.filter_leaves import (
    FieldFilterInput,
    PropertyFilterInput,
    SegmentFilterInput,
    SourceFilterInput,
    WorkflowFilterInput,
)
from schema.scalars import JSON
from storage.filters.times import Unit
from storage.filters.tree import Quantifier


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


@strawberry.input
class TimeSpanInput:
    """A span of time."""

    value: int = strawberry.field(description="How many units.")
    unit: Unit = strawberry.field(description="The unit of time.")


@strawberry.input
class EventFilterInput:
    """A condition on what occurred to the record: by time, by number of occurrences, or by both at once."""

    type: str = strawberry.field(description='The internal name of an event type, such as "page_viewed".')
    negated: bool = strawberry.field(
        default=False,
        description="Whether it must not have occurred. Then only a window of time can be given.",
    )
    where: Optional["FilterInput"] = strawberry.field(
        default=None,
        description="What one and the same event must be like: conditions on its own properties, put together with "
        "`and`, `or` and `not`; null: anything.",
    )
    operator: Operator | None = strawberry.field(
        default=None,
        description="How the number of such events compares with `count`; null: at least so many.",
    )
    count: int | None = strawberry.field(default=None, description="The number; null: at least one.")
    within: TimeSpanInput | None = strawberry.field(
        default=None, description="Only events of the last so many units of time; it moves with the clock."
    )
    after: JSON | None = strawberry.field(
        default=None,
        description="Only events after this moment, or after this day (of the account's time zone).",
    )
    before: JSON | None = strawberry.field(
        default=None, description="Only events before this moment, or before this day."
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
    event: EventFilterInput | None = strawberry.field(
        default=strawberry.UNSET, description="A condition on what occurred to the record."
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


Where = Annotated[FilterInput | None, strawberry.argument(description="What the records must be like.")]
OrderBy = Annotated[
    list[OrderInput] | None,
    strawberry.argument(
        description="The order, the most important part first; without it, the order of ids."
    ),
]


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
