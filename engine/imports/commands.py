"""What people do with imports: create, send the file, plan, check, start, pause, cancel, undo. Workers do the rest.

CREATED → UPLOADED → CHECKING → CHECKED → RUNNING → PAUSED / DONE / FAILED / CANCELLED → UNDOING → UNDONE
"""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from engine import naming
from engine.ids import encode
from engine.imports.binding import bind
from engine.imports.plan import Plan
from engine.imports.problems import (
    FileTooLarge,
    FileUnreadable,
    ImportNotReady,
    MalformedPlan,
    PlanMissing,
    UploadOvertaken,
)
from engine.problems import NotFound
from storage import import_work, imports
from storage.changes import Event, EventKind
from storage.database import Actor, Database, Queryable, Transaction
from storage.imports import ImportRow, RowErrorRow

# Bytes of a file that are kept in one row.
PIECE = 1 << 20
# The longest file that is taken, in bytes.
LARGEST = 4 << 30

# From which state a step may be taken.
SENDABLE = ("CREATED", "UPLOADED", "CHECKED")
CHECKABLE = ("UPLOADED", "CHECKED")
STARTABLE = ("UPLOADED", "CHECKED")
CANCELLABLE = ("CREATED", "UPLOADED", "CHECKING", "CHECKED", "RUNNING", "PAUSED")
UNDOABLE = ("DONE", "FAILED", "CANCELLED", "PAUSED")


async def create(tx: Transaction, *, name: str, plan: dict[str, Any] | None = None) -> ImportRow:
    """A new import (CREATED) of a file called `name`, which is still to be sent. The plan may come later.

    Raises `MalformedText` and `MalformedPlan` where either holds what is no text; what a plan says is checked with the
    file.
    """
    name = naming.text(name[:200], "file's name", "name")
    if not naming.all_storable(plan):
        raise MalformedPlan(path=("plan",), reason="it holds a character that is no text")
    (number,) = await tx.new_ids(1)
    await imports.create(tx, number, name, "RECORDS", plan or {}, status="CREATED")
    row = await imports.hold(tx, number)
    assert row is not None  # it has just been written
    return row


async def upload(
    db: Database,
    account_id: int,
    number: int,
    pieces: AsyncIterator[bytes],
    *,
    now: datetime,
    user_id: int | None = None,
    largest: int = LARGEST,
) -> ImportRow:
    """Keep the file of a created import (UPLOADED), however it comes in pieces. One that was sent before is replaced.

    Each megabyte is a transaction of its own: a connection is held no longer than that. Raises `NotFound`,
    `ImportNotReady`, `FileTooLarge`, `FileUnreadable` (an empty one), `UploadOvertaken`, and then nothing of the
    file is kept.
    """
    sending = _Sending(db, account_id, number, now, Actor("API", None, user_id))
    await sending.begin()
    waiting = bytearray()
    try:
        async for piece in pieces:
            waiting += piece
            if sending.size + len(waiting) > largest:
                raise FileTooLarge(limit=largest)
            while len(waiting) >= PIECE:
                await sending.keep(bytes(waiting[:PIECE]))
                del waiting[:PIECE]
        return await sending.end(bytes(waiting))
    except BaseException:
        await sending.forget()
        raise


class _Sending:
    """A file that is being sent. Another one that begins meanwhile takes its place: the last one counts."""

    def __init__(self, db: Database, account_id: int, number: int, now: datetime, actor: Actor) -> None:
        self._transaction = partial(db.transaction, account_id, now=now, actor=actor)
        self._number = number
        self._token = 0
        self._pieces = 0
        self.size = 0

    async def begin(self) -> None:
        async with self._transaction() as tx:
            row = await _held(tx, self._number, "send a file for", SENDABLE)
            (self._token,) = await tx.new_ids(1)
            await import_work.clear_chunks(tx, self._number, 0)
            row.status, row.chunks, row.findings, row.file = "CREATED", 0, None, {"sending": self._token}
            await imports.write(tx, row)

    async def keep(self, piece: bytes) -> None:
        async with self._transaction() as tx:
            await imports.write(tx, await self._added(tx, piece))

    async def end(self, piece: bytes) -> ImportRow:
        if not (self.size or piece):
            raise FileUnreadable(reason="it is empty")
        async with self._transaction() as tx:
            row = await self._added(tx, piece)
            row.status, row.file = "UPLOADED", {"size": self.size}
            await imports.write(tx, row)
        return row

    async def forget(self) -> None:
        """Keep nothing of it, unless it is another one by now."""
        async with self._transaction() as tx:
            row = await imports.hold(tx, self._number)
            if row is not None and row.file.get("sending") == self._token:
                await import_work.clear_chunks(tx, self._number, 0)
                row.chunks, row.file = 0, {}
                await imports.write(tx, row)

    async def _added(self, tx: Transaction, piece: bytes) -> ImportRow:
        row = await _held(tx, self._number, "send a file for", SENDABLE)
        if row.file.get("sending") != self._token:
            raise UploadOvertaken()
        if piece:
            await import_work.add_chunk(tx, self._number, self._pieces, piece)
            self._pieces += 1
            self.size += len(piece)
        # Counted with each piece: what a process that was killed has left is cleared with the import.
        row.chunks = self._pieces
        return row


