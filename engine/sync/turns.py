"""A runner's turn: the sync that it has leased, the rules that it goes by, the connector that it holds open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.sync.connectors.protocol import Connector, Item, Page
from engine.sync.rules import Rules
from storage.database import Actor, Database, Transaction
from storage.sync import leases
from storage.sync.leases import RunRow

# A runner that says nothing for so long has lost its sync to the next one.
LEASE = timedelta(seconds=15)
# Items that one transaction looks at.
PAGE = 1_000


class Overtaken(Exception):
    """The sync is no longer ours, or no longer what it was: whatever was about to be written is not."""


def _nowhere(_place: str) -> None:
    """Tests break off here."""


def _heard(reading: asyncio.Task[tuple[Page, list[Item]]]) -> None:
    """What became of it no longer matters."""
    if not reading.cancelled():
        reading.exception()


@dataclass(frozen=True, slots=True)
class Ahead:
    """A read behind a cursor that was begun before what stands before it is written."""

    cursor: str | None
    reading: asyncio.Task[tuple[Page, list[Item]]]


@dataclass(slots=True)
class Turn:
    """One sync, leased under `token`, with rules of `revision` and an open connector.

    `at` is told of every place at which a crash may leave things half done.
    """

    db: Database
    account_id: int
    sync_id: int
    token: str
    revision: int
    rules: Rules
    connector: Connector
    at: Callable[[str], None] = _nowhere
    ahead: Ahead | None = None
    # Whether the app has refused something that it had told of.
    doubted: bool = False

    @property
    def actor(self) -> Actor:
        """Who writes."""
        return Actor("SYNC", str(self.sync_id))

    def forget(self) -> None:
        """Let go of what was read ahead."""
        if self.ahead is not None:
            self.ahead.reading.cancel()
            self.ahead.reading.add_done_callback(_heard)
            self.ahead = None

    @contextlib.asynccontextmanager
    async def hold(self, now: datetime) -> AsyncIterator[tuple[Transaction, RunRow]]:
        """A transaction in which the sync is held, and still ours. Raises `Overtaken`."""
        self.at("begin")
        async with self.db.transaction(self.account_id, now=now, actor=self.actor) as tx:
            row = await leases.hold(tx, self.sync_id, self.token, self.revision, now + LEASE)
            if row is None or tx.catalogue.object_types.get(row.object_type_id) != self.rules.object_type:
                raise Overtaken
            yield tx, row
            self.at("commit")
        self.at("committed")
