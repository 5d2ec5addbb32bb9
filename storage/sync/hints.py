"""Addresses at which apps tell of changes: of the secret in them only a hash is kept."""

from storage.database import Queryable, Transaction
from storage.statements import Statement

# The row is locked by that; what a hint needs of it is read afterwards.
SET = Statement(
    "sync_hints.set",
    """
    UPDATE connection AS c SET hint_hash = $3, updated_at = $4
     WHERE c.account_id = $1 AND c.id = $2
    RETURNING c.app
    """,
)

# The account comes from the secret's own text: an ordinary scoped statement, over the few connections of one account.
FIND = Statement(
    "sync_hints.find", "SELECT c.id FROM connection AS c WHERE c.account_id = $1 AND c.hint_hash = $2"
)


async def set_hash(tx: Transaction, connection_id: int, hint_hash: str | None) -> str | None:
    """Give a connection another address, or none; its app. None where there is no such connection."""
    app: str | None = await tx.fetchval(SET, connection_id, hint_hash, tx.now)
    return app


async def find(reader: Queryable, hint_hash: str) -> int | None:
    """The connection with this address."""
    found: int | None = await reader.fetchval(FIND, hint_hash)
    return found
