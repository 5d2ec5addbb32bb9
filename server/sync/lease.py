"""A sync's lease: taken, renewed while work goes on, given back. Whoever loses it stops in the middle."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable
from datetime import datetime

from engine.sync.turns import LEASE, Overtaken
from server.sync.calls import Clock
from storage.database import Database
from storage.sync import leases
from storage.sync.leases import Due

# How often a lease is renewed while a call goes on.
RENEW_SECONDS = LEASE.total_seconds() / 3


class Lease:
    """One runner's lease of the sync that is `due`, under a token of its own."""

    def __init__(self, db: Database, due: Due, clock: Clock) -> None:
        self._db = db
        self._due = due
        self._clock = clock
        self.token = secrets.token_hex(16)
        # Until when the sync is surely ours.
        self._until: datetime | None = None

    async def take(self) -> bool:
        """Take it, or renew it: whether it is ours now."""
        now = self._clock()
        async with self._db.single(self._due.account_id) as single:
            if not await leases.take(single, self._due.sync_id, self.token, now, now + LEASE):
                return False
        self._until = now + LEASE
        return True

    def runs(self) -> bool:
        """Whether it still runs, as far as can be told without asking."""
        return self._until is not None and self._clock() < self._until

    async def during(self, work: Awaitable[None]) -> None:
        """Work, and keep it meanwhile. Raises `Overtaken` where it is lost."""
        working = asyncio.ensure_future(work)
        keeping = asyncio.ensure_future(self._keep())
        try:
            await asyncio.wait((working, keeping), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                keeping.result()
                raise Overtaken
            working.result()
        finally:
            for task in (working, keeping):
                task.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if not await self.take():
                return

    async def release(self) -> None:
        """Give it back; where that is not possible, it ends by itself."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1.0), self._db.single(self._due.account_id) as single:
                await leases.release(single, self._due.sync_id, self.token)
