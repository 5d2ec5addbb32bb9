"""How syncs stand: counts by status, and how far initial syncs are; told anew as it changes, at any size.

What a look reads each time is small. Links are counted along an index, of those syncs alone of which the log has told
something since; and no more often than what that takes allows.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine import watching
from engine.sync import applying
from engine.watching import Look, Looked, State
from storage import changes
from storage.changes import EventKind
from storage.database import Database, Queryable
from storage.sync import standing
from storage.sync.standing import StandingRow

# Counting takes no more than a tenth of the time, and less than a hundredth while nothing is told.
BUSY, QUIET = 10, 100
QUIET_SECONDS = 5.0
# Rates are those of so many seconds; what went on for less than `TELLING` has none yet.
WINDOW, TELLING = 15.0, 1.0
# An app that takes longer for a page has come to a halt.
HALT = 60.0

# Whatever is told of a sync or its records.
KINDS = frozenset(kind for kind in EventKind if kind.value.startswith(("SYNC_", "RECORD_SYNC")))


@dataclass(frozen=True, slots=True)
class Counts:
    """Links by state, and fields that wait for a person."""

    by_state: Mapping[str, int] = field(default_factory=dict)
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an initial sync is: items looked at, of so many where that is known; a second, and until it is done."""

    done: int
    total: int | None
    started_at: datetime | None
    ended_at: datetime | None
    per_second: float | None
    left: timedelta | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How one sync stands. `recently`, `applied`: how many are looked at a second lately, and applied of a plan."""

    row: StandingRow
    counts: Counts
    recently: float | None = None
    applied: float | None = None


def progress(told: Mapping[str, Any], now: datetime, recently: float | None = None) -> Progress | None:
    """What a sync's row tells of its initial sync; None before it was started. `recently`: its rate, if known."""
    started = _moment(told.get("startedAt"))
    if started is None and "done" not in told:
        return None
    ended = _moment(told.get("endedAt"))
    done, total = int(told.get("done") or 0), told.get("total")
    seconds = 0.0 if started is None else ((ended or now) - started).total_seconds()
    rate = recently if recently is not None else (done / seconds if seconds >= TELLING and done else None)
    left = None
    if ended is None and rate and total is not None and done < int(total):
        left = timedelta(seconds=(int(total) - done) / rate)
    return Progress(done, total, started, ended, rate, left)


def plan(row: StandingRow) -> dict[str, Any]:
    """What a sync's row tells of the plan that is being applied, as `progress` reads it; nothing where none is."""
    if row.plan is None:
        return {}
    done, total = applying.done_of(row.plan)
    return {"done": done, "total": total} | ({"startedAt": row.plan_since} if row.plan_since else {})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@dataclass(slots=True)
class Pace:
    """How fast something goes on. `samples`: how many were done at which time."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    def rate(self, time: float, told: Mapping[str, Any]) -> float | None:
        """Items a second while it goes on, once there is enough to tell it by; 0.0 where it has come to a halt."""
        if "startedAt" not in told or "endedAt" in told:
            self.samples.clear()
            return None
        done = int(told.get("done") or 0)
        if self.samples and done < self.samples[-1][1]:
            self.samples.clear()
        if not self.samples or done != self.samples[-1][1]:
            self.samples = [*(one for one in self.samples if one[0] > time - WINDOW), (time, done)]
        first, last = self.samples[0], self.samples[-1]
        if time - last[0] > HALT:
            return 0.0
        if last[0] - first[0] < TELLING:
            return None
        return round((last[1] - first[1]) / (last[0] - first[0]), 1)


@dataclass(slots=True)
class _Kept:
    """What was counted of one sync, when, and at which number of the log; `moved`: something was told of it since."""

    counts: Counts
    seq: int
    counted: float
    took: float
    moved: bool = False
    reading: Pace = field(default_factory=Pace)
    applying: Pace = field(default_factory=Pace)

    def due(self, time: float) -> bool:
        """Whether it is counted anew."""
        if self.moved:
            return time - self.counted >= self.took * BUSY
        return time - self.counted >= max(QUIET_SECONDS, self.took * QUIET)


def looking(db: Database, account_id: int, clock: Callable[[], datetime]) -> Look[dict[int, Standing]]:
    """Looks at an account's syncs."""
    kept: dict[int, _Kept] = {}
    read = 0

    async def look() -> Looked[dict[int, Standing]]:
        nonlocal read
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with db.snapshot(account_id) as reader:
            seq = await changes.last(reader)
            rows = await standing.rows(reader)
            moved = await standing.moved(reader, read, [kind.value for kind in KINDS]) if kept else set()
            for sync_id in moved & kept.keys():
                kept[sync_id].moved = True
            read = seq
            took = loop.time() - began
            for row in rows:
                if row.id not in kept or kept[row.id].due(loop.time()):
                    await _count(reader, row.id, kept, seq)
        for gone in kept.keys() - {row.id for row in rows}:
            del kept[gone]
        found = {row.id: _standing(row, kept[row.id], began) for row in rows}
        # What is told of those that were not counted anew comes behind the count that is shown.
        seq = min([seq, *(one.seq for one in kept.values() if one.moved)])
        return Looked(State(seq, clock(), found), took)

    return look


def _standing(row: StandingRow, kept: _Kept, time: float) -> Standing:
    recently, applied = kept.reading.rate(time, row.progress), kept.applying.rate(time, plan(row))
    return Standing(row, kept.counts, recently, applied)


async def _count(reader: Queryable, sync_id: int, kept: dict[int, _Kept], seq: int) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    counts = await of(reader, [sync_id])
    found = _Kept(counts[sync_id], seq, loop.time(), loop.time() - began)
    if sync_id in kept:
        found.reading, found.applying = kept[sync_id].reading, kept[sync_id].applying
    kept[sync_id] = found


async def of(reader: Queryable, sync_ids: list[int]) -> dict[int, Counts]:
    """How the links of these syncs stand now."""
    by_state = await standing.counts(reader, sync_ids)
    conflicts = await standing.conflicts(reader, sync_ids)
    return {sync_id: Counts(by_state[sync_id], conflicts.get(sync_id, 0)) for sync_id in sync_ids}


def watch(
    db: Database, account_id: int, clock: Callable[[], datetime]
) -> AsyncGenerator[State[dict[int, Standing]], None]:
    """How the account's syncs stand: now, and whenever that changes, at most a few times a second."""
    return watching.watch(looking, db, account_id, clock)
