"""Batches of an import: each in a transaction of its own, with its figures, its errors, and the place where it ends."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.imports.commands import tell
from engine.imports.files import Row
from engine.imports.plan import Plan
from engine.imports.tally import Tally
from engine.imports.writing import Writer
from storage import import_marks, import_work, imports, passes, statistics
from storage.changes import EventKind
from storage.database import Actor, Database, Transaction
from storage.faults import Fault, fault
from storage.fresh import Taken
from storage.imports import ImportRow

# How often a batch that met another writer is tried, and how long it waits before the next time (seconds).
TRIES = 6
WAIT = 0.05
# Keys of a check that are forgotten at a time.
FORGOTTEN = 10_000

Clock = Callable[[], datetime]


class Overtaken(Exception):
    """The import is no longer ours, or people have stopped it: whatever was about to be written is not."""


class _Done(Exception):
    """The batch is in already: whoever brought it in was lost before he could tell."""

    def __init__(self, row: ImportRow) -> None:
        self.row = row
        super().__init__()


class _Undone(Exception):
    """A check has seen what would happen; it does not."""


@dataclass(slots=True)
class Turn:
    """One import, leased under `token` for `lease` from each batch on."""

    db: Database
    account_id: int
    number: int
    token: str
    lease: timedelta
    clock: Clock
    user_id: int | None = None

    @property
    def actor(self) -> Actor:
        """Who writes."""
        return Actor("IMPORT", str(self.number), self.user_id)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of this import's."""
        return self.db.transaction(self.account_id, now=self.clock(), actor=self.actor)

    async def hold(self, tx: Transaction, *statuses: str) -> ImportRow:
        """The import, held until the commit. Raises `Overtaken` where it is not ours, or in none of these states."""
        row = await import_work.hold(tx, self.number, self.token, tx.now + self.lease)
        if row is None or row.status not in statuses:
            raise Overtaken
        return row


@dataclass(slots=True)
class Batch:
    """Rows with the share of the file that has been read with them.

    `end`: the row up to which the file, or `lane`'s part of it, is done with them; `marks` are those of other lanes
    that have nothing to do so far.
    """

    rows: Sequence[Row]
    share: float
    end: int
    lane: int | None = None
    marks: Mapping[int, int] = field(default_factory=dict)


async def run(turn: Turn, writer: Writer, batch: Batch) -> ImportRow:
    """Write a batch, with how far the run has got by then: whoever sees its rows can know of that."""

    async def attempt() -> ImportRow:
        tally = Tally(len(batch.rows))
        async with turn.transaction() as tx:
            await writer.write(tx, batch.rows, tally)
            row = await _held(turn, tx, batch, "RUNNING")
            await _note(tx, row, batch, tally)
        return row

    try:
        return await _tried(writer, attempt)
    except _Done as done:
        # Whether rows of it failed is not known.
        writer.failures = True
        return done.row


async def check(turn: Turn, writer: Writer, batch: Batch) -> ImportRow:
    """Write a batch, see what comes of it, and undo it; only findings stay."""

    async def attempt() -> ImportRow:
        tally = Tally(len(batch.rows))
        with contextlib.suppress(_Undone):
            async with turn.transaction() as tx:
                await writer.write(tx, batch.rows, tally)
                raise _Undone
        async with turn.transaction() as tx:
            row = await _held(turn, tx, batch, "CHECKING")
            if writer.before.met:
                await import_marks.add_keys(tx, turn.number, writer.before.met)
            await _note(tx, row, batch, tally)
        return row

    try:
        return await _tried(writer, attempt)
    except _Done as done:
        return done.row


async def _tried(writer: Writer, attempt: Callable[[], Awaitable[ImportRow]]) -> ImportRow:
    """What an attempt comes to; it is made again where it met another writer."""
    for n in range(TRIES):
        try:
            return await attempt()
        except Taken:
            # Whoever was quicker is found by the commands.
            writer.short = False
        except Exception as error:
            if fault(error) is not Fault.COLLIDED or n == TRIES - 1:
                raise
            await asyncio.sleep(WAIT * 2**n)
    raise AssertionError("the last attempt returns or raises")


