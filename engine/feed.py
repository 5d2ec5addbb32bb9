"""The change feed: one reader of the log per process and account, which serves all who follow it.

Who follows from an earlier place reads the log alone until it has caught up; who is too slow falls back to
that. So nobody holds up anybody, memory is bounded, and nothing is passed over or told twice: numbers in the
log are commit order without a gap, and handing over happens at one number.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar

import orjson

from engine.cursors import CursorExpired, InvalidCursor, encode
from engine.interests import Interest, choose
from engine.problems import Problem, Refused
from storage import changes
from storage.changes import LoggedEvent, LogPage
from storage.database import Database, Queryable
from storage.faults import Fault, fault
from storage.record_rows import RecordRow

PAGE = 500
# How many events wait in memory for one follower; beyond that it reads the log by itself.
HELD = 2_000
HELD_BYTES = 8_000_000
# Wake-ups may be lost; this is how long that can cost, in seconds.
POLL = 1.0
# For so long after something was told, more is likely to come; meanwhile the log is looked at so often, in seconds.
# What is needed to tell it, here and in PostgreSQL, leaves the processors' caches within 20 ms, and then takes twice
# as long.
AWAKE = 0.25
BEAT = 0.005


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in order, perhaps none. `position`: everything up to this number was looked at.

    `version`: that of the definitions when the last of them were read; None where that is not known.
    """

    events: Sequence[LoggedEvent]
    position: int
    version: int | None = None
    # Records as they were when the last of the events were read: those of few events, just read.
    records: Mapping[int, RecordRow] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Follower:
    """Someone to whom the feed hands what it reads. `position`: up to here everything was handed over."""

    interest: Interest
    position: int
    # Wants to be handed nothing, too, while the feed is awake; `again`: that is due.
    awake: bool = False
    again: bool = False
    version: int | None = None
    records: Mapping[int, RecordRow] = field(default_factory=dict)
    waiting: deque[LoggedEvent] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    # What the waiting ones hold, roughly; not counted while the follower keeps up.
    size: int = 0
    # No longer served: too slow, or the feed has failed.
    left: bool = False
    # What is wrong with the interest: its filter's words are no longer defined.
    problem: Problem | Refused | None = None

    def take(self, wanted: Sequence[LoggedEvent] | Problem | Refused, position: int, page: LogPage) -> bool:
        """Hand over what was read, up to `position`; False where there is no room for it."""
        if isinstance(wanted, Problem | Refused):
            self.problem, self.left = wanted, True
        else:
            new = [event for event in wanted if event.seq > self.position]
            # Who already waits is told of them later: by then they may have changed.
            self.records = {} if self.waiting else page.records
            if self.waiting:
                self.size += sum(len(orjson.dumps(event.payload)) for event in new)
            if len(self.waiting) + len(new) > HELD or self.size > HELD_BYTES:
                self.left = True
            else:
                self.waiting.extend(new)
                self.position, self.version = max(self.position, position), page.version
        self.news.set()
        return not self.left

    def hand_out(self) -> Batch:
        """Everything that waits."""
        batch = Batch(list(self.waiting), self.position, self.version, self.records)
        self.waiting.clear()
        self.size = 0
        return batch


class _Feed:
    """Reads an account's log while anybody follows it."""

    # Who told something last, in this process: only this one stays awake, whatever the number of accounts.
    latest: ClassVar["_Feed | None"] = None

    def __init__(self, db: Database, account_id: int) -> None:
        self.db = db
        self.account_id = account_id
        self.position = 0
        self.users = 0
        self.error: BaseException | None = None
        self.started = asyncio.Event()
        self._followers: set[_Follower] = set()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def attach(self, follower: _Follower) -> None:
        """Serve the follower from here on; it has everything up to the feed's own position."""
        assert follower.position >= self.position  # else what lies between would be lost
        self._followers.add(follower)

    def detach(self, follower: _Follower) -> None:
        """Serve the follower no longer."""
        self._followers.discard(follower)

    async def close(self) -> None:
        """Stop reading."""
        if _Feed.latest is self:
            _Feed.latest = None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        stop = self.db.wake.listen(self._woken)
        try:
            while True:
                try:
                    await self._read()
                except Exception as error:
                    if fault(error) is not Fault.DISCONNECTED:
                        raise
                    await asyncio.sleep(POLL)
        except Exception as error:
            self.error = error
        finally:
            stop()
            self.started.set()
            for follower in self._followers:
                follower.left = True
                follower.news.set()

    def _woken(self, account_id: int) -> None:
        if account_id == self.account_id:
            self._news.set()

    async def _read(self) -> None:
        if not self.started.is_set():
            async with self.db.read(self.account_id) as reader:
                self.position = await changes.last(reader)
            self.started.set()
        # Whoever has little to read at a time is likely to have little the next time.
        few = False
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        while True:
            # Before the read: a wake-up during it means another one.
            self._news.clear()
            async with self.db.read(self.account_id) as reader:
                page = await _next(reader, self.position, None if few else PAGE)
            few = len(page.events) < changes.FIRST
            if page.events:
                await self._hand_over(page)
                told_at, _Feed.latest = loop.time(), self
            if not page.more:
                awake = few and _Feed.latest is self and loop.time() - told_at < AWAKE
                if awake and not page.events:
                    self._beat()
                poll = loop.call_later(BEAT if awake else POLL, self._news.set)
                try:
                    await self._news.wait()
                finally:
                    poll.cancel()

    def _beat(self) -> None:
        # One is enough: what the others need is mostly the same.
        follower = next((one for one in self._followers if one.awake), None)
        if follower is not None:
            follower.again = True
            follower.news.set()

    async def _hand_over(self, page: LogPage) -> None:
        asked = {follower.interest for follower in self._followers}
        newest = page.events[-1]
        chosen = await choose(self.db, self.account_id, asked, page, newest.at)
        # From here on nobody can come in between: who joined while the filters were asked reads this by itself.
        self.position = newest.seq
        for follower in list(self._followers):
            wanted = chosen.get(follower.interest)
            if wanted is None:
                # Came in meanwhile, at the position of before.
                follower.left = True
                follower.news.set()
            elif follower.take(wanted, self.position, page):
                continue
            self._followers.discard(follower)


