"""Connections: instances of other apps that the account is signed in to."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from engine.sync.categories import Category
from engine.sync.health import advice
from resolvers import connections as reads
from resolvers.connections import Checked
from resolvers.context import Context
from schema.access import Requires
from schema.apps import App
from schema.apps import Object as RemoteObject
from schema.context import Info
from schema.documentation import enum
from schema.errors import UserError, told, user_error
from schema.nodes import Node
from schema.sync_words import ConnectionStatus
from storage.sync.connections import ConnectionRow


class HintUrlChange(Enum):
    """What becomes of the address at which an app tells of changes."""

    NEW = "NEW"
    NONE = "NONE"


enum(
    HintUrlChange,
    "HintUrlChange",
    "What becomes of the address at which an app tells of changes.",
    {"NEW": "There is a new one, shown once; a former one ends.", "NONE": "It ends."},
)


@strawberry.type
class ConnectionSetting:
    """Something that a connection was given. What is secret is never shown."""

    name: str = strawberry.field(description="The name of the setting.")
    value: str | None = strawberry.field(description="Its value; null: it is secret.")
    secret: bool = strawberry.field(description="Whether it is kept encrypted, and never shown again.")


@strawberry.type
class Connection(Node):
    """An instance of another app that the account is signed in to."""

    row: strawberry.Private[ConnectionRow]
    name: str = strawberry.field(description="What people call it; unique in the account.")
    app_name: str = strawberry.field(description="The internal name of its app.")
    status: ConnectionStatus = strawberry.field(description="Whether it works.")
    category: Category | None = strawberry.field(description="Why it is broken, or pauses.")
    tip: str | None = strawberry.field(description="What can be done about it.")
    message: str | None = strawberry.field(description="What the app said about it.")
    paused_until: datetime | None = strawberry.field(
        description="Nothing is asked of the app before this moment; null: it does not pause."
    )
    remote_account: str | None = strawberry.field(
        description="How the app calls the account that one is signed in to."
    )
    described_at: datetime | None = strawberry.field(description="When the app was last asked what it holds.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @strawberry.field
    def app(self) -> App | None:
        """Its app; null: the connector is not installed any more."""
        found = reads.app(self.row.app)
        return None if found is None else App.of(found)

    @strawberry.field(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    def settings(self) -> list[ConnectionSetting]:
        """What it was given."""
        return [
            *(
                ConnectionSetting(name=name, value=value, secret=False)
                for name, value in self.row.settings.items()
            ),
            *(ConnectionSetting(name=name, value=None, secret=True) for name in self.row.secret_names),
        ]

    @strawberry.field
    def objects(self) -> list[RemoteObject]:
        """What kinds of items the app holds, as it told when it was last asked; `checkConnection` asks anew."""
        return [RemoteObject.of(one) for one in reads.objects(self.row)]

    @classmethod
    def of(cls, context: Context, row: ConnectionRow) -> "Connection":
        """The connection as clients see it."""
        what = advice(row.category)
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("connection", row.id)),
            name=row.name,
            app_name=row.app,
            status=ConnectionStatus(row.status),
            category=Category.__members__.get(row.category or ""),
            tip=None if what is None else what.tip,
            message=row.message,
            paused_until=row.paused_until
            if row.paused_until is not None and row.paused_until > context.now
            else None,
            remote_account=row.remote_account,
            described_at=row.described_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @classmethod
    async def found(cls, context: Context, number: int) -> "Connection":
        """The connection that a sync names."""
        row = await reads.by_id(context, number)
        assert row is not None  # while it has syncs, it is not deleted
        return cls.of(context, row)


@strawberry.input
class ConnectionSettingInput:
    """A setting with its value."""

    name: str = strawberry.field(description="The name of the setting, as its app tells it.")
    value: str | None = strawberry.field(description="The value; null takes it away.")


@strawberry.input
class CreateConnectionInput:
    """An app to connect to."""

    app: str = strawberry.field(description="The internal name of the app.")
    name: str | None = strawberry.field(
        default=None, description="What people call it; unique in the account. Null: as the app is called."
    )
    settings: list[ConnectionSettingInput] = strawberry.field(
        description="What the app needs: see its `settings`."
    )


@strawberry.input
class UpdateConnectionInput:
    """What is to change of a connection; what is left out stays."""

    id: strawberry.ID = strawberry.field(description="The connection.")
    name: str | None = strawberry.field(default=None, description="What people call it.")
    settings: list[ConnectionSettingInput] = strawberry.field(
        default_factory=list, description="Settings that change; the others stay, secret ones too."
    )
    hint_url: HintUrlChange | None = strawberry.field(
        default=None,
        description="What becomes of the address at which the app tells of changes, where it can; null: it stays.",
    )


@strawberry.input
class CheckConnectionInput:
    """A connection to check."""

    id: strawberry.ID = strawberry.field(description="The connection.")


@strawberry.input
class DeleteConnectionInput:
    """A connection to delete."""

    id: strawberry.ID = strawberry.field(description="The connection.")


@strawberry.type
class ConnectionPayload:
    """A connection after a change, with what its app said."""

    connection: Connection | None = strawberry.field(description="The connection as it is now.")
    told: str | None = strawberry.field(
        description="How the app calls the account that one is signed in to; null: it was not asked, or refused."
    )
    hint_url: str | None = strawberry.field(
        description="The new address at which the app can tell of changes. It holds a secret, and is shown this once."
    )
    user_errors: list[UserError]


@strawberry.type
class DeleteConnectionPayload:
    """What became of a connection to delete."""

    deleted_id: strawberry.ID | None = strawberry.field(
        description="The connection that is gone; null where nothing was done."
    )
    user_errors: list[UserError]


@strawberry.type
class ConnectionQuery:
    """Reads of apps and connections."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def apps(self) -> list[App]:
        """The apps that can be connected, by name."""
        return [App.of(app) for app in reads.apps()]

    @strawberry.field(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def connections(
        self,
        info: Info,
        app: Annotated[str | None, strawberry.argument(description="Only of this app; null: of any.")] = None,
    ) -> list[Connection]:
        """All connections, oldest first."""
        rows = await reads.listing(info.context)
        return [Connection.of(info.context, row) for row in rows if app is None or row.app == app]

    @strawberry.field(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def connection(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Connection | None:
        """One connection."""
        row = await reads.by_id(info.context, ids.decode_at("connection", id, "id"))
        return None if row is None else Connection.of(info.context, row)


@strawberry.type
class ConnectionMutation:
    """Changes of connections."""

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def create_connection(self, info: Info, input: CreateConnectionInput) -> ConnectionPayload:
        """Sign in to an app. It is asked first whether it works; only then is anything kept, secrets encrypted."""
        work = reads.create(info.context, input.app, input.name, _settings(input.settings))
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def update_connection(self, info: Info, input: UpdateConnectionInput) -> ConnectionPayload:
        """Give a connection another name, other settings or credentials; the app is asked first whether it works."""
        hint = None if input.hint_url is None else input.hint_url is HintUrlChange.NEW
        work = reads.update(info.context, input.id, input.name, _settings(input.settings), hint)
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def check_connection(self, info: Info, input: CheckConnectionInput) -> ConnectionPayload:
        """Ask the app whether a connection works, and what it holds now; one that was broken goes on if it does."""
        return _payload(info, *await told(reads.check(info.context, input.id)))

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def delete_connection(self, info: Info, input: DeleteConnectionInput) -> DeleteConnectionPayload:
        """Delete a connection that has no syncs, with its credentials."""
        number, errors = await told(reads.delete(info.context, input.id))
        gone = None if number is None else strawberry.ID(ids.encode("connection", number))
        return DeleteConnectionPayload(deleted_id=gone, user_errors=errors)


def _settings(given: list[ConnectionSettingInput]) -> list[tuple[str, str | None]]:
    return [(one.name, one.value) for one in given]


def _payload(info: Info, found: Checked | None, errors: list[UserError]) -> ConnectionPayload:
    if found is None:
        return ConnectionPayload(connection=None, told=None, hint_url=None, user_errors=errors)
    hint = None if found.hint is None else f"{info.context.public_url}/sync-hints/{found.hint}"
    problems = [] if found.problem is None else [user_error(found.problem, "input")]
    return ConnectionPayload(
        connection=Connection.of(info.context, found.row),
        told=found.told,
        hint_url=hint,
        user_errors=[*errors, *problems],
    )
