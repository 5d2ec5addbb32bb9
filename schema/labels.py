"""Association types and labels: how records of two object types can be associated, told from one end."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from engine import ids
from engine.access import Scope
from engine.labels import Label
from engine.object_types import KEEP
from resolvers import labels
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.errors import UserError, told
from schema.label_history import LabelChange
from schema.label_usage import LabelUsage
from storage.catalogue import AssociationTypeRow, Catalogue


class AssociationCategory(Enum):
    """Whose an association type is."""

    SYSTEM = "SYSTEM"
    USER_DEFINED = "USER_DEFINED"


enum(
    AssociationCategory,
    "AssociationCategory",
    "Whose an association type is.",
    {
        "SYSTEM": "The product's own: it can neither be renamed nor deleted.",
        "USER_DEFINED": "A label that the account has made.",
    },
)


@strawberry.type
class AssociationType:
    """One direction of an association type: it is read standing at a `from` record and describes the `to` record."""

    row: strawberry.Private[AssociationTypeRow]
    catalogue: strawberry.Private[Catalogue]
    id: strawberry.ID = strawberry.field(description="The id of this direction; edges call it `typeId`.")
    name: str | None = strawberry.field(
        description="The internal name, which never changes; null for the unlabelled type."
    )
    label: str | None = strawberry.field(description="What people read; null for the unlabelled type.")
    category: AssociationCategory = strawberry.field(description="Whose it is.")
    max_count: int | None = strawberry.field(
        description="How many `to` records a `from` record may have under it; null: many."
    )
    symmetric: bool = strawberry.field(description="Whether both directions are this one type.")
    exclusivity_group: str | None = strawberry.field(
        description="At most one label of a group stands on one pair of records."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    created_by_id: strawberry.ID | None = strawberry.field(description="The user who made it, if it was one.")

    @strawberry.field(name="from")
    def from_(self) -> str:
        """The object type at which one stands."""
        return self.catalogue.object_types[self.row.from_object_type_id].name

    @strawberry.field
    def to(self) -> str:
        """The object type that is described."""
        return self.catalogue.object_types[self.row.to_object_type_id].name

    @strawberry.field
    def inverse(self) -> "AssociationType":
        """The other direction."""
        return AssociationType.of(self._inverse, self.catalogue)

    @strawberry.field
    def type_id(self) -> strawberry.ID:
        """The same as `id`, as edges call it."""
        return self.id

    @strawberry.field
    def inverse_type_id(self) -> strawberry.ID:
        """The id of the other direction."""
        return strawberry.ID(ids.encode("association type", self.row.inverse_id))

    @strawberry.field
    def inverse_name(self) -> str | None:
        """The internal name at the other end."""
        return self._inverse.name

    @strawberry.field
    def inverse_label(self) -> str | None:
        """What people read at the other end."""
        return self._inverse.label

    @strawberry.field
    def inverse_max_count(self) -> int | None:
        """How many `from` records a `to` record may have under it; null: many."""
        return self._inverse.max_count

    @strawberry.field
    async def usage(self, info: Info) -> LabelUsage:
        """What uses it. All labels of a list are looked up together."""
        return LabelUsage(found=await labels.usage(info.context, self.row))

    @strawberry.field
    async def history(self, info: Info) -> list[LabelChange]:
        """How it was made and every change since, oldest first; of both directions."""
        return [LabelChange.of(change) for change in await labels.history(info.context, self.row)]

    @property
    def _inverse(self) -> AssociationTypeRow:
        return self.catalogue.association_types[self.row.inverse_id]

    @classmethod
    def of(cls, row: AssociationTypeRow, catalogue: Catalogue) -> "AssociationType":
        """The type as clients see it."""
        return cls(
            row=row,
            catalogue=catalogue,
            id=strawberry.ID(ids.encode("association type", row.id)),
            name=row.name,
            label=row.label,
            category=AssociationCategory(row.category),
            max_count=row.max_count,
            symmetric=row.symmetric,
            exclusivity_group=row.exclusivity_group,
            created_at=row.created_at,
            created_by_id=None
            if row.created_by is None
            else strawberry.ID(ids.encode("user", row.created_by)),
        )


@strawberry.input
class CreateAssociationLabelInput:
    """A new label between records of two object types, which may be the same."""

    from_: str = strawberry.field(
        name="from", description='The object type at which one stands, such as "contacts".'
    )
    to: str = strawberry.field(description='The object type that the label describes, such as "companies".')
    label: str = strawberry.field(
        description="What people read at a `from` record: what the `to` record is to it."
    )
    inverse_label: str | None = strawberry.field(
        default=None, description="What people read at a `to` record; the same text, if left out."
    )
    name: str | None = strawberry.field(
        default=None, description="The internal name, which never changes; made from the text, if left out."
    )
    inverse_name: str | None = strawberry.field(
        default=None, description="The internal name at a `to` record; made from its text, if left out."
    )
    max_count: int | None = strawberry.field(
        default=None, description="How many `to` records a `from` record may have under it; null: many."
    )
    inverse_max_count: int | None = strawberry.field(
        default=None, description="How many `from` records a `to` record may have under it; null: many."
    )
    exclusivity_group: str | None = strawberry.field(
        default=None, description="At most one label of a group stands on one pair of records."
    )


@strawberry.input
class UpdateAssociationLabelInput:
    """What is to change of a label; what is left out stays. Limits are not retroactive."""

    id: strawberry.ID = strawberry.field(
        description="The id of one direction; the fields are told from there."
    )
    label: str | None = strawberry.field(default=None, description="What people read here.")
    inverse_label: str | None = strawberry.field(
        default=None, description="What people read at the other end."
    )
    max_count: int | None = strawberry.field(
        default=strawberry.UNSET, description="How many `to` records a `from` record may have; null: many."
    )
    inverse_max_count: int | None = strawberry.field(
        default=strawberry.UNSET, description="How many `from` records a `to` record may have; null: many."
    )
    exclusivity_group: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="At most one label of a group stands on one pair of records; null: of no group. Not retroactive.",
    )


@strawberry.input
class SetAssociationLimitsInput:
    """Limits of a label or, with the id of the unlabelled type, of an object pair. They are not retroactive."""

    id: strawberry.ID = strawberry.field(
        description="The id of one direction; the limits are told from there."
    )
    max_count: int | None = strawberry.field(
        default=strawberry.UNSET, description="How many `to` records a `from` record may have; null: many."
    )
    inverse_max_count: int | None = strawberry.field(
        default=strawberry.UNSET, description="How many `from` records a `to` record may have; null: many."
    )


@strawberry.type
class AssociationLabelPayload:
    """A label after a change."""

    association_label: AssociationType | None = strawberry.field(
        description="The label as it is now, in the direction that was named."
    )
    warnings: list[str] = strawberry.field(
        description="What may surprise later; the change was made all the same."
    )
    user_errors: list[UserError]


@strawberry.type
class LabelQuery:
    """Reads of association types."""

    @strawberry.field(extensions=[Requires(Scope.DEFINITIONS_READ)])
    def association_types(
        self,
        info: Info,
        from_: Annotated[
            str, strawberry.argument(name="from", description="The object type at which one stands.")
        ],
        to: Annotated[str, strawberry.argument(description="The object type that is described.")],
    ) -> list[AssociationType]:
        """The association types of a directed pair of object types: the unlabelled one, then the labels."""
        catalogue = info.context.catalogue
        return [AssociationType.of(row, catalogue) for row in labels.listing(info.context, from_, to)]

    @strawberry.field(extensions=[Requires(Scope.DEFINITIONS_READ)])
    def association_label(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id of one direction.")],
    ) -> AssociationType | None:
        """One direction of an association type; an error with the code NOT_FOUND where there is none."""
        catalogue = info.context.catalogue
        return AssociationType.of(labels.by_id(catalogue, id), catalogue)

    @strawberry.field(extensions=[Requires(Scope.DEFINITIONS_READ)])
    async def association_label_history(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id of one direction.")],
    ) -> list[LabelChange]:
        """Every change of a label, or of an object pair's limits, oldest first; also of a label that was deleted."""
        return [LabelChange.of(change) for change in await labels.history_of(info.context, id)]


