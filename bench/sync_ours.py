"""Syncs to be measured: made, awaited."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from bench.graph import ACTOR
from engine.sync import commands, connections
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault
from storage.database import Database, connect
from storage.wake import Notify

LIVE = "SELECT s.phase = 'LIVE' FROM sync AS s WHERE s.account_id = $1 AND s.id = $2"
UNDONE = "SELECT EXISTS (SELECT FROM change_queue AS q WHERE q.account_id = $1)"
STANDS = """
SELECT s.phase, s.cursors, s.progress, s.held, c.status, c.message
  FROM sync AS s JOIN connection AS c ON c.account_id = $1 AND c.id = s.connection_id
 WHERE s.account_id = $1 AND s.id = $2
"""
# Nobody waits for ever.
LONGEST = 1_800


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A database of ours, with wake-ups between processes."""
    async with Notify(url).running() as wake, connect(url, wake=wake) as db:
        yield db


async def connected(
    db: Database,
    account: int,
    secret: str,
    app: str,
    settings: Mapping[str, str],
    table: str,
    definition: Mapping[str, Any],
) -> int:
    """A sync of contacts with a kind of item of an app, configured; `secret` seals what is secret."""
    made = connections.entered(app, settings)
    described = await connections.look(made, Surroundings(allow_private=True))
    vault = Vault(lambda _making: [secret])
    async with db.transaction(account, now=now(), actor=ACTOR) as tx:
        connection = await connections.create(tx, vault, "Theirs", made, described)
    async with db.transaction(account, now=now(), actor=ACTOR) as tx:
        return (await commands.create(tx, connection.id, "contacts", table, definition)).id


async def rest(db: Database, account: int, sync_id: int | None = None) -> None:
    """Until nothing is left to evaluate, and the sync is live."""
    until = time.monotonic() + LONGEST
    async with db.read(account) as reader:
        while (sync_id is not None and not await reader.fetchval(LIVE, sync_id)) or (
            await reader.fetchval(UNDONE)
        ):
            if time.monotonic() > until:
                raise SystemExit(f"It does not end: {await reader.fetchrow(STANDS, sync_id)}")
            await asyncio.sleep(0.02)
