"""States of an account that are told anew as they change: one look serves all who watch in a process."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from storage.database import Database
from storage.faults import fault

V = TypeVar("V")

# At most so often, in seconds; and looking takes no more than a tenth of the time, however long a look takes.
PAUSE = 0.25
SHARE = 10
# Wake-ups may be lost, and what comes due sends none.
POLL = 1.0


@dataclass(frozen=True, slots=True)
class State(Generic[V]):
    """What there was to be seen at number `seq` of the account's log, looked at at `at`."""

    seq: int
    at: datetime
    value: V


@dataclass(frozen=True, slots=True)
class Looked(Generic[V]):
    """A look, and how long it takes each time, in seconds: what is done less often does not count."""

    state: State[V]
    took: float


Look = Callable[[], Awaitable[Looked[V]]]
# Makes what looks at an account; it may remember what it saw last.
Looking = Callable[[Database, int, Callable[[], datetime]], Look[V]]


@dataclass(eq=False, slots=True)
class _Watch(Generic[V]):
    """Looks at one account while anybody watches it."""

    db: Database
    account_id: int
    look: Callable[[], Look[V]]
    users: int = 0
    state: State[V] | None = None
    error: BaseException | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    # Set, and replaced, with each new state.
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Look, tell, and wait, until cancelled."""
        stop = self.db.wake.listen(self._woken)
        try:
            while True:
                try:
                    await self._look_on()
                except Exception as error:
                    if fault(error) is None:
                        raise
                    await asyncio.sleep(POLL)
        except Exception as error:
            self.error = error
        finally:
            stop()
            self._tell()

    def _woken(self, account_id: int) -> None:
        if account_id == self.account_id:
            self.news.set()

    def _tell(self) -> None:
        turn, self.turn = self.turn, asyncio.Event()
        turn.set()

    async def _look_on(self) -> None:
        look = self.look()
        while True:
            self.news.clear()
            looked = await look()
            if self.state is None or looked.state.value != self.state.value:
                self.state = looked.state
                self._tell()
            else:
                # Nobody needs to hear of it; who comes now begins behind it.
                self.state = replace(self.state, seq=looked.state.seq)
            await asyncio.sleep(max(PAUSE, looked.took * SHARE))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self.news.wait()


# What is watched in this process; each lives as long as somebody watches it.
_watches: dict[tuple[Any, int, int], _Watch[Any]] = {}


@contextlib.asynccontextmanager
async def _shared(
    looking: Looking[V], db: Database, account_id: int, clock: Callable[[], datetime]
) -> AsyncIterator[_Watch[V]]:
    key = (looking, id(db), account_id)
    watch = _watches.get(key)
    if watch is None or watch.error is not None:
        watch = _watches[key] = _Watch(db, account_id, lambda: looking(db, account_id, clock))
        watch.task = asyncio.create_task(watch.run())
    watch.users += 1
    try:
        yield watch
    finally:
        watch.users -= 1
        if watch.users == 0:
            if _watches.get(key) is watch:
                del _watches[key]
            assert watch.task is not None  # it was given one
            watch.task.cancel()
            await asyncio.gather(watch.task, return_exceptions=True)


async def watch(
    looking: Looking[V], db: Database, account_id: int, clock: Callable[[], datetime]
) -> AsyncGenerator[State[V], None]:
    """What `looking` sees of an account: now, and whenever that changes, at most a few times a second."""
    async with _shared(looking, db, account_id, clock) as shared:
        told: State[V] | None = None
        while shared.error is None:
            turn = shared.turn
            if shared.state is not None and shared.state is not told:
                told = shared.state
                yield told
            else:
                await turn.wait()
        raise shared.error
