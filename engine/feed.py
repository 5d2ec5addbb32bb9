"""The change feed: one reader of the log per process and account, which serves all who follow it.

Who follows from an earlier place reads the log alone until it has caught up; who is too slow falls back to
that. So nobody holds up anybody, memory is bounded, and nothing is passed over or told twice: numbers in the
log are commit order without a gap, and handing over happens at one number.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

from engine.problems import Problem
from storage import changes
from storage.changes import EventKind, LoggedEvent
from storage.database import Database
from storage.faults import Fault, fault

PAGE = 500
# How many events wait in memory for one follower; beyond that it reads the log by itself.
HELD = 2_000
# Wake-ups may be lost; this is how long that can cost, in seconds.
POLL = 1.0

_CHECK = b"relata event cursor"


class InvalidCursor(Problem):
    """The cursor "{cursor}" is not one of this account's event stream; pass it as you received it."""


class CursorExpired(Problem):
    """The events behind this cursor are no longer kept (the oldest is number {oldest}); begin anew without it."""


@dataclass(frozen=True, slots=True)
class Interest:
    """What a follower wants to hear: these kinds, of one subject (a workflow, …) or of any."""

    kinds: frozenset[EventKind]
    subject_id: int | None = None

    def wants(self, event: LoggedEvent) -> bool:
        """Whether the event is one of them."""
        return event.kind in self.kinds and self.subject_id in (None, event.subject_id)


@dataclass(eq=False, slots=True)
class _Follower:
    """Someone to whom the feed hands what it reads. `position`: up to here everything was handed over."""

    interest: Interest
    position: int
    waiting: deque[LoggedEvent] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    # No longer served: too slow, or the feed has failed.
    left: bool = False

    def take(self, wanted: Sequence[LoggedEvent], position: int) -> bool:
        """Hand over what was read up to `position`; False where there is no room for it."""
        if len(self.waiting) + len(wanted) > HELD:
            self.left = True
        else:
            self.waiting.extend(event for event in wanted if event.seq > self.position)
            self.position = max(self.position, position)
        self.news.set()
        return not self.left


class _Feed:
    """Reads an account's log while anybody follows it."""

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
        while True:
            # Before the read: a wake-up during it means another one.
            self._news.clear()
            async with self.db.read(self.account_id) as reader:
                events = await changes.read(reader, self.position, PAGE)
            if events:
                self._hand_over(events)
            if len(events) < PAGE:
                # Not `wait_for`, which may swallow a cancellation that meets the news.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await self._news.wait()

    def _hand_over(self, events: Sequence[LoggedEvent]) -> None:
        self.position = events[-1].seq
        wanted: dict[Interest, list[LoggedEvent]] = {}
        for follower in list(self._followers):
            if follower.interest not in wanted:
                wanted[follower.interest] = [event for event in events if follower.interest.wants(event)]
            if not follower.take(wanted[follower.interest], self.position):
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
    db: Database, account_id: int, interest: Interest, after: int | None = None
) -> AsyncGenerator[list[LoggedEvent], None]:
    """All events of `interest` behind number `after` (None: from now on), each once, in order, in batches.

    Raises `InvalidCursor` and `CursorExpired`, and what the database raises when it cannot be read.
    """
    position = await _beginning(db, account_id, after)
    async with _shared(db, account_id) as feed:
        while feed.error is None:
            if position < feed.position:
                async with db.read(account_id) as reader:
                    events = await changes.read(reader, position, PAGE)
                if events and events[0].seq != position + 1:
                    raise CursorExpired(oldest=events[0].seq)
                position = events[-1].seq if events else feed.position
                wanted = [event for event in events if interest.wants(event)]
                if wanted:
                    yield wanted
                continue
            follower = _Follower(interest, position)
            feed.attach(follower)
            try:
                async for batch in _served(follower):
                    yield batch
            finally:
                feed.detach(follower)
            position = follower.position
        raise feed.error


async def _served(follower: _Follower) -> AsyncIterator[list[LoggedEvent]]:
    while True:
        if follower.waiting:
            batch = list(follower.waiting)
            follower.waiting.clear()
            yield batch
        elif follower.left:
            return
        else:
            follower.news.clear()
            await follower.news.wait()


async def _beginning(db: Database, account_id: int, after: int | None) -> int:
    async with db.read(account_id) as reader:
        newest = await changes.last(reader)
        if after is None:
            return newest
        if after > newest:
            raise InvalidCursor(cursor=encode(account_id, after))
        if after < newest:
            (oldest,) = await changes.read(reader, after, 1) or (None,)
            if oldest is None or oldest.seq != after + 1:
                raise CursorExpired(oldest=newest if oldest is None else oldest.seq)
    return after


def encode(account_id: int, seq: int) -> str:
    """The cursor of an event: opaque text."""
    place = f"{account_id}.{seq}"
    return base64.urlsafe_b64encode(f"{place}.{_check(place)}".encode()).decode().rstrip("=")


def decode(account_id: int, cursor: str) -> int:
    """The number behind a cursor of this account; raises `InvalidCursor`."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        place, check = text.rsplit(".", 1)
        account, seq = place.split(".")
        if check != _check(place) or account != str(account_id):
            raise ValueError
        return int(seq)
    except (ValueError, binascii.Error):
        raise InvalidCursor(cursor=cursor[:100]) from None


def _check(place: str) -> str:
    """Not a secret: it tells a cursor from a text that happens to look like one."""
    return hashlib.blake2b(place.encode(), digest_size=6, key=_CHECK).hexdigest()
