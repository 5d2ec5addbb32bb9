"""A duty: one kind of work, looked for in all accounts and done a little at a time, one account's trouble its own."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeAlias

import structlog

from server.failures import FIRST_PAUSE, LONGEST_PAUSE, tell_failure
from storage.database import Database
from storage.faults import Fault, fault

Clock: TypeAlias = Callable[[], datetime]
# Told of each turn of a duty: its name, the seconds it took, and whether there was something to do (None: it failed).
Worked: TypeAlias = Callable[[str, float, bool | None], None]

# Wake-ups may be lost, and what waits for its time sends none.
POLL_SECONDS = 1.0

log = structlog.get_logger("relata.worker")


class Do(Protocol):
    """A turn in one account, that ends soon; whether there may be more to do."""

    def __call__(self, db: Database, account_id: int, /, *, now: datetime) -> Awaitable[bool]: ...


class Duty:
    """`find` answers the accounts that have some of the work, `do` does a little of it in one."""

    def __init__(
        self,
        name: str,
        find: Callable[[Database, datetime], Awaitable[list[int]]],
        do: Do,
        *,
        heeds_news: bool = True,
        rest: float = 0.0,
    ) -> None:
        self.name = name
        # Whether commits can bring work; what waits for its time alone is looked for by the clock.
        self.heeds_news = heeds_news
        # For so many seconds after a look that found nothing, news are let gather: most commits bring it nothing.
        self.rest = rest
        self.find = find
        self.do = do
        # When the next of what waits for its time comes due, if `find` has told.
        self.next_at: datetime | None = None
        # Accounts to look into, in the order in which they came up.
        self.accounts: dict[int, None] = {}
        self.news = asyncio.Event()
        # Accounts whose work failed unexpectedly: how long they rest, and until when.
        self.resting: dict[int, tuple[float, float]] = {}

    def woken(self, account_id: int) -> None:
        """Note an account that has news."""
        self.accounts[account_id] = None
        self.news.set()


async def serve(db: Database, duty: Duty, clock: Clock, stop: asyncio.Event, worked: Worked) -> None:
    """Do what there is to do until `stop` is set. Fails at nothing: it tells, rests, and tries again."""
    loop = asyncio.get_running_loop()
    pause, looked = FIRST_PAUSE, -POLL_SECONDS
    while not stop.is_set():
        try:
            if loop.time() - looked >= POLL_SECONDS or _sleep(duty, clock()) == 0:
                looked = loop.time()
                duty.accounts |= dict.fromkeys(await duty.find(db, clock()))
            duty.news.clear()
            if not await _round(db, duty, clock, stop, worked) and duty.rest:
                await _either(stop, None, duty.rest)
            pause = FIRST_PAUSE
        except Exception as error:
            tell_failure(log, duty.name, error, pause)
            await _either(stop, None, pause)
            # What was being done may be half forgotten; the tables know.
            pause, looked = min(pause * 2, LONGEST_PAUSE), -POLL_SECONDS
        if not duty.accounts:
            await _either(stop, duty.news, _sleep(duty, clock()))


def _sleep(duty: Duty, now: datetime) -> float:
    """Seconds to wait for news: until the next thing comes due, and no longer than until the next look."""
    if duty.next_at is None:
        return POLL_SECONDS
    return min(max((duty.next_at - now).total_seconds(), 0.0), POLL_SECONDS)


async def _round(db: Database, duty: Duty, clock: Clock, stop: asyncio.Event, worked: Worked) -> bool:
    """A little work in every account that may have some; who had none is forgotten. Whether there was any."""
    loop = asyncio.get_running_loop()
    found_any = False
    for account_id in list(duty.accounts):
        if stop.is_set():
            break
        # Forgotten first: news that arrive meanwhile are noted again.
        del duty.accounts[account_id]
        pause, until = duty.resting.get(account_id, (0.0, 0.0))
        if loop.time() < until:
            continue
        began = loop.time()
        try:
            more = await duty.do(db, account_id, now=clock())
        except Exception as error:
            worked(duty.name, loop.time() - began, None)
            if fault(error) is Fault.DISCONNECTED:
                raise
            # One account's trouble does not hold up the others.
            pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            duty.resting[account_id] = pause, loop.time() + pause
            tell_failure(log.bind(account=account_id), duty.name, error, pause)
            continue
        worked(duty.name, loop.time() - began, more)
        duty.resting.pop(account_id, None)
        if more:
            duty.accounts[account_id] = None
            found_any = True
    return found_any


async def _either(stop: asyncio.Event, news: asyncio.Event | None, seconds: float) -> None:
    """Wait for the end, for news, or for `seconds`, whichever comes first."""
    waiting = [asyncio.ensure_future(event.wait()) for event in (stop, news) if event is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
