"""A runner's turn: the sync that it has leased, the rules that it goes by, the connector that it holds open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.crew import Crew
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


@dataclass(frozen=True, slots=True)
class Share:
    """A turn as those see it who help with it: whoever holds the sync's row together with others."""

    account_id: int
    sync_id: int
    token: str
    revision: int

    @contextlib.asynccontextmanager
    async def hold(self, db: Database, rules: Rules, now: datetime) -> AsyncIterator[Transaction]:
        """A transaction in which nobody holds the sync alone, and it is still the runner's. Raises `Overtaken`."""
        async with db.transaction(self.account_id, now=now, actor=_actor(self.sync_id)) as tx:
            object_type_id = await leases.share(tx, self.sync_id, self.token, self.revision)
            if object_type_id is None or tx.catalogue.object_types.get(object_type_id) != rules.object_type:
                raise Overtaken
            yield tx


def _actor(sync_id: int) -> Actor:
    return Actor("SYNC", str(sync_id))


@dataclass(slots=True)
class Turn:
    """One sync, leased under `token`, with rules of `revision` and an open connector.

    `at` is told of every place at which a crash may leave things half done. `crew`: who helps, if anybody.
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
    crew: Crew | None = None

    @property
    def actor(self) -> Actor:
        """Who writes."""
        return _actor(self.sync_id)

    @property
    def share(self) -> Share:
        """What those go by who help."""
        return Share(self.account_id, self.sync_id, self.token, self.revision)

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
