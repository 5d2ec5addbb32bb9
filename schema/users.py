"""People of an account and their roles."""

from datetime import datetime

import strawberry

from engine import ids
from engine.access import Role, Scope
from resolvers import users
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from storage.users import UserRow


@strawberry.type
class User:
    """A person who works in the account."""

    id: strawberry.ID = strawberry.field(description="The user's id.")
    name: str = strawberry.field(description="How the user is called.")
    email: str = strawberry.field(description="The user's e-mail address, in lower case; one user each.")
    role: Role = strawberry.field(
        description="What the user is in the account; bounds what their keys may do."
    )
    created_at: datetime = strawberry.field(description="When the user was added.")

    @classmethod
    def of(cls, row: UserRow) -> "User":
        """The user as clients see it."""
        return cls(
            id=strawberry.ID(ids.encode("user", row.id)),
            name=row.name,
            email=row.email,
            role=Role(row.role),
            created_at=row.created_at,
        )


@strawberry.input
class CreateUserInput:
    """A new user."""

    name: str = strawberry.field(description="How the user is called.")
    email: str = strawberry.field(description="The user's e-mail address.")
    role: Role = strawberry.field(description="What the user is to be.")


@strawberry.input
class UpdateUserInput:
    """What is to change of a user; what is left out stays."""

    id: strawberry.ID = strawberry.field(description="The user's id.")
    name: str | None = strawberry.field(default=None, description="The new name.")
    role: Role | None = strawberry.field(
        default=None, description="The new role; keys of the user lose at once what it does not allow."
    )


@strawberry.type
class UserPayload:
    """A user after a change."""

    user: User | None = strawberry.field(description="The user as it is now.")
    user_errors: list[UserError]


@strawberry.type
class UserQuery:
    """Reads of users."""

    @strawberry.field(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def users(self, info: Info) -> list[User]:
        """All users of the account, oldest first."""
        return [User.of(row) for row in await users.listing(info.context)]


@strawberry.type
class UserMutation:
    """Changes of users."""

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def create_user(self, info: Info, input: CreateUserInput) -> UserPayload:
        """Add a user."""
        work = users.create(info.context, name=input.name, email=input.email, role=input.role)
        row, errors = await told(work)
        return UserPayload(user=None if row is None else User.of(row), user_errors=errors)

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def update_user(self, info: Info, input: UpdateUserInput) -> UserPayload:
        """Change a user's name or role."""
        row, errors = await told(users.update(info.context, input.id, name=input.name, role=input.role))
        return UserPayload(user=None if row is None else User.of(row), user_errors=errors)
