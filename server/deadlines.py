"""Times by which work must be done: one timer for all of it, since each has the same time.

The same as `asyncio.timeout`, which sets and takes back a timer for each: a twentieth of a small query's time.
"""

import asyncio
from typing import Any


class Deadlines:
    """`async with deadlines.next():` cancels its block after `seconds`, and raises `TimeoutError` then."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # In the order of their times; a dictionary, so that what is done in time is taken out at once.
        self._open: dict[Deadline, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def next(self) -> "Deadline":
        """The deadline of what begins now."""
        return Deadline(self)

    def begin(self, one: "Deadline", loop: asyncio.AbstractEventLoop) -> float:
        """Watch over one; the loop's time at which it ends."""
        at = loop.time() + self._seconds
        self._open[one] = None
        if self._timer is None:
            self._timer = loop.call_at(at, self._look, loop)
        return at

    def end(self, one: "Deadline") -> None:
        """It is done."""
        self._open.pop(one, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is late; come again for the first of the others. Where there are none, nothing ticks."""
        self._timer = None
        now = loop.time()
        for one in list(self._open):
            if one.at > now:
                self._timer = loop.call_at(one.at, self._look, loop)
                return
            del self._open[one]
            one.expire()


class Deadline:
    """One block's. Compared by identity."""

    __slots__ = ("_cancelling", "_deadlines", "_late", "_task", "at")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._late = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # coroutines of ours run in tasks
        self._task = task
        self._cancelling = task.cancelling()
        self.at = self._deadlines.begin(self, asyncio.get_running_loop())

    def expire(self) -> None:
        """Time is up."""
        self._late = True
        self._task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: Any) -> None:
        self._deadlines.end(self)
        # Somebody else may have cancelled the task as well: that goes on.
        if self._late and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
