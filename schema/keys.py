"""API keys: made with a role and scopes, shown once, revoked at once."""

from datetime import datetime

import strawberry

from engine import ids
from engine.access import Role, Scope
from resolvers import keys
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from storage.keys import KeyRow


@strawberry.type
class Key:
    """A bearer key of the account. Its secret is told once, when it is made."""

    id: strawberry.ID = strawberry.field(description="The key's id.")
    name: str = strawberry.field(description="What the key is for.")
    prefix: str = strawberry.field(description="The beginning of the secret, to tell keys apart.")
    role: Role = strawberry.field(description="What the key is in the account.")
    scopes: list[Scope] = strawberry.field(description="What the key may do.")
    user_id: strawberry.ID | None = strawberry.field(description="The user whose key it is, if any.")
    created_at: datetime = strawberry.field(description="When the key was made.")
    revoked_at: datetime | None = strawberry.field(
        description="When the key was revoked; null while it is good."
    )

    @classmethod
    def of(cls, row: KeyRow) -> "Key":
        """The key as clients see it."""
        return cls(
            id=strawberry.ID(ids.encode("key", row.id)),
            name=row.name,
            prefix=row.prefix,
            role=Role(row.role),
            scopes=[Scope(scope) for scope in row.scopes],
            user_id=None if row.user_id is None else strawberry.ID(ids.encode("user", row.user_id)),
            created_at=row.created_at,
            revoked_at=row.revoked_at,
        )


@strawberry.input
class CreateKeyInput:
    """A new key."""

    name: str = strawberry.field(description="What the key is for.")
    role: Role = strawberry.field(description="What the key is to be.")
    scopes: list[Scope] | None = strawberry.field(
        default=None,
        description="What it may do, as far as its role and the key that asks for it may; null: all that the role may.",
    )
    user_id: strawberry.ID | None = strawberry.field(
        default=None, description="The user whose key it is; it never may more than they."
    )


@strawberry.input
class RevokeKeyInput:
    """A key to end."""

    id: strawberry.ID = strawberry.field(description="The key's id.")


@strawberry.type
class CreateKeyPayload:
    """A new key with its secret."""

    key: Key | None = strawberry.field(description="The key.")
    secret: str | None = strawberry.field(
        description='The secret, for "Authorization: Bearer SECRET". It is told this once: only its hash is kept.'
    )
    user_errors: list[UserError]


@strawberry.type
class RevokeKeyPayload:
    """A key that has ended."""

    key: Key | None = strawberry.field(description="The key as it is now.")
    user_errors: list[UserError]


@strawberry.type
class KeyQuery:
    """Reads of keys."""

    @strawberry.field(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def keys(self, info: Info) -> list[Key]:
        """All keys of the account, oldest first, revoked ones included."""
        return [Key.of(row) for row in await keys.listing(info.context)]


@strawberry.type
class KeyMutation:
    """Changes of keys."""

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def create_key(self, info: Info, input: CreateKeyInput) -> CreateKeyPayload:
        """Make a key."""
        work = keys.create(
            info.context, name=input.name, role=input.role, scopes=input.scopes, user=input.user_id
        )
        made, errors = await told(work)
        if made is None:
            return CreateKeyPayload(key=None, secret=None, user_errors=errors)
        return CreateKeyPayload(key=Key.of(made.row), secret=made.secret, user_errors=errors)

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def revoke_key(self, info: Info, input: RevokeKeyInput) -> RevokeKeyPayload:
        """End a key, and every stream that it holds open."""
        row, errors = await told(keys.revoke(info.context, input.id))
        return RevokeKeyPayload(key=None if row is None else Key.of(row), user_errors=errors)