async def _held(turn: Turn, tx: Transaction, batch: Batch, status: str) -> ImportRow:
    """The import, held. Raises `_Done` where the batch is in, `Overtaken` also where it is cut otherwise by now."""
    row = await turn.hold(tx, status)
    reached = row.position
    if batch.lane is not None:
        done = row.lanes.get("done", ())
        if batch.lane >= len(done):
            raise Overtaken
        reached = done[batch.lane]
    if reached >= batch.end:
        raise _Done(row)
    return row


async def _note(tx: Transaction, row: ImportRow, batch: Batch, tally: Tally) -> None:
    kept = tally.add_to(row)
    share = batch.share
    if batch.lane is None:
        row.position = batch.end
    else:
        # A window is read long before all of its lanes are done: it counts for as many of its rows as are.
        share *= min(1.0, row.rows_read / batch.end)
        done = list(row.lanes["done"])
        for lane, end in {**batch.marks, batch.lane: batch.end}.items():
            done[lane] = max(done[lane], end)
        row.lanes, row.position = {**row.lanes, "done": done}, min(done)
    row.share = max(row.share, share)
    await imports.write(tx, row)
    if kept:
        await imports.errors(tx, row.id, kept)
    tell(tx, row, EventKind.IMPORT_PROGRESS)


async def begun(
    turn: Turn, plan: Plan, file: Mapping[str, object], lanes: Mapping[str, Any] | None = None
) -> ImportRow:
    """Note how the file is written, what is imported from it, and how it is cut (None: as before)."""
    async with turn.transaction() as tx:
        row = await turn.hold(tx, "CHECKING", "RUNNING")
        row.file, row.kind = {**row.file, **file}, plan.kind
        if lanes is not None:
            row.lanes = dict(lanes)
        await imports.write(tx, row)
    return row


async def finish(turn: Turn) -> ImportRow:
    """The file has been read to its end: CHECKED, or DONE."""
    await _forget_keys(turn)
    async with turn.transaction() as tx:
        row = await turn.hold(tx, "CHECKING", "RUNNING")
        row.share, row.ended_at = 1.0, tx.now
        row.position = max(row.position, *row.lanes.get("done", (0,)))
        if row.status == "CHECKING":
            row.status, kind = "CHECKED", EventKind.IMPORT_CHECKED
            row.findings = {
                "rows": row.rows_read,
                "create": row.rows_created,
                "update": row.rows_updated,
                "unchanged": row.rows_unchanged,
                "fail": row.rows_failed,
                "figures": row.figures,
                "notes": row.file.get("notes", []),
            }
        else:
            row.status, kind = "DONE", EventKind.IMPORT_FINISHED
            await passes.import_finished(tx, turn.number)
        await imports.write(tx, row)
        tell(tx, row, kind)
    await release(turn)
    if row.status == "DONE":
        await statistics.refresh(turn.db, row.rows_read - row.rows_unchanged)
    return row


async def fail(turn: Turn, reason: str) -> None:
    """The import broke off (FAILED). What is in stays."""
    async with turn.transaction() as tx:
        row = await turn.hold(tx, "CHECKING", "RUNNING", "UNDOING")
        row.status, row.reason, row.ended_at = "FAILED", reason, tx.now
        await imports.write(tx, row)
        tell(tx, row, EventKind.IMPORT_FAILED)
    await _forget_keys(turn)
    await release(turn)


async def keep(turn: Turn) -> None:
    """Keep the lease through something that takes long. Raises `Overtaken`."""
    async with turn.transaction() as tx:
        await turn.hold(tx, "CHECKING", "RUNNING", "UNDOING")


async def clear(turn: Turn, row: ImportRow, pieces: int) -> None:
    """Forget the last pieces of the file of an import that has ended."""
    async with turn.transaction() as tx:
        held = await turn.hold(tx, row.status)
        held.chunks = max(held.chunks - pieces, 0)
        await import_work.clear_chunks(tx, turn.number, held.chunks)
        await imports.write(tx, held)
    if not held.chunks:
        await _forget_keys(turn)
        await release(turn)


async def _forget_keys(turn: Turn) -> None:
    while True:
        async with turn.transaction() as tx:
            if await import_marks.clear_keys(tx, turn.number, FORGOTTEN) < FORGOTTEN:
                return


async def release(turn: Turn) -> None:
    """Give the import back."""
    async with turn.db.single(turn.account_id) as single:
        await import_work.release(single, turn.number, turn.token)
