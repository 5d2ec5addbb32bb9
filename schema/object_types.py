"""Object types: the kinds of record, standard ones and those of the account's own."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import object_types
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.errors import UserError, told
from schema.properties import Property
from schema.property_mutations import keep
from storage.catalogue import ObjectTypeRow


class ObjectTypeCategory(Enum):
    """Where an object type comes from."""

    STANDARD = "STANDARD"
    ACTIVITY = "ACTIVITY"
    CUSTOM = "CUSTOM"


enum(
    ObjectTypeCategory,
    "ObjectTypeCategory",
    "Where an object type comes from.",
    {
        "STANDARD": "There in every account.",
        "ACTIVITY": "What people did: meetings, tasks, notes, e-mails, calls.",
        "CUSTOM": "Made by the account.",
    },
)


@strawberry.type
class ObjectType:
    """A kind of record, with its properties."""

    row: strawberry.Private[ObjectTypeRow]
    id: strawberry.ID = strawberry.field(description="The object type's id.")
    name: str = strawberry.field(
        description='The internal plural name, such as "contacts"; it never changes.'
    )
    singular: str = strawberry.field(description="What people call one record.")
    plural: str = strawberry.field(description="What people call several records.")
    description: str | None = strawberry.field(description="What the object type is for.")
    category: ObjectTypeCategory = strawberry.field(description="Where it comes from.")
    active: bool = strawberry.field(description="Whether the account uses it.")
    primary_display_property: str | None = strawberry.field(
        description="The property that names records; null: the built-in rule."
    )
    created_at: datetime = strawberry.field(description="When it was made.")

    @strawberry.field
    def properties(
        self,
        include_archived: Annotated[
            bool, strawberry.argument(description="Whether properties that were put away are listed, too.")
        ] = False,
    ) -> list[Property]:
        """What its records can hold."""
        rows = sorted(self.row.properties.values(), key=lambda row: row.id)
        return [Property.of(row, self.name) for row in rows if include_archived or row.archived_at is None]

    @strawberry.field
    def property(
        self, name: Annotated[str, strawberry.argument(description="The property's internal name.")]
    ) -> Property | None:
        """One property, archived or not; null where there is none of this name."""
        row = self.row.properties.get(name)
        return None if row is None else Property.of(row, self.name)

    @classmethod
    def of(cls, row: ObjectTypeRow) -> "ObjectType":
        """The object type as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("object type", row.id)),
            name=row.name,
            singular=row.singular,
            plural=row.plural,
            description=row.description,
            category=ObjectTypeCategory(row.category),
            active=row.active,
            primary_display_property=row.primary_display_property,
            created_at=row.created_at,
        )


@strawberry.input
class CreateObjectTypeInput:
    """A new, custom object type."""

    name: str = strawberry.field(
        description="The internal plural name: a-z, 0-9 and _, beginning with a letter; it never changes."
    )
    singular: str = strawberry.field(description="What people call one record.")
    plural: str = strawberry.field(description="What people call several records.")
    description: str | None = strawberry.field(default=None, description="What the object type is for.")


@strawberry.input
class UpdateObjectTypeInput:
    """What is to change of an object type; what is left out stays."""

    name: str = strawberry.field(description="The internal name of the object type.")
    singular: str | None = strawberry.field(default=None, description="What people call one record.")
    plural: str | None = strawberry.field(default=None, description="What people call several records.")
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="What it is for; null takes the description away."
    )
    primary_display_property: str | None = strawberry.field(
        default=strawberry.UNSET, description="The property that names records; null: the built-in rule."
    )
    active: bool | None = strawberry.field(default=None, description="Whether the account uses it.")


@strawberry.type
class ObjectTypePayload:
    """An object type after a change."""

    object_type: ObjectType | None = strawberry.field(description="The object type as it is now.")
    user_errors: list[UserError]


@strawberry.type
class ObjectTypeQuery:
    """Reads of object types."""

    @strawberry.field(extensions=[Requires(Scope.DEFINITIONS_READ)])
    def object_types(
        self,
        info: Info,
        active: Annotated[
            bool | None, strawberry.argument(description="Only those that are in use (or not); null: all.")
        ] = None,
    ) -> list[ObjectType]:
        """All object types of the account."""
        return [ObjectType.of(row) for row in object_types.listing(info.context, active)]

    @strawberry.field(extensions=[Requires(Scope.DEFINITIONS_READ)])
    def object_type(
        self, info: Info, name: Annotated[str, strawberry.argument(description="Its internal name.")]
    ) -> ObjectType | None:
        """One object type; an error with the code UNKNOWN_OBJECT_TYPE where there is none of this name."""
        return ObjectType.of(object_types.by_name(info.context, name))


@strawberry.type
class ObjectTypeMutation:
    """Changes of object types."""

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def create_object_type(self, info: Info, input: CreateObjectTypeInput) -> ObjectTypePayload:
        """Add a custom object type; its records can be associated with those of every other type at once."""
        work = object_types.create(
            info.context,
            name=input.name,
            singular=input.singular,
            plural=input.plural,
            description=input.description,
        )
        return _payload(*await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def update_object_type(self, info: Info, input: UpdateObjectTypeInput) -> ObjectTypePayload:
        """Change what people see of an object type, or switch it on or off."""
        work = object_types.update(
            info.context,
            input.name,
            singular=input.singular,
            plural=input.plural,
            description=keep(input.description),
            primary_display_property=keep(input.primary_display_property),
            active=input.active,
        )
        return _payload(*await told(work))


def _payload(row: ObjectTypeRow | None, errors: list[UserError]) -> ObjectTypePayload:
    return ObjectTypePayload(object_type=None if row is None else ObjectType.of(row), user_errors=errors)
