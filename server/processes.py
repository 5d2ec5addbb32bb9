"""What every process of ours does: it ends when it is told, and it ends with the process that started it."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

ENDING = (signal.SIGINT, signal.SIGTERM)
# How long a worker may take to finish the batch that it is in.
PATIENCE_SECONDS = 15.0
# A worker that ends by itself is started again, later each time.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0

log = structlog.get_logger("relata.processes")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, on the fast loop where there is one."""
    prepared()
    with runner() as running:
        return running.run(work)


def prepared() -> None:
    """Let the collector of garbage be one for a process that works on much at a time."""
    # What was loaded so far stays for good: the collector need not walk through it each time. This makes
    # batches of 1,000 associations cost 33 microseconds of Python a pair instead of 55.
    gc.collect()
    gc.freeze()
    # And it need not look at what is young after every 700 objects: a batch, or an answer, makes far more, and
    # lets them go by itself. A worker enrolls a third more a second by this.
    gc.set_threshold(100_000, 20, 20)


def runner() -> asyncio.Runner:
    """Runs one thing after another on one loop, the fast one where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


class Ended(Exception):
    """The process was told to end before it had begun in earnest."""


@contextlib.contextmanager
def told_to_end() -> Iterator[asyncio.Event]:
    """The event that SIGINT and SIGTERM set. A second signal does not wait: it ends the process."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def hear(received: signal.Signals) -> None:
        if told.is_set():
            os._exit(128 + received)
        told.set()

    for each in ENDING:
        loop.add_signal_handler(each, hear, each)
    try:
        yield told
    finally:
        for each in ENDING:
            loop.remove_signal_handler(each)


async def unless_told(told: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work`, which is cancelled when the process is told to end. Raises Ended then."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(told.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Ended
        return working.result()
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


def end_with_parent(told: asyncio.Event) -> None:
    """Set `told` when standard input, the pipe from the process that started us, comes to its end."""
    loop = asyncio.get_running_loop()
    pipe = sys.stdin.fileno()

    def hear() -> None:
        if not os.read(pipe, 4096):
            loop.remove_reader(pipe)
            told.set()

    loop.add_reader(pipe, hear)


@contextlib.asynccontextmanager
async def children(count: int, *arguments: str, environment: dict[str, str]) -> AsyncIterator[None]:
    """`count` processes of `relata ARGUMENTS`, kept running until the block ends. They end with us, come what may."""
    keepers = [asyncio.create_task(_keep(arguments, environment)) for _ in range(count)]
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def _keep(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    pause = FIRST_PAUSE_SECONDS
    while True:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "server.cli", *arguments),
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
            # Ctrl-C is meant for us; we tell our children.
            start_new_session=True,
        )
        began = asyncio.get_running_loop().time()
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await _end(child)
            raise
        log.warning("a worker ended and is started again", code=code, pause=pause)
        await asyncio.sleep(pause)
        lived = asyncio.get_running_loop().time() - began
        pause = FIRST_PAUSE_SECONDS if lived > 60 else min(pause * 2, LONGEST_PAUSE_SECONDS)


async def _end(child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None  # it was given a pipe
    child.stdin.close()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
