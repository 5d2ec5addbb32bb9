"""Properties: what records of an object type can hold."""

from datetime import datetime
from enum import Enum

import strawberry

from engine import ids
from engine.access import Scope
from engine.named import Named
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
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
