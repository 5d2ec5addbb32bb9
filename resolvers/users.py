"""Use cases of users."""

from engine import ids, users
from engine.access import Role
from resolvers.context import Context
from resolvers.writing import write
from storage.users import UserRow


async def listing(context: Context) -> list[UserRow]:
    """All users of the account."""
    async with context.db.read(context.account_id) as reader:
        return await users.listing(reader)


async def create(context: Context, *, name: str, email: str, role: Role) -> UserRow:
    """A new user."""
    return await write(context, lambda tx: users.create(tx, name=name, email=email, role=role))


async def update(context: Context, ident: str, *, name: str | None, role: Role | None) -> UserRow:
    """Change a user's name or role."""
    number = ids.decode_at("user", ident, "id")
    return await write(context, lambda tx: users.update(tx, number, name=name, role=role), defining=True)
