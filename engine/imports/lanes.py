"""An import under way: windows of its file go to several hands, lane by lane, and what comes back is gathered."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.crew import Crew, HandLost
from engine.imports.cutting import Portion
from engine.imports.pieces import Piece, Task
from engine.imports.plan import Plan
from engine.imports.running import Turn
from engine.imports.windows import Windows
from storage.imports import ImportRow

# Windows that are read and not done. One is under way, the next is ready, and another is being read.
AHEAD = 3
# How often a piece is given out whose hand was lost.
TRIES = 3


@dataclass(slots=True, eq=False)
class _Part:
    """A portion of the `window`th window, and the parts that must be in before it."""

    window: int
    portion: Portion
    waits: set["_Part"] = field(default_factory=set)


class Lanes:
    """Gives out the parts of one import, as one process reads its file."""

    def __init__(
        self,
        crew: Crew,
        turn: Turn,
        plan: Plan,
        windows: Windows,
        *,
        checking: bool = False,
        done: Sequence[int] = (),
        taken: Callable[[ImportRow], None] | None = None,
    ) -> None:
        """`done`: how far each lane has come before. `taken` is told what comes of each part."""
        self._crew = crew
        self._task = Task(
            turn.account_id,
            turn.number,
            turn.token,
            turn.lease,
            turn.user_id,
            uuid.uuid4().hex,
            plan.document,
            plan.header,
            checking,
        )
        self._windows = windows
        self._lanes = windows.how.lanes
        self._taken = taken
        # How far each lane has come.
        self.done = list(done) or [0] * self._lanes
        # Rows of another process may have failed: that is in the table of keys.
        self._failures = [end > 0 for end in self.done]
        # Parts that are not in, in the order of the file, and those of them that hands have.
        self._undone: list[_Part] = []
        self._under_way: dict[asyncio.Task[Any], _Part] = {}
        self._read, self._end = 0, 0
        self._reading: asyncio.Task[list[Portion] | None] | None = None
        self._ended = False
        self._broken: Exception | None = None

    async def go(self, over: Callable[[], bool]) -> bool:
        """Bring in windows, one at least, until it is `over`; whether there may be more.

        When it returns or raises, no part is under way. Raises what parts raise; what reading raises, once all that
        was read before is in.
        """
        last, ending = self._undone[0].window if self._undone else self._read + 1, False
        try:
            while True:
                if not over():
                    last = self._read + 1
                elif not ending:
                    # What has been begun is brought to its end.
                    last = max((part.window for part in self._under_way.values()), default=last)
                    ending = True
                self._read_on(last)
                self._give_out(last)
                waiting: set[asyncio.Task[Any]] = {*self._under_way}
                if self._reading is not None and self._read < last:
                    waiting.add(self._reading)
                if not waiting:
                    break
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                self._gather()
        finally:
            while self._under_way:
                await asyncio.wait(self._under_way)
                self._gather(raising=False)
        if self._undone:
            return True
        if self._broken is not None:
            raise self._broken
        return not self._ended

    async def close(self) -> None:
        """Let the reading come to its end: nobody else may have the file meanwhile."""
        reading, self._reading = self._reading, None
        if reading is not None:
            await asyncio.gather(reading, return_exceptions=True)

    def _read_on(self, last: int) -> None:
        if self._reading is not None or self._ended:
            return
        waiting = len({part.window for part in self._undone})
        if waiting < AHEAD and self._read < last:
            self._reading = asyncio.ensure_future(self._windows.next())

    def _give_out(self, last: int) -> None:
        busy = {part.portion.lane for part in self._under_way.values()}
        given = set(self._under_way.values())
        for part in self._undone:
            if len(self._under_way) >= self._crew.size:
                return
            lane = part.portion.lane
            if not (part in given or part.window > last or lane in busy or part.waits):
                self._under_way[asyncio.ensure_future(self._do(part))] = part
            # A lane's parts come one after the other.
            busy.add(lane)

    async def _do(self, part: _Part) -> tuple[ImportRow, bool]:
        portion = part.portion
        rows = portion.rows
        several = self._lanes > 1
        piece = Piece(
            self._task,
            [(row.number, row.cells) for row in rows if row.problem is None],
            [row for row in rows if row.problem is not None],
            portion.share,
            portion.end,
            portion.lane if several else None,
            self._idle() if several else {},
            self._failures[portion.lane],
        )
        for tried in range(TRIES):
            try:
                return await self._crew.do(piece)
            except HandLost:
                if tried == TRIES - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _idle(self) -> dict[int, int]:
        """The lanes that have nothing to do of what was read: they are done that far."""
        busy = {part.portion.lane for part in self._undone}
        return {lane: self._end for lane in range(self._lanes) if lane not in busy}

    def _gather(self, *, raising: bool = True) -> None:
        """Take in what is done. Raises the first thing that went wrong, unless something else already did."""
        wrong: BaseException | None = None
        ready = [task for task in self._under_way if task.done()]
        answers = []
        for task in ready:
            part = self._under_way.pop(task)
            if task.cancelled() or task.exception() is not None:
                wrong = wrong or (asyncio.CancelledError() if task.cancelled() else task.exception())
                continue
            answers.append((task.result(), part))
        for (row, failures), part in sorted(answers, key=lambda answer: answer[0][0].rows_read):
            self._undone.remove(part)
            for other in self._undone:
                other.waits.discard(part)
            lane = part.portion.lane
            self._failures[lane] = failures
            self.done = [max(*both) for both in zip(self.done, done_of(row), strict=True)]
            if self._taken is not None:
                self._taken(row)
        if self._reading is not None and self._reading.done():
            self._take_window()
        if wrong is not None and raising:
            raise wrong

    def _take_window(self) -> None:
        assert self._reading is not None
        reading, self._reading = self._reading, None
        self._read += 1
        try:
            portions = reading.result()
        except Exception as error:
            self._ended, self._broken = True, error
            return
        if portions is None:
            self._ended = True
            return
        for portion in portions:
            self._end = portion.end
            if portion.end <= self.done[portion.lane]:
                continue
            waits = {
                one for one in self._undone
                if one.portion.lane != portion.lane and not one.portion.keys.isdisjoint(portion.keys)
            }  # fmt: skip
            self._undone.append(_Part(self._read, portion, waits))


def done_of(row: ImportRow) -> list[int]:
    """The last row that each lane of an import has done."""
    return list(row.lanes.get("done", ())) or [row.position]