@strawberry.type
class LabelMutation:
    """Changes of labels and limits."""

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def create_association_label(
        self, info: Info, input: CreateAssociationLabelInput
    ) -> AssociationLabelPayload:
        """Make a label, in both directions at once."""
        work = labels.create(
            info.context,
            input.from_,
            input.to,
            label=input.label,
            inverse_label=input.inverse_label,
            name=input.name,
            inverse_name=input.inverse_name,
            max_count=input.max_count,
            inverse_max_count=input.inverse_max_count,
            exclusivity_group=input.exclusivity_group,
        )
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def update_association_label(
        self, info: Info, input: UpdateAssociationLabelInput
    ) -> AssociationLabelPayload:
        """Change a label's texts, limits and exclusivity group; its internal names never change."""
        work = labels.update(
            info.context,
            input.id,
            label=KEEP if input.label is None else input.label,
            inverse_label=KEEP if input.inverse_label is None else input.inverse_label,
            max_count=_keep(input.max_count),
            inverse_max_count=_keep(input.inverse_max_count),
            exclusivity_group=_keep(input.exclusivity_group),
        )
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def set_association_limits(
        self, info: Info, input: SetAssociationLimitsInput
    ) -> AssociationLabelPayload:
        """Set the limits of a label, or of an object pair."""
        work = labels.set_limits(
            info.context,
            input.id,
            max_count=_keep(input.max_count),
            inverse_max_count=_keep(input.inverse_max_count),
        )
        return _payload(info, *await told(work))


def _keep(value: Any) -> Any:
    return KEEP if value is strawberry.UNSET else value


def _payload(info: Info, label: Label | None, errors: list[UserError]) -> AssociationLabelPayload:
    if label is None:
        return AssociationLabelPayload(association_label=None, warnings=[], user_errors=errors)
    made = AssociationType.of(label.there, info.context.catalogue)
    return AssociationLabelPayload(association_label=made, warnings=list(label.warnings), user_errors=errors)
