"""Actions on associations, labels and properties, as clients write them."""

import strawberry

from engine.workflows.definition.parts import OnError
from schema.filters import FilterInput
from schema.scalars import JSON
from schema.workflow_parts import ACTION_ID, ON_ERROR, AssociatedInput, EqualityInput, OneAssociatedInput


@strawberry.input
class CreateAssociationsActionInput:
    """Associates the enrolled record with those records of a type of which a value equals one of its own."""

    to: str = strawberry.field(description='The object type of those records, such as "companies".')
    match: EqualityInput = strawberry.field(description="Which values must be equal.")
    label: str | None = strawberry.field(
        default=None, description="With this label, as it stands at the enrolled record; null: without one."
    )
    where: FilterInput | None = strawberry.field(default=None, description="Only with those that meet this.")
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class ApplyLabelActionInput:
    """Applies a label to records that are associated with the enrolled one already."""

    to: str = strawberry.field(description='The object type of those records, such as "companies".')
    label: str = strawberry.field(
        description="The internal name of the label, as it stands at the enrolled record."
    )
    where: FilterInput | None = strawberry.field(
        default=None, description="Only with those that meet this; null: with all of them."
    )
    own_where: FilterInput | None = strawberry.field(
        default=None, description="Only if the enrolled record meets this."
    )
    match: EqualityInput | None = strawberry.field(
        default=None,
        description="Only with those of which a value equals (or does not equal) one of the enrolled record.",
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class UpdateLabelsActionInput:
    """Where a label is set, adds another one to it or replaces it."""

    to: str = strawberry.field(description='The object type of those records, such as "companies".')
    label: str = strawberry.field(
        description="The label that is set, by its internal name at the enrolled record."
    )
    new_label: str = strawberry.field(description="The label to add, or to put in its place.")
    replace: bool = strawberry.field(default=False, description="Whether the first label goes.")
    where: FilterInput | None = strawberry.field(
        default=None, description="Only with those that meet this; null: with all of them."
    )
    own_where: FilterInput | None = strawberry.field(
        default=None, description="Only if the enrolled record meets this."
    )
    match: EqualityInput | None = strawberry.field(
        default=None,
        description="Only with those of which a value equals (or does not equal) one of the enrolled record.",
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class RemoveLabelsActionInput:
    """Takes labels off associations, from both sides."""

    to: str = strawberry.field(description='The object type of those records, such as "companies".')
    labels: list[str] | None = strawberry.field(
        default=None, description="These labels; null, together with `withAssociation`: whatever there is."
    )
    with_association: bool = strawberry.field(
        default=False, description="Whether the association itself goes, too."
    )
    where: FilterInput | None = strawberry.field(
        default=None, description="Only with those that meet this; null: with all of them."
    )
    own_where: FilterInput | None = strawberry.field(
        default=None, description="Only if the enrolled record meets this."
    )
    match: EqualityInput | None = strawberry.field(
        default=None,
        description="Only with those of which a value equals (or does not equal) one of the enrolled record.",
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class SetPropertyActionInput:
    """Sets a property of the enrolled record, or of associated ones; without anything to set, clears it."""

    property: str = strawberry.field(description="The internal name of the property.")
    value: JSON | None = strawberry.field(default=None, description="The new value; null clears it.")
    template: str | None = strawberry.field(
        default=None, description='A text with values in it, such as "Hello {{ firstname }}".'
    )
    step_time: bool = strawberry.field(default=False, description="The time at which the step is taken.")
    of: AssociatedInput | None = strawberry.field(
        default=None, description="Of these associated records; null: of the enrolled record."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class CopyPropertyActionInput:
    """Copies a value between the enrolled record and associated ones."""

    property: str = strawberry.field(description="The property to copy from.")
    into: str = strawberry.field(description="The property to copy to.")
    source: OneAssociatedInput | None = strawberry.field(
        default=None, description="From this associated record; null: from the enrolled one."
    )
    target: AssociatedInput | None = strawberry.field(
        default=None, description="To these associated records; null: to the enrolled one."
    )
    copy_empty: bool = strawberry.field(
        default=False, description="Whether no value is copied, too: it clears."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)


@strawberry.input
class IncrementPropertyActionInput:
    """Adds to a number; where there is none, to 0."""

    property: str = strawberry.field(description="The internal name of the property.")
    by: float = strawberry.field(default=1, description="How much; negative: less.")
    of: AssociatedInput | None = strawberry.field(
        default=None, description="Of these associated records; null: of the enrolled record."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(default=OnError.STOP, description=ON_ERROR)
