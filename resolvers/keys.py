"""Use cases of API keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine import ids, keys
from engine.access import Role, Scope
from resolvers.context import Context
from resolvers.writing import write
from storage.database import Transaction
from storage.keys import KeyRow


@dataclass(frozen=True, slots=True)
class Created:
    """A new key with its secret, which is known this once."""

    row: KeyRow
    secret: str


async def listing(context: Context) -> list[KeyRow]:
    """All keys of the account."""
    async with context.db.read(context.account_id) as reader:
        return await keys.listing(reader)


async def create(
    context: Context, *, name: str, role: Role, scopes: Sequence[Scope] | None, user: str | None
) -> Created:
    """A new key, of a user or of nobody in particular."""
    user_id = None if user is None else ids.decode_at("user", user, "userId")

    async def work(tx: Transaction) -> Created:
        maker = context.principal.scopes
        number, secret = await keys.create(
            tx, name=name, role=role, scopes=scopes, user_id=user_id, maker=maker
        )
        row = next(row for row in await keys.listing(tx) if row.id == number)
        return Created(row, secret)

    return await write(context, work)


async def revoke(context: Context, ident: str) -> KeyRow:
    """End a key: in this process at once, in others within a second."""
    number = ids.decode_at("key", ident, "id")
    row = await write(context, lambda tx: keys.revoke(tx, number))
    context.forget_key(context.account_id, number)
    return row
