"""Processes that carry out pieces of a worker's big work: started when there is much of it, gone when there is none."""

import asyncio
import contextlib
import functools
import multiprocessing
import multiprocessing.connection
import multiprocessing.context
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import forkserver
from typing import Any, TypeVar

import structlog

from engine.crew import ALONE, Alone, Hand, HandLost, Piece
from server.clock import now
from server.processes import prepared, runner
from storage.database import Database, connect
from storage.wake import InProcess

T = TypeVar("T")

# So many pieces without a pause are much: before, they are done here, where nothing has to be started.
MUCH = 8
# A pause, in seconds; and after how long without a piece the processes end.
PAUSE, IDLE = 5.0, 60.0
# A piece has one transaction at a time, and perhaps a look beside it.
CONNECTIONS = 2
# Beyond the cores: while one waits for PostgreSQL to write its log, another is at work.
SPARE = 1
# What pieces need is loaded once, in a process that the others are forked from: each alone takes 0.2 s of a core.
LOADED = (
    "server.crew",
    "engine.imports.pieces",
    "engine.sync.carrying",
    "engine.sync.rounds",
    "server.loaded",
)

log = structlog.get_logger("relata.crew")


class Processes:
    """Up to `hands` processes of this machine, each with connections of its own. `aclose` it."""

    def __init__(self, db: Database, clock: Callable[[], datetime], hands: int) -> None:
        self._db = db
        self._alone = Alone(db, clock)
        self._hands = min(hands, (os.cpu_count() or 1) + SPARE)
        self._pool: ProcessPoolExecutor | None = None
        # Whether one of the processes has answered.
        self._ready = False
        # Pieces since the last pause, and when the last one came, by the loop's clock.
        self._pieces, self._last = 0, 0.0
        self._ending: asyncio.TimerHandle | None = None
        self._beginning: asyncio.Future[None] | None = None
        self._preparing: asyncio.Future[None] | None = None

    @property
    def size(self) -> int:
        """How many pieces it is worth having under way at once."""
        # A hand that is done finds the next piece waiting.
        return 2 * self._hands if self._ready else ALONE

    async def do(self, piece: Piece[T]) -> T:
        """See `Crew.do`."""
        self._count(type(piece))
        if self._hands == 0 or not self._ready or self._pool is None:
            return await self._alone.do(piece)
        answer, woken = await self._ask(self._pool, piece)
        for account_id in woken:
            self._db.wake.send(account_id)
        return answer

    async def aclose(self) -> None:
        """Let the processes finish what they are doing, and end."""
        pool = self._let_go()
        under_way = [one for one in (self._preparing, self._beginning) if one is not None]
        if under_way:
            await asyncio.wait(under_way)
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    async def _ask(self, pool: ProcessPoolExecutor, piece: Piece[T]) -> tuple[T, list[int]]:
        try:
            return await asyncio.wrap_future(pool.submit(_carry_out, piece))
        except BrokenProcessPool as error:
            # One that is lost takes the others with it; the next piece has new ones started.
            if self._pool is pool:
                self._let_go()
                log.warning("a process that shared the work was lost", error=str(error))
            raise HandLost from error

    def prepare(self) -> None:
        """See `Crew.prepare`."""
        if self._hands and self._preparing is None:
            self._preparing = asyncio.get_running_loop().run_in_executor(None, _prepare)

    def expect(self, pieces: int, kind: type) -> None:
        """See `Crew.expect`."""
        if pieces >= MUCH:
            self._last = asyncio.get_running_loop().time()
            self._start(kind)

    def _count(self, kind: type) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._last > PAUSE:
            self._pieces = 0
        self._pieces, self._last = self._pieces + 1, loop.time()
        if self._pieces >= MUCH:
            self._start(kind)

    def _start(self, kind: type) -> None:
        loop = asyncio.get_running_loop()
        if self._pool is None and self._hands:
            self._pool = _pool(self._db, self._hands)
            answered = functools.partial(self._answered, loop, self._pool)
            # Whoever starts processes waits for them, and everybody else here would wait with him.
            begin = functools.partial(_begin_all, self._pool, self._hands, kind, answered)
            self._beginning = loop.run_in_executor(None, begin)
            self._ending = loop.call_later(IDLE, self._end_if_idle)

    def _answered(
        self, loop: asyncio.AbstractEventLoop, pool: ProcessPoolExecutor, done: "Future[Any]"
    ) -> None:
        """Called in another thread, perhaps when the loop is closed."""
        good = not done.cancelled() and done.exception() is None
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._greeted, pool, good)

    def _greeted(self, pool: ProcessPoolExecutor, good: bool) -> None:
        if self._pool is not pool:
            return
        if good:
            self._ready = True
        elif not self._ready:
            # Started again with the next busy stretch; until then the work is done here.
            self._let_go()
            self._pieces = 0
            pool.shutdown(wait=False, cancel_futures=True)

    def _end_if_idle(self) -> None:
        loop = asyncio.get_running_loop()
        rest = self._last + IDLE - loop.time()
        if rest > 0:
            self._ending = loop.call_later(rest, self._end_if_idle)
        elif (pool := self._let_go()) is not None:
            pool.shutdown(wait=False)

    def _let_go(self) -> ProcessPoolExecutor | None:
        pool, self._pool, self._ready = self._pool, None, False
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        return pool


