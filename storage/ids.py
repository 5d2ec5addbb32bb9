"""Ids: bigints that rise per account, taken in blocks, so that creating a record asks nobody."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg

from storage.pool import closed
from storage.statements import Statement

# Blocks are taken outside the caller's transaction: the row's lock lasts one statement. A crash leaves a gap.
#
# Who takes many at once ($3) does not wait for the disk, nor lets others wait for it: he has a transaction under way
# that is going to need them all. It is written after this, so if anything of it outlives a crash, this does; and if
# PostgreSQL crashes before, that transaction is lost with it. What is kept for later could outlive a crash here.
TAKE = Statement(
    "ids.take",
    """
    UPDATE id_block AS b SET next_id = b.next_id + $2 WHERE b.account_id = $1
    RETURNING b.next_id - $2,
              set_config('synchronous_commit',
                         CASE WHEN $3 THEN 'off' ELSE current_setting('synchronous_commit') END, true)
    """,
)

BLOCK = 1_000
FIRST = 1_000


class Ids:
    """Hands out ids. Its one connection is its own: waiting for it never waits for the pool's."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._lock = asyncio.Lock()
        self._blocks: dict[int, range] = {}

    async def take(self, account_id: int, n: int) -> Sequence[int]:
        """`n` rising ids, for a transaction under way where they are many. Raises `LookupError`: no such account."""
        block = self._blocks.get(account_id, range(0))
        if len(block) < n:
            async with self._lock:
                block = self._blocks.get(account_id, range(0))
                if len(block) < n:
                    many = n > BLOCK // 2
                    block = await self._fetch(account_id, n if many else BLOCK, many)
        taken, self._blocks[account_id] = block[:n], block[n:]
        return taken

    async def _fetch(self, account_id: int, n: int, at_once: bool) -> range:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url)
        start = await self._connection.fetchval(TAKE.text, account_id, n, at_once)
        if start is None:
            raise LookupError(f"no account {account_id}")
        return range(start, start + n)

    async def aclose(self) -> None:
        """Close the connection; ids that were not handed out are lost."""
        if self._connection is not None:
            await closed(self._connection)
