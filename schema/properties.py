"""Properties: what records of an object type can hold."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from engine import ids
from engine.access import Scope
from engine.named import Named
from engine.object_types import KEEP, Keep
from engine.properties import Option
from resolvers import properties
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.errors import UserError, told
from schema.uses import DefinitionUse, uses_of
from storage.catalogue import PropertyRow


class PropertyType(Enum):
    """What values a property has. It never changes."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATE = "DATE"
    DATETIME = "DATETIME"
    ENUMERATION = "ENUMERATION"
    PHONE = "PHONE"
    JSON = "JSON"


enum(
    PropertyType,
    "PropertyType",
    "What values a property has. It never changes.",
    {
        "STRING": "Text.",
        "NUMBER": "A number.",
        "BOOLEAN": "True or false.",
        "DATE": 'A day, such as "2026-01-31".',
        "DATETIME": 'A moment, such as "2026-01-31T09:30:00.000Z"; any offset is accepted and turned into UTC.',
        "ENUMERATION": "One of a list of options, or several of them.",
        "PHONE": "A telephone number.",
        "JSON": "Any JSON value.",
    },
)


class PropertyField(Enum):
    """How a property is best shown and entered; a hint only."""

    SINGLE_LINE_TEXT = "SINGLE_LINE_TEXT"
    MULTI_LINE_TEXT = "MULTI_LINE_TEXT"
    EMAIL = "EMAIL"
    DOMAIN = "DOMAIN"
    URL = "URL"
    PHONE = "PHONE"
    NUMBER = "NUMBER"
    CURRENCY = "CURRENCY"
    PERCENTAGE = "PERCENTAGE"
    CHECKBOX = "CHECKBOX"
    RADIO = "RADIO"
    SELECT = "SELECT"
    CHECKBOXES = "CHECKBOXES"
    DATE = "DATE"
    DATETIME = "DATETIME"
    JSON = "JSON"


enum(
    PropertyField,
    "PropertyField",
    "How a property is best shown and entered; a hint only.",
    {
        "SINGLE_LINE_TEXT": "One line of text.",
        "MULTI_LINE_TEXT": "Text of several lines.",
        "EMAIL": "An e-mail address.",
        "DOMAIN": "A domain name.",
        "URL": "An address on the web.",
        "PHONE": "A telephone number.",
        "NUMBER": "A plain number.",
        "CURRENCY": "An amount of money.",
        "PERCENTAGE": "A share of one hundred.",
        "CHECKBOX": "A single box to tick.",
        "RADIO": "Buttons of which one is pressed.",
        "SELECT": "A list to choose one from.",
        "CHECKBOXES": "Boxes of which several may be ticked.",
        "DATE": "A day.",
        "DATETIME": "A day and a time.",
        "JSON": "Any JSON value.",
    },
)


@strawberry.type
class PropertyOption:
    """One choice of an enumeration."""

    value: str = strawberry.field(description="What records hold. It never changes.")
    label: str = strawberry.field(description="What people read.")
    archived: bool = strawberry.field(
        description="Whether the option was taken away; records may still hold it."
    )


@strawberry.type
class Property:
    """A property of an object type."""

    id: strawberry.ID = strawberry.field(description="The property's id.")
    object_type: str = strawberry.field(description="The internal name of the object type.")
    name: str = strawberry.field(description="The internal name, which never changes.")
    label: str = strawberry.field(description="What people read.")
    group: str = strawberry.field(description="The group among which the property is shown.")
    description: str | None = strawberry.field(description="What the property is for.")
    type: PropertyType = strawberry.field(description="What values it has.")
    field: PropertyField = strawberry.field(description="How it is best shown.")
    multiple: bool = strawberry.field(description="Whether a record may hold several options at once.")
    unique: bool = strawberry.field(description="Whether no two records may hold the same value.")
    required: bool = strawberry.field(
        description="Whether every new record needs a value; a text of blanks is none."
    )
    searchable: bool = strawberry.field(
        description="Whether filters and orders by it use an index. Every property can be filtered by; this one faster."
    )
    parts_searchable: bool = strawberry.field(
        description="Whether `CONTAINS`, `ENDS_WITH` and `STARTS_WITH` use an index of the parts of its texts. "
        "They work for every text; among millions of records, this one is quick where few meet them."
    )
    indexing: bool = strawberry.field(
        description="Whether an index is being made or given up since `searchable` or `partsSearchable` changed; "
        "all works meanwhile."
    )
    read_only: bool = strawberry.field(description="Whether only the system writes it.")
    calculated: bool = strawberry.field(description="Whether its value is computed from others.")
    options: list[PropertyOption] = strawberry.field(description="The choices of an enumeration, in order.")
    created_at: datetime = strawberry.field(description="When the property was made.")
    archived_at: datetime | None = strawberry.field(
        description="When the property was put away; null while it is in use."
    )

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def uses(self, info: Info) -> list[DefinitionUse]:
        """The places in segments and workflows that name it: what breaks when it is put away."""
        return await uses_of(info.context, Named.PROPERTY, ids.decode("property", self.id))

    @classmethod
    def of(cls, row: PropertyRow, object_type: str) -> "Property":
        """The property as clients see it."""
        return cls(
            id=strawberry.ID(ids.encode("property", row.id)),
            object_type=object_type,
            name=row.name,
            label=row.label,
            group=row.group_name,
            description=row.description,
            type=PropertyType(row.type),
            field=PropertyField(row.field),
            multiple=row.multiple,
            unique=row.is_unique,
            required=row.required,
            searchable=row.searchable,
            parts_searchable=row.parts_searchable,
            indexing=row.indexing,
            read_only=row.read_only,
            calculated=row.calculated,
            options=[
                PropertyOption(
                    value=option["value"], label=option["label"], archived=option.get("archived", False)
                )
                for option in row.options
            ],
            created_at=row.created_at,
            archived_at=row.archived_at,
        )


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