def _pool(db: Database, hands: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(hands, _way(), initializer=_begin, initargs=(db.url, db.direct))


@functools.cache
def _way() -> multiprocessing.context.BaseContext:
    """How processes begin: forked from one that has loaded all and done nothing, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    return context


def _prepare() -> None:
    """Let the process that all are forked from load what they need, before there are any. Not for the loop's thread.

    What goes wrong is told when it is needed.
    """
    with contextlib.suppress(OSError, RuntimeError):
        if _way().get_start_method() == "forkserver":
            forkserver.ensure_running()


def _begin_all(
    pool: ProcessPoolExecutor, hands: int, kind: type, answered: Callable[["Future[Any]"], None]
) -> None:
    """Start the processes, and let each tell when it is there. Not for the loop's own thread."""
    try:
        for _ in range(hands):
            pool.submit(_carry_out, _Hello(kind)).add_done_callback(answered)
    except (RuntimeError, OSError) as error:
        # The pool was shut down meanwhile, or there is no room for another process.
        none: Future[Any] = Future()
        none.set_exception(error)
        answered(none)


# --- in the processes --------------------------------------------------------------------------------------------


class _Here:
    """What this process has: a loop that runs while it carries something out, and a hand once that is needed."""

    def __init__(self, url: str, direct: str | None) -> None:
        self.url = url
        self.direct = direct
        self.runner = runner()
        self.hand: Hand | None = None
        self.woken: list[int] = []
        self._stack = contextlib.AsyncExitStack()

    async def carry_out(self, piece: Piece[Any]) -> Any:
        """The first piece opens the database: what goes wrong then is told like everything else."""
        if self.hand is None:
            wake = InProcess()
            wake.listen(self.woken.append)
            db = await self._stack.enter_async_context(
                connect(self.url, size=CONNECTIONS, wake=wake, direct=self.direct)
            )
            self.hand = Hand(db, now)
        return await piece(self.hand)


_here: _Here | None = None


def _begin(url: str, direct: str | None) -> None:
    """Once in each process. Signals are the parent's: it finishes what is under way; without it there is no work."""
    global _here
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepared()
    _here = _Here(url, direct)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # this process was spawned
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _carry_out(piece: Piece[T]) -> tuple[T, list[int]]:
    """What the piece returns, and the accounts that it has news for."""
    here = _here
    assert here is not None  # `_begin` came first
    here.woken.clear()
    return here.runner.run(here.carry_out(piece)), here.woken


@dataclass(frozen=True, slots=True)
class _Hello:
    """The first piece: opens the database, and loads what pieces of this kind need."""

    kind: type

    async def __call__(self, hand: Hand) -> None:
        """All of that is done when it arrives."""
