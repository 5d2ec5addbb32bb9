"""Calls of connectors as runners make them: at the app's pace, never for ever, and failing in known ways alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias, TypeVar

import structlog

from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    Connector,
    ConnectorError,
    Delivery,
    Disconnected,
    Hint,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    RemoteObject,
)
from engine.sync.keepable import keepable, plain
from engine.sync.turns import Overtaken
from storage.database import Database
from storage.sync import budgets

T = TypeVar("T")
Clock: TypeAlias = Callable[[], datetime]

# No call takes longer; a page of a slow app may take a while.
CALL_SECONDS = 120.0
# Calls that were not made may be made up for, up to so many seconds of them.
BURST = timedelta(seconds=1)

log = structlog.get_logger("relata.sync")


class Calls:
    """A connector, called with care. `rate`: calls a second that the app allows, over all workers.

    `ours`: whether the sync's lease still runs; nothing is written without.
    """

    def __init__(
        self,
        inner: Connector,
        db: Database,
        account_id: int,
        connection_id: int,
        rate: float | None,
        clock: Clock,
        ours: Callable[[], bool] = lambda: True,
    ) -> None:
        self._inner = inner
        self._db = db
        self._account_id = account_id
        self._connection_id = connection_id
        self._every = None if rate is None else timedelta(seconds=1 / rate)
        self._clock = clock
        self._ours = ours
        # How many have been answered.
        self.answered = 0

    async def check(self) -> str:
        """See `Connector`."""
        return await self._call(self._inner.check())

    async def describe(self) -> Sequence[RemoteObject]:
        """See `Connector`."""
        return await self._call(self._inner.describe())

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """See `Connector`."""
        page = await self._call(self._inner.read(object_, phase, cursor, limit))
        items = tuple(keepable(page.items))
        if len(items) < len(page.items):
            left = len(page.items) - len(items)
            log.warning("items with ids that cannot be kept", connection=self._connection_id, left_out=left)
        return replace(page, items=items)

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        """See `Connector`."""
        return [plain(item) for item in await self._call(self._inner.get(object_, external_ids))]

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        """See `Connector`."""
        found = await self._call(self._inner.find(object_, field_, values))
        return [tuple(keepable(some)) for some in found]

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        """See `Connector`."""
        return await self._call(self._inner.write(object_, ops), writing=True)

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        """See `Connector`."""
        return await self._call(self._inner.created(object_, key))

    async def hint(self, delivery: Delivery) -> Sequence[Hint]:
        """See `Connector`."""
        return await self._call(self._inner.hint(delivery))

    def watch(self, objects: Sequence[str]) -> AsyncIterator[Hint]:
        """See `Connector`."""
        return self._inner.watch(objects)

    async def _call(self, call: Awaitable[T], *, writing: bool = False) -> T:
        try:
            await self._wait()
            if writing and not self._ours():
                # It has been away for so long that another runner may write the same.
                raise Overtaken
        except BaseException:
            # It is not made.
            if asyncio.iscoroutine(call):
                call.close()
            raise
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await call
        except ConnectorError:
            raise
        except TimeoutError:
            raise Disconnected(f"It did not answer within {CALL_SECONDS:.0f} seconds.") from None
        except Exception as error:
            # What a connector stumbles over may hold what is secret: people are told its kind alone.
            log.error("a connector stumbled", connection=self._connection_id, exc_info=error)
            told = f"The connector stumbled ({type(error).__name__})."
            raise Disconnected(told, Category.UNKNOWN) from None
        self.answered += 1
        return answer

    async def _wait(self) -> None:
        """Until the app's pace allows another call."""
        if self._every is None:
            return
        now = self._clock()
        async with self._db.single(self._account_id) as single:
            at = await budgets.take(single, self._connection_id, now, self._every, BURST)
        if at > now:
            await asyncio.sleep((at - now).total_seconds())
