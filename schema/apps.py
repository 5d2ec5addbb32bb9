"""Apps that Relata can be connected to: what they ask for, what they can do, and what they hold."""

import strawberry

from engine.sync.connectors.protocol import (
    App as Known,
)
from engine.sync.connectors.protocol import (
    Capabilities,
    FieldType,
    RemoteField,
    RemoteObject,
    RemoteRole,
    Setting,
)
from schema.documentation import enum

enum(
    FieldType,
    "RemoteFieldType",
    "What a field of the other app holds.",
    {
        "STRING": "Text.",
        "NUMBER": "A number.",
        "BOOLEAN": "Yes or no.",
        "DATE": "A day.",
        "DATETIME": "A moment.",
        "CHOICE": "One of its options, or several.",
        "PHONE": "A phone number.",
    },
)


@strawberry.type
class AppSetting:
    """Something that a connection to an app needs."""

    name: str = strawberry.field(description="Its name in `settings` of `createConnection`.")
    title: str = strawberry.field(description="What people call it.")
    about: str = strawberry.field(description="What it is, and where it is to be found.")
    required: bool = strawberry.field(description="Whether nothing works without it.")
    secret: bool = strawberry.field(description="Whether it is kept encrypted, and never shown again.")
    default: str | None = strawberry.field(description="What it is unless something else is said.")
    options: list[str] = strawberry.field(description="What it can be; empty: anything.")

    @classmethod
    def of(cls, one: Setting) -> "AppSetting":
        """The setting as clients see it."""
        return cls(
            name=one.name,
            title=one.title,
            about=one.about,
            required=one.required,
            secret=one.secret,
            default=one.default,
            options=list(one.options),
        )


@strawberry.type
class AppCapabilities:
    """What an app can do."""

    changes: bool = strawberry.field(
        description="It tells what has changed since a moment; else every look reads everything."
    )
    tombstones: bool = strawberry.field(description="It tells what was deleted, too.")
    conditional: bool = strawberry.field(
        description="It refuses a change of an item that has changed meanwhile; else each is read again before."
    )
    push: bool = strawberry.field(description="It tells of changes at once, as long as we listen.")
    hints: bool = strawberry.field(description="It can call us when something changes: see `hintUrl`.")
    page: int = strawberry.field(description="How many items are read at a time.")
    batch: int = strawberry.field(description="How many items are written at a time.")
    pace_seconds: float = strawberry.field(
        description="How often it is asked for changes, unless a sync says otherwise; in seconds."
    )
    rate: float | None = strawberry.field(
        description="How many calls a second it gets at most, over all syncs of a connection; null: no limit is known."
    )

    @classmethod
    def of(cls, one: Capabilities) -> "AppCapabilities":
        """The capabilities as clients see them."""
        return cls(
            changes=one.changes,
            tombstones=one.tombstones,
            conditional=one.conditional,
            push=one.push,
            hints=one.hints,
            page=one.page,
            batch=one.batch,
            pace_seconds=one.pace.total_seconds(),
            rate=one.rate,
        )


@strawberry.type
class App:
    """A kind of third party that Relata can be connected to."""

    name: str = strawberry.field(description="Its internal name; it never changes.")
    title: str = strawberry.field(description="What people call it.")
    about: str = strawberry.field(description="What it is.")
    settings: list[AppSetting] = strawberry.field(description="What a connection needs.")
    capabilities: AppCapabilities = strawberry.field(description="What it can do.")

    @classmethod
    def of(cls, app: Known) -> "App":
        """The app as clients see it."""
        return cls(
            name=app.name,
            title=app.title,
            about=app.about,
            settings=[AppSetting.of(one) for one in app.settings],
            capabilities=AppCapabilities.of(app.capabilities),
        )


@strawberry.type(name="RemoteOption")
class Option:
    """A choice that a field of the other app offers."""

    value: str = strawberry.field(description="The value.")
    title: str = strawberry.field(description="What people call it.")


@strawberry.type(name="RemoteField")
class Field:
    """A field of an object of the other app."""

    name: str = strawberry.field(description="Its name over there.")
    title: str = strawberry.field(description="What people call it.")
    type: FieldType = strawberry.field(description="What it holds.")
    required: bool = strawberry.field(description="Whether nothing can be created without it.")
    read_only: bool = strawberry.field(description="Whether it cannot be written.")
    multiple: bool = strawberry.field(description="Whether it holds several of its options.")
    unique: bool = strawberry.field(description="Whether no two items have the same value.")
    options: list[Option] = strawberry.field(description="What it offers; empty: it takes any value.")
    max_length: int | None = strawberry.field(description="How many characters it takes; null: any number.")
    default_property: str | None = strawberry.field(
        description="The property that it is mapped to unless somebody says otherwise."
    )

    @classmethod
    def of(cls, one: RemoteField) -> "Field":
        """The field as clients see it."""
        return cls(
            name=one.name,
            title=one.title,
            type=one.type,
            required=one.required,
            read_only=one.read_only,
            multiple=one.multiple,
            unique=one.unique,
            options=[Option(value=value, title=title) for value, title in one.options],
            max_length=one.max_length,
            default_property=one.default_property,
        )


@strawberry.type(name="RemoteRole")
class Role:
    """A way in which items of the other app are associated with each other."""

    name: str = strawberry.field(description="Its name over there.")
    title: str = strawberry.field(description="What people call it.")
    to: str = strawberry.field(description="The object of theirs at the other end.")
    many: bool = strawberry.field(description="Whether an item can have several of them at a time.")
    read_only: bool = strawberry.field(description="Whether it cannot be written.")
    primary: bool = strawberry.field(
        description='Whether it is the main one of several, as our label "primary".'
    )

    @classmethod
    def of(cls, one: RemoteRole) -> "Role":
        """The role as clients see it."""
        return cls(
            name=one.name,
            title=one.title,
            to=one.to,
            many=one.many,
            read_only=one.read_only,
            primary=one.primary,
        )


@strawberry.type(name="RemoteObject")
class Object:
    """A kind of item that the other app holds: contacts, companies, a table."""

    name: str = strawberry.field(description="Its name over there.")
    title: str = strawberry.field(description="What people call it.")
    default_object_type: str | None = strawberry.field(description="The object type of ours that it is like.")
    creatable: bool = strawberry.field(description="Whether items can be created.")
    writable: bool = strawberry.field(description="Whether items can be changed.")
    deletable: bool = strawberry.field(description="Whether items can be deleted.")
    fields: list[Field] = strawberry.field(description="Its fields.")
    roles: list[Role] = strawberry.field(description="How its items are associated with others.")

    @classmethod
    def of(cls, one: RemoteObject) -> "Object":
        """The object as clients see it."""
        return cls(
            name=one.name,
            title=one.title,
            default_object_type=one.default_object_type,
            creatable=one.creatable,
            writable=one.writable,
            deletable=one.deletable,
            fields=[Field.of(field) for field in one.fields],
            roles=[Role.of(role) for role in one.roles],
        )