async def set_plan(tx: Transaction, number: int, plan: dict[str, Any]) -> Plan:
    """Say which columns of an uploaded file fill what. Raises `Refused` with all that is wrong with it.

    The header must be known: ask for a proposal (`propose`) first, or for a check.
    """
    row = await _held(tx, number, "plan", STARTABLE)
    header = row.file.get("header")
    if header is None:
        raise PlanMissing(path=("plan",))
    bound = bind(plan, header, tx.catalogue)
    row.mapping, row.kind, row.findings = dict(bound.document), bound.kind, None
    row.status = "UPLOADED"
    await imports.write(tx, row)
    return bound


async def check(tx: Transaction, number: int) -> ImportRow:
    """Let a worker read the whole file and tell what the run would do (CHECKING, CHECKED); it writes nothing else."""
    row = await _begin(tx, number, "check", CHECKABLE, "CHECKING")
    row.findings, row.started_at = None, tx.now
    await imports.write(tx, row)
    tell(tx, row, EventKind.IMPORT_CHECKING)
    return row


async def start(tx: Transaction, number: int) -> ImportRow:
    """Let a worker import the file (RUNNING)."""
    row = await _begin(tx, number, "start", STARTABLE, "RUNNING")
    row.started_at = tx.now
    await imports.write(tx, row)
    tell(tx, row, EventKind.IMPORT_STARTED)
    return row


async def pause(tx: Transaction, number: int) -> ImportRow:
    """Stop a run between two batches (PAUSED)."""
    row = await _held(tx, number, "pause", ("RUNNING",))
    row.status = "PAUSED"
    await imports.write(tx, row)
    tell(tx, row, EventKind.IMPORT_PAUSED)
    return row


async def resume(tx: Transaction, number: int) -> ImportRow:
    """Go on with a run that was paused, from the row where it stopped."""
    row = await _held(tx, number, "resume", ("PAUSED",))
    row.status = "RUNNING"
    await imports.write(tx, row)
    tell(tx, row, EventKind.IMPORT_RESUMED)
    return row


async def cancel(tx: Transaction, number: int) -> ImportRow:
    """End an import, whatever it is doing (CANCELLED). What is in stays; `undo` takes it back."""
    row = await _held(tx, number, "cancel", CANCELLABLE)
    row.status, row.ended_at = "CANCELLED", tx.now
    await imports.write(tx, row)
    tell(tx, row, EventKind.IMPORT_CANCELLED)
    return row


async def undo(tx: Transaction, number: int) -> ImportRow:
    """Let a worker take back what an import did (UNDOING, then UNDONE).

    Records that it made are archived, unless others have changed them since; values that it changed are put back
    where they still hold what it wrote; associations and labels that it added go.
    """
    row = await _held(tx, number, "undo", UNDOABLE)
    row.status, row.undone, row.ended_at = "UNDOING", {}, None
    await imports.write(tx, row)
    tell(tx, row, EventKind.IMPORT_UNDOING)
    return row


async def get(reader: Queryable, number: int) -> ImportRow:
    """One import. Raises `NotFound`."""
    row = await imports.read(reader, number)
    if row is None:
        raise _missing(number)
    return row


async def page(
    reader: Queryable, *, before: int | None, first: int, statuses: Sequence[str] | None = None
) -> list[ImportRow]:
    """Up to `first` imports, newest first, behind the one with id `before`."""
    return await imports.page(reader, before, first, statuses)


async def errors(
    reader: Queryable,
    number: int,
    *,
    after: tuple[int, int] = (0, 0),
    first: int = 50,
    codes: Sequence[str] | None = None,
) -> list[RowErrorRow]:
    """Up to `first` errors behind (row, n), in the order of the file; only of these codes."""
    return await imports.errors_after(reader, number, after, first, codes)


async def _begin(tx: Transaction, number: int, verb: str, wanted: Collection[str], status: str) -> ImportRow:
    row = await _held(tx, number, verb, wanted)
    if not row.mapping:
        raise PlanMissing(path=("plan",))
    if row.file.get("header") is not None:
        row.kind = bind(row.mapping, row.file["header"], tx.catalogue).kind
    await imports.forget_errors(tx, number)
    row.status, row.position, row.share, row.errors, row.reason = status, 0, 0.0, 0, None
    row.rows_read = row.rows_created = row.rows_updated = row.rows_unchanged = row.rows_failed = 0
    row.figures, row.ended_at, row.lanes = {}, None, {}
    return row


async def _held(tx: Transaction, number: int, verb: str, wanted: Collection[str]) -> ImportRow:
    row = await imports.hold(tx, number)
    if row is None:
        raise _missing(number)
    if row.status not in wanted:
        raise ImportNotReady(status=row.status, verb=verb, wanted=list(wanted), path=("id",))
    return row


def _missing(number: int) -> NotFound:
    return NotFound(kind="import", name=encode("import", number), path=("id",))


def told(row: ImportRow, now: datetime) -> dict[str, Any]:
    """The figures as watchers of an import are told them; `rate` in rows a second, None before there is one."""
    seconds = (now - row.started_at).total_seconds()
    return {
        "name": row.name,
        "kind": row.kind,
        "status": row.status,
        "read": row.rows_read,
        "created": row.rows_created,
        "updated": row.rows_updated,
        "unchanged": row.rows_unchanged,
        "failed": row.rows_failed,
        "errors": row.errors,
        "share": row.share,
        "rate": row.rows_read / seconds if seconds > 0 else None,
        **({} if row.reason is None else {"reason": row.reason}),
        **({} if row.undone is None else {"undone": row.undone}),
    }


def tell(tx: Transaction, row: ImportRow, kind: EventKind) -> None:
    """Log what an import has come to, for its watchers."""
    tx.happened(Event(kind, subject_id=row.id, payload=told(row, tx.now)))
