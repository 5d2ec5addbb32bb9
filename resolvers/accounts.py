"""Use cases of the account."""

from collections.abc import Mapping
from typing import Any

from engine import accounts
from engine.accounts import Account
from resolvers.context import Context
from resolvers.writing import write
from storage.database import Transaction


async def read(context: Context) -> Account:
    """The account that asks."""
    async with context.db.read(context.account_id) as reader:
        return await accounts.read(reader)


async def change_settings(context: Context, changes: Mapping[str, Any]) -> Account:
    """Change some settings; the account as it is then."""

    async def work(tx: Transaction) -> Account:
        await accounts.change_settings(tx, changes)
        return await accounts.read(tx)

    return await write(context, work, defining=True)
