"""Idempotency keys: what a caller's key has already done."""

from dataclasses import dataclass
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement

# Comes before the work: the primary key makes a second caller wait for the first one's commit or rollback.
CLAIM = Statement(
    "idempotency.claim",
    """
    INSERT INTO idempotency_key (account_id, key, request_hash, answer, created_at)
    VALUES ($1, $2, $3, 'null'::jsonb, $4)
    ON CONFLICT (account_id, key) DO NOTHING
    """,
)

ANSWER = Statement(
    "idempotency.answer",
    "UPDATE idempotency_key AS k SET answer = $3 WHERE k.account_id = $1 AND k.key = $2",
)

FIND = Statement(
    "idempotency.find",
    "SELECT k.request_hash, k.answer FROM idempotency_key AS k WHERE k.account_id = $1 AND k.key = $2",
)


@dataclass(frozen=True, slots=True)
class Known:
    """What a key was used for (a SHA-256, in hex), and the answer it got."""

    request_hash: str
    answer: Any


async def claim(tx: Transaction, key: str, request_hash: str) -> bool:
    """Take `key` for this transaction; False where another one has it, and has committed."""
    return await tx.execute(CLAIM, key, request_hash, tx.now) == 1


async def answer(tx: Transaction, key: str, given: Any) -> None:
    """Note the answer (JSON) of the key that this transaction took."""
    await tx.execute(ANSWER, key, given)


async def find(reader: Queryable, key: str) -> Known | None:
    """What `key` has done, if anything."""
    row = await reader.fetchrow(FIND, key)
    return None if row is None else Known(row["request_hash"], row["answer"])
