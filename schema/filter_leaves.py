"""Conditions with nothing nested in them, as clients write them."""

import strawberry

from engine.filters.operators import Operator
from schema.filter_words import RecordField, WorkflowMembership
from schema.scalars import JSON
from storage.filters.times import Unit
from storage.filters.tree import Authorship


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
