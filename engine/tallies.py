"""How workflows stand: counts of a moment with the log's number of that moment, told anew when they change.

One look serves all who watch an account in a process. What has moved is taken from the log, added to what was counted
once; what is due and what is on its way outside is counted in the same snapshot, along indexes.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from engine import watching
from engine.watching import Look, Looked, State
from storage import tallies
from storage.changes import EventKind
from storage.database import Database, Queryable
from storage.tallies import MovedRow

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


def looking(db: Database, account_id: int, clock: Callable[[], datetime]) -> Look[dict[int, Standing]]:
    """Looks at an account's workflows; what was counted once is moved on."""
    counted = -RECOUNT
    seq, counts = 0, dict[int, dict[str, int]]()

    async def look() -> Looked[dict[int, Standing]]:
        nonlocal counted, seq, counts
        loop = asyncio.get_running_loop()
        began = loop.time()
        anew = began - counted >= RECOUNT
        async with db.snapshot(account_id) as reader:
            rows = [] if anew else await tallies.moved(reader, seq, KINDS)
            counts = await tallies.counts(reader) if anew else apply(counts, rows)
            seq = await tallies.last(reader)
            state = await _state(reader, seq, counts, clock())
        if anew:
            counted = began
        return Looked(state, loop.time() - began)

    return look


async def _state(
    reader: Queryable, seq: int, counts: dict[int, dict[str, int]], now: datetime
) -> State[dict[int, Standing]]:
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


def watch(
    db: Database, account_id: int, clock: Callable[[], datetime]
) -> AsyncGenerator[State[dict[int, Standing]], None]:
    """How the account's workflows stand: now, and whenever that changes, at most a few times a second."""
    return watching.watch(looking, db, account_id, clock)
