"""How workflows stand: counts of a moment with the log's number of that moment, told anew when they change.

One look serves all who watch an account in a process. What has moved is taken from the log, added to what was counted
once; what is due and what is on its way outside is counted in the same snapshot, along indexes.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from storage import tallies
from storage.changes import EventKind
from storage.database import Database, Queryable
from storage.faults import fault
from storage.tallies import MovedRow

# At most so often, in seconds; and looking takes no more than a tenth of the time, however long a look takes.
PAUSE = 0.25
SHARE = 10
# Wake-ups may be lost, and what comes due sends none.
POLL = 1.0
# Everything is counted anew after so many seconds.
RECOUNT = 300.0

KINDS = frozenset(
    {
        EventKind.ENROLLED,
        EventKind.ENROLLMENT_COMPLETED,
        EventKind.ENROLLMENT_FAILED,
        EventKind.UNENROLLED,
        EventKind.STEP_RETRIED,
    }
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Numbers of enrollments of a workflow by status; of active ones, how many are due. And what is outside."""

    by_status: dict[str, int]
    due: int = 0
    outbox_pending: int = 0
    outbox_failed: int = 0

    @property
    def enrolled(self) -> int:
        """How many there are, and ever were."""
        return sum(self.by_status.values())

    @property
    def active(self) -> int:
        """How many are on their way."""
        return self.by_status.get("ACTIVE", 0)


@dataclass(frozen=True, slots=True)
class State:
    """How an account's workflows stand at number `seq` of its log, looked at at `at`."""

    seq: int
    at: datetime
    workflows: dict[int, Standing]


def apply(counts: dict[int, dict[str, int]], rows: Iterable[MovedRow]) -> dict[int, dict[str, int]]:
    """Counts after what has happened: {workflow: {status: n}}."""
    found = {workflow: Counter(by_status) for workflow, by_status in counts.items()}
    for row in rows:
        mine = found.setdefault(row.workflow_id, Counter())
        for status, n in _moves(row):
            mine[status] += n
    return {workflow: {status: n for status, n in mine.items() if n} for workflow, mine in found.items()}


def _moves(row: MovedRow) -> list[tuple[str, int]]:
    match row.kind:
        case EventKind.ENROLLED:
            return [("ACTIVE", row.n)]
        case EventKind.STEP_RETRIED:
            # Without a status only something outside was sent again.
            return [("FAILED", -row.n), ("ACTIVE", row.n)] if row.status == "ACTIVE" else []
        case _ if row.status is None:
            # It was stopped before it began.
            return [("FAILED", row.n)]
        case _:
            return [("ACTIVE", -row.n), (row.status, row.n)]


@dataclass(eq=False, slots=True)
class _Tally:
    """Looks at one account while anybody watches it."""

    db: Database
    account_id: int
    clock: Callable[[], datetime]
    users: int = 0
    state: State | None = None
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
        loop = asyncio.get_running_loop()
        counted = -RECOUNT
        seq, counts = 0, dict[int, dict[str, int]]()
        while True:
            self.news.clear()
            began = loop.time()
            anew = began - counted >= RECOUNT
            async with self.db.snapshot(self.account_id) as reader:
                rows = [] if anew else await tallies.moved(reader, seq, KINDS)
                counts = await tallies.counts(reader) if anew else apply(counts, rows)
                seq = await tallies.last(reader)
                state = await _state(reader, seq, counts, self.clock())
            took = loop.time() - began
            if anew:
                counted = began
            if self.state is None or state.workflows != self.state.workflows:
                self.state = state
                self._tell()
            else:
                # Nobody needs to hear of it; who comes now begins behind it.
                self.state = replace(self.state, seq=state.seq)
            await asyncio.sleep(max(PAUSE, took * SHARE))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self.news.wait()


async def _state(reader: Queryable, seq: int, counts: dict[int, dict[str, int]], now: datetime) -> State:
    due = await tallies.due(reader, [one for one, mine in counts.items() if mine.get("ACTIVE")], now)
    outside = await tallies.outside(reader)
    workflows = {}
    for one in sorted(counts.keys() | outside.keys()):
        mine = outside.get(one, {})
        workflows[one] = Standing(
            counts.get(one, {}),
            due.get(one, 0),
            mine.get("PENDING", 0) + mine.get("SENDING", 0),
            mine.get("FAILED", 0) + mine.get("UNKNOWN", 0),
        )
    return State(seq, now, workflows)


# The tallies of this process; one lives as long as somebody watches it.
_tallies: dict[tuple[int, int], _Tally] = {}


@contextlib.asynccontextmanager
async def _shared(db: Database, account_id: int, clock: Callable[[], datetime]) -> AsyncIterator[_Tally]:
    key = (id(db), account_id)
    tally = _tallies.get(key)
    if tally is None or tally.error is not None:
        tally = _tallies[key] = _Tally(db, account_id, clock)
        tally.task = asyncio.create_task(tally.run())
    tally.users += 1
    try:
        yield tally
    finally:
        tally.users -= 1
        if tally.users == 0:
            if _tallies.get(key) is tally:
                del _tallies[key]
            assert tally.task is not None  # it was given one
            tally.task.cancel()
            await asyncio.gather(tally.task, return_exceptions=True)


async def watch(db: Database, account_id: int, clock: Callable[[], datetime]) -> AsyncGenerator[State, None]:
    """How the account's workflows stand: now, and whenever that changes, at most a few times a second."""
    async with _shared(db, account_id, clock) as tally:
        told: State | None = None
        while tally.error is None:
            turn = tally.turn
            if tally.state is not None and tally.state is not told:
                told = tally.state
                yield told
            else:
                await turn.wait()
        raise tally.error
