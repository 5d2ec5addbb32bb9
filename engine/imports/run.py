"""A run of an import: each batch of rows in a transaction of its own, with its figures and its errors."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from engine.imports.files import Row, Table
from engine.imports.problems import FileUnreadable
from engine.problems import Problem
from engine.values import tidy
from storage import imports, passes
from storage.changes import Event, EventKind
from storage.database import Actor, Database, Transaction
from storage.faults import Fault, fault
from storage.imports import RowErrorRow

# Told at each event of a run.
Told = dict[str, Any]

# How often a batch that met another writer is tried, and how long it waits before the next time (seconds).
TRIES = 6
WAIT = 0.05
# A report names this many errors; the import keeps all of them.
ERRORS_TOLD = 100
COLUMN_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has got: rows of the file, and the share of it (0 to 1)."""

    rows: int
    share: float


@dataclass(frozen=True, slots=True)
class RowError:
    """One thing that is wrong with one row (1 is the first after the header)."""

    row: int
    column: str | None
    value: str | None
    code: str
    message: str

    @classmethod
    def of(cls, row: int, problem: Problem, column: str | None = None, value: str | None = None) -> Self:
        """The error of a row in which there is this problem."""
        return cls(
            row,
            None if column is None else tidy(column)[:COLUMN_SHOWN],
            None if value is None else tidy(value),
            problem.code,
            problem.message,
        )


@dataclass(slots=True)
class Report:
    """What became of a file. `errors` are the first ones; the import keeps all."""

    import_id: int
    started_at: datetime
    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    errors: list[RowError] = field(default_factory=list)

    def told(self, share: float, now: datetime) -> Told:
        """The figures as watchers of the run are told them; `rate` in rows a second, None before there is one."""
        seconds = (now - self.started_at).total_seconds()
        return {
            "read": self.read,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "share": share,
            "rate": self.read / seconds if seconds > 0 else None,
        }

    def with_batch(self, tally: "Tally") -> "Report":
        """The figures once the batch is in."""
        return replace(
            self,
            read=self.read + tally.read,
            created=self.created + tally.created,
            updated=self.updated + tally.updated,
            unchanged=self.unchanged + tally.unchanged,
            failed=self.failed + tally.failed,
            errors=self.errors + tally.errors[: ERRORS_TOLD - len(self.errors)],
        )


@dataclass(slots=True)
class Tally:
    """What became of one batch; filled anew each time that the batch is tried."""

    read: int
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[RowError] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """The rows that have errors."""
        return len({error.row for error in self.errors})


# Writes a batch within the transaction and notes in the tally what became of it.
Write = Callable[[Transaction, list[Row], Tally], Awaitable[None]]


async def run(
    db: Database,
    account_id: int,
    table: Table,
    write: Write,
    *,
    name: str,
    kind: str,
    mapping: dict[str, Any],
    clock: Callable[[], datetime],
    user_id: int | None,
    batch_size: int,
    progress: Callable[[Progress], None] | None,
) -> Report:
    """Write all rows of `table`. What is committed stays, whatever comes later; a run that breaks is noted FAILED."""
    (number,) = await db.ids.take(account_id, 1)
    actor = Actor("IMPORT", str(number), user_id)
    report = Report(number, clock())
    about: Told = {"name": name, "kind": kind}
    async with db.transaction(account_id, now=report.started_at, actor=actor) as tx:
        await imports.start(tx, number, name, kind, mapping)
        tx.happened(_event(EventKind.IMPORT_STARTED, number, about | report.told(0.0, tx.now)))
    status = "FAILED"
    try:
        for rows in table.batches(batch_size):
            report = await _batch(db, account_id, rows, write, actor, clock, report, about, table.share)
            if progress is not None:
                progress(Progress(report.read, table.share))
        status = "DONE"
    except FileUnreadable as problem:
        told = f"{problem.details['reason']}; the {report.read} rows before that have been imported"
        about["reason"] = told
        raise FileUnreadable(reason=told) from problem
    finally:
        async with db.transaction(account_id, now=clock(), actor=actor) as tx:
            await imports.end(tx, number, status)
            ended = EventKind.IMPORT_FINISHED if status == "DONE" else EventKind.IMPORT_FAILED
            tx.happened(_event(ended, number, about | report.told(table.share, tx.now)))
            if status == "DONE":
                await passes.import_finished(tx, number)
    return report


async def _batch(
    db: Database,
    account_id: int,
    rows: list[Row],
    write: Write,
    actor: Actor,
    clock: Callable[[], datetime],
    report: Report,
    about: Told,
    share: float,
) -> Report:
    """Write a batch, with how far the run has got by then: whoever sees its rows can know of that."""
    for attempt in range(TRIES):
        tally = Tally(len(rows))
        try:
            async with db.transaction(account_id, now=clock(), actor=actor) as tx:
                await write(tx, _sound(rows, tally), tally)
                await _note(tx, report.import_id, tally)
                so_far = report.with_batch(tally)
                tx.happened(
                    _event(EventKind.IMPORT_PROGRESS, report.import_id, about | so_far.told(share, tx.now))
                )
        except Exception as error:
            if fault(error) is not Fault.COLLIDED or attempt == TRIES - 1:
                raise
            await asyncio.sleep(WAIT * 2**attempt)
        else:
            break
    return so_far


def _event(kind: EventKind, number: int, payload: Told) -> Event:
    return Event(kind, subject_id=number, payload=payload)


def _sound(rows: Iterable[Row], tally: Tally) -> list[Row]:
    """The rows that could be read; what is wrong with the others goes to the tally."""
    sound = []
    for row in rows:
        if row.problem is None:
            sound.append(row)
        else:
            tally.errors.append(RowError.of(row.number, row.problem, row.column, row.value))
    return sound


async def _note(tx: Transaction, number: int, tally: Tally) -> None:
    await imports.count(
        tx,
        number,
        read=tally.read,
        created=tally.created,
        updated=tally.updated,
        unchanged=tally.unchanged,
        failed=tally.failed,
    )
    if tally.errors:
        tally.errors.sort(key=lambda error: error.row)
        await imports.errors(tx, number, list(_numbered(tally.errors)))


def _numbered(errors: Iterable[RowError]) -> Iterator[RowErrorRow]:
    row, n = 0, 0
    for error in errors:
        row, n = error.row, n + 1 if error.row == row else 1
        yield RowErrorRow(row, n, error.column, error.value, error.code, error.message)
