"""Streams: what subscriptions hand to whoever runs them, in batches that know their place in the log, or one by one."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from engine import cursors, feed
from engine.interests import Interest
from resolvers.context import Context
from storage.changes import LoggedEvent
from storage.record_rows import RecordRow

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Events with their numbers in the log, perhaps none. `position`: everything up to this number was looked at.

    `version`: that of the definitions when the last of them were read; None where that is not known.
    """

    events: Sequence[tuple[int, T]]
    position: int
    version: int | None = None
    # Records of the first events, as they were read along with them.
    records: Mapping[int, RecordRow] = field(default_factory=dict)


# So much of the log is looked through for one page, whatever of it is wanted.
LOOKED_THROUGH = 10_000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Events behind a cursor, and the cursor behind them. `more`: the log goes on behind it."""

    events: list[T]
    cursor: str
    more: bool


class EventStream(Generic[T]):
    """The events of an interest behind a cursor, as the schema tells them; each once, in commit order.

    Whoever runs many equal ones follows one of them, and lets late comers `replay` up to where that one is. Raises
    `InvalidCursor` and `CursorExpired`.
    """

    def __init__(
        self, context: Context, interest: Interest, after: str | None, tell: Callable[[LoggedEvent, str], T]
    ) -> None:
        self._context = context
        self._interest = interest
        self._tell = tell
        self.after = None if after is None else cursors.decode(context.account_id, after)

    async def beginning(self) -> int:
        """The number behind which this one begins: that of its cursor, or of the newest event."""
        return await feed.beginning(self._context.db, self._context.account_id, self.after)

    async def newest(self) -> int:
        """The number of the newest event."""
        return await feed.beginning(self._context.db, self._context.account_id, None)

    async def page(self, size: int) -> Page[T]:
        """What stands behind the cursor by now, at most `size` events; nothing, where it begins now."""
        begin, until = await self.beginning(), await self.newest()
        position, found = begin, list[T]()
        async with contextlib.aclosing(self.replay(begin, until)) as batches:
            async for batch in batches:
                for seq, event in batch.events:
                    if len(found) == size:
                        return Page(found, self.cursor(position), more=True)
                    found.append(event)
                    position = seq
                position = batch.position
                if position - begin >= LOOKED_THROUGH:
                    break
        return Page(found, self.cursor(position), position < until)

    def follow(self, after: int, *, awake: bool = False) -> AsyncGenerator[Batch[T], None]:
        """What comes behind `after`, without an end. `awake`: see `feed.follow`."""
        context, interest = self._context, self._interest
        return self._batches(
            feed.follow(context.db, context.account_id, interest, after, now=context.now, awake=awake)
        )

    def replay(self, after: int, until: int) -> AsyncGenerator[Batch[T], None]:
        """What stands between two numbers of the log."""
        context = self._context
        return self._batches(
            feed.replay(context.db, context.account_id, self._interest, after, until, now=context.now)
        )

    def cursor(self, position: int) -> str:
        """The cursor of a number."""
        return cursors.encode(self._context.account_id, position)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Event by event, for an executor that knows nothing of batches."""
        async with contextlib.aclosing(self.follow(await self.beginning())) as batches:
            async for batch in batches:
                for _, event in batch.events:
                    yield event

    async def _batches(self, source: AsyncGenerator[feed.Batch, None]) -> AsyncGenerator[Batch[T], None]:
        async with contextlib.aclosing(source) as batches:
            async for batch in batches:
                events = [(event.seq, self._tell(event, self.cursor(event.seq))) for event in batch.events]
                yield Batch(events, batch.position, batch.version, batch.records)


class StateStream(Generic[T]):
    """States, each of which takes the place of those before it: whoever is late needs the last one alone."""

    def __init__(self, states: Callable[[], AsyncGenerator[T, None]]) -> None:
        self.states = states

    async def __aiter__(self) -> AsyncIterator[T]:
        """Each state, as it comes."""
        async with contextlib.aclosing(self.states()) as states:
            async for state in states:
                yield state