# The feeds of this process; one lives as long as somebody follows it, and keeps its database alive.
_feeds: dict[tuple[int, int], _Feed] = {}


@contextlib.asynccontextmanager
async def _shared(db: Database, account_id: int) -> AsyncIterator[_Feed]:
    key = (id(db), account_id)
    feed = _feeds.get(key)
    if feed is None or feed.error is not None:
        feed = _feeds[key] = _Feed(db, account_id)
    feed.users += 1
    try:
        await feed.started.wait()
        yield feed
    finally:
        feed.users -= 1
        if feed.users == 0:
            if _feeds.get(key) is feed:
                del _feeds[key]
            await feed.close()


async def follow(
    db: Database,
    account_id: int,
    interest: Interest,
    after: int | None = None,
    *,
    now: datetime | None = None,
    awake: bool = False,
) -> AsyncGenerator[Batch, None]:
    """All events of `interest` behind number `after` (None: from now on), each once, in order, in batches.

    Filters are asked as of `now`, or of the newest event where that is later. Who is `awake` is handed batches of
    nothing, too, for a moment after something was told: whoever then makes the last answer once more makes the next one
    in half the time. Raises `InvalidCursor`, `CursorExpired`, what is wrong with the filter, and what the database
    raises when it cannot be read.
    """
    position = await beginning(db, account_id, after)
    async with _shared(db, account_id) as feed:
        while feed.error is None:
            if position < feed.position:
                batch = await _read_alone(db, account_id, interest, position, feed.position, now)
                position = batch.position
                yield batch
                continue
            follower = _Follower(interest, position, awake)
            feed.attach(follower)
            try:
                async for batch in _served(follower):
                    yield batch
            finally:
                feed.detach(follower)
            if follower.problem is not None:
                raise follower.problem
            position = follower.position
        raise feed.error


async def replay(
    db: Database, account_id: int, interest: Interest, after: int, until: int, *, now: datetime | None = None
) -> AsyncGenerator[Batch, None]:
    """The events of `interest` behind `after` up to `until`, as `follow` tells them; then it ends."""
    while after < until:
        batch = await _read_alone(db, account_id, interest, after, until, now)
        after = batch.position
        yield batch


async def _read_alone(
    db: Database, account_id: int, interest: Interest, after: int, until: int, now: datetime | None
) -> Batch:
    """What comes next behind `after`, no further than to `until`, up to which the log is known to have been written."""
    async with db.read(account_id) as reader:
        page = await _next(reader, after, min(PAGE, until - after))
        if not page.events:
            raise CursorExpired(oldest=await changes.oldest(reader))
    newest = page.events[-1]
    at = newest.at if now is None else max(now, newest.at)
    wanted = (await choose(db, account_id, [interest], page, at))[interest]
    if isinstance(wanted, Problem | Refused):
        raise wanted
    return Batch(wanted, newest.seq, page.version, page.records)


async def _served(follower: _Follower) -> AsyncIterator[Batch]:
    told = follower.position
    while True:
        if follower.waiting or follower.position > told or follower.again:
            follower.again = False
            batch = follower.hand_out()
            told = batch.position
            yield batch
        elif follower.left:
            return
        else:
            follower.news.clear()
            await follower.news.wait()


async def beginning(db: Database, account_id: int, after: int | None) -> int:
    """The number behind which a follower begins; raises `InvalidCursor` and `CursorExpired`."""
    async with db.read(account_id) as reader:
        newest = await changes.last(reader)
        if after is None:
            return newest
        if after > newest:
            raise InvalidCursor(cursor=encode(account_id, after))
        if after < newest and not (await _next(reader, after, 1)).events:
            raise CursorExpired(oldest=await changes.oldest(reader))
    return after


async def _next(reader: Queryable, after: int, limit: int | None) -> LogPage:
    """The events that follow `after` without a gap; without a limit a few that have just been written, most likely.

    Raises `CursorExpired` where the next one is gone.
    """
    page = await (changes.fresh(reader, after) if limit is None else changes.page(reader, after, limit))
    for n, event in enumerate(page.events):
        if event.seq != after + 1 + n:
            if n == 0:
                raise CursorExpired(oldest=await changes.oldest(reader))
            return replace(page, events=page.events[:n], more=True)
    return page
