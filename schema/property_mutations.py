"""Properties are defined, changed and archived."""

from typing import Any

import strawberry

from engine.access import Scope
from engine.object_types import KEEP, Keep
from engine.properties import Option
from resolvers import properties
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from schema.properties import Property, PropertyField, PropertyType
from storage.catalogue import PropertyRow


@strawberry.input
class PropertyOptionInput:
    """One choice of an enumeration."""

    value: str = strawberry.field(description="What records hold; it never changes.")
    label: str | None = strawberry.field(
        default=None, description="What people read; the value, if left out."
    )


@strawberry.input
class CreatePropertyInput:
    """A new property."""

    object_type: str = strawberry.field(
        description='The internal name of the object type, such as "contacts".'
    )
    name: str = strawberry.field(description="The internal name: a-z, 0-9 and _, beginning with a letter.")
    label: str = strawberry.field(description="What people read.")
    type: PropertyType = strawberry.field(description="What values it has; this never changes.")
    field: PropertyField | None = strawberry.field(
        default=None, description="How it is best shown; the type's usual way, if left out."
    )
    group: str = strawberry.field(default="custom", description="The group among which it is shown.")
    description: str | None = strawberry.field(default=None, description="What the property is for.")
    options: list[PropertyOptionInput] = strawberry.field(
        default_factory=list, description="The choices of an enumeration, in order."
    )
    multiple: bool = strawberry.field(
        default=False, description="For an enumeration: whether a record may hold several options at once."
    )
    unique: bool = strawberry.field(
        default=False, description="Whether no two records may hold the same value; this never changes."
    )
    required: bool = strawberry.field(
        default=False, description="Whether every new record needs a value; a text of blanks is none."
    )
    searchable: bool = strawberry.field(
        default=False, description="Whether filters and orders by it use an index; writes cost a little more."
    )
    parts_searchable: bool = strawberry.field(
        default=False,
        description="Whether `CONTAINS`, `ENDS_WITH` and `STARTS_WITH` use an index of the parts of its texts; "
        "writes cost more. For texts and phone numbers.",
    )


@strawberry.input
class UpdatePropertyInput:
    """What is to change of a property; what is left out stays."""

    object_type: str = strawberry.field(description="The internal name of the object type.")
    name: str = strawberry.field(description="The internal name of the property.")
    label: str | None = strawberry.field(default=None, description="What people read.")
    group: str | None = strawberry.field(default=None, description="The group among which it is shown.")
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="What the property is for; null takes it away."
    )
    options: list[PropertyOptionInput] | None = strawberry.field(
        default=None, description="All choices of an enumeration, in order; what is missing is archived."
    )
    required: bool | None = strawberry.field(
        default=None, description="Whether every new record needs a value; a text of blanks is none."
    )
    searchable: bool | None = strawberry.field(
        default=None, description="Whether filters and orders by it use an index."
    )
    parts_searchable: bool | None = strawberry.field(
        default=None,
        description="Whether `CONTAINS`, `ENDS_WITH` and `STARTS_WITH` use an index of the parts of its texts.",
    )


@strawberry.input
class ArchivePropertyInput:
    """A property to put away."""

    object_type: str = strawberry.field(description="The internal name of the object type.")
    name: str = strawberry.field(description="The internal name of the property.")


@strawberry.type
class PropertyPayload:
    """A property after a change."""

    property: Property | None = strawberry.field(description="The property as it is now.")
    user_errors: list[UserError]


@strawberry.type
class PropertyMutation:
    """Changes of properties."""

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def create_property(self, info: Info, input: CreatePropertyInput) -> PropertyPayload:
        """Add a property to an object type."""
        work = properties.create(
            info.context,
            input.object_type,
            name=input.name,
            label=input.label,
            type=input.type.value,
            field=None if input.field is None else input.field.value,
            group=input.group,
            description=input.description,
            options=_options(input.options) or (),
            multiple=input.multiple,
            unique=input.unique,
            required=input.required,
            searchable=input.searchable,
            parts_searchable=input.parts_searchable,
        )
        return _payload(input.object_type, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def update_property(self, info: Info, input: UpdatePropertyInput) -> PropertyPayload:
        """Change what may change of a property: its texts, options and flags."""
        work = properties.update(
            info.context,
            input.object_type,
            input.name,
            label=input.label,
            group=input.group,
            description=keep(input.description),
            options=_options(input.options),
            required=input.required,
            searchable=input.searchable,
            parts_searchable=input.parts_searchable,
        )
        return _payload(input.object_type, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def archive_property(self, info: Info, input: ArchivePropertyInput) -> PropertyPayload:
        """Put a property away: it is neither read nor written any more, and its name stays taken."""
        work = properties.archive(info.context, input.object_type, input.name)
        return _payload(input.object_type, *await told(work))


def keep(value: Any) -> str | Keep | None:
    """What an update was given, or `KEEP` where the client left it out."""
    return KEEP if value is strawberry.UNSET else value


def _options(given: list[PropertyOptionInput] | None) -> list[Option] | None:
    return None if given is None else [Option(option.value, option.label) for option in given]


def _payload(object_type: str, row: PropertyRow | None, errors: list[UserError]) -> PropertyPayload:
    return PropertyPayload(
        property=None if row is None else Property.of(row, object_type), user_errors=errors
    )
