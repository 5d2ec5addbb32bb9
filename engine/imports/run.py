"""A run of an import over a file on this machine's disk: the command line's way. Workers' is `runner`."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine.crew import Alone, Crew
from engine.imports import files, running
from engine.imports.binding import bind
from engine.imports.commands import tell
from engine.imports.cutting import Size, way
from engine.imports.files import Reading, Table
from engine.imports.lanes import Lanes
from engine.imports.plan import Plan
from engine.imports.problems import FileChanged, FileInflates, FileUnreadable
from engine.imports.running import Clock, Turn
from engine.imports.tally import ERRORS_TOLD, Progress, Report, RowError
from engine.imports.windows import Windows
from engine.values import tidy
from storage import imports
from storage.changes import EventKind
from storage.database import Database
from storage.imports import ImportRow

# Nobody else can go on with a file on this disk: the lease only tells whether its reader still lives.
LEASE = timedelta(minutes=10)


async def run(
    db: Database,
    account_id: int,
    path: Path,
    plan: dict[str, Any],
    *,
    clock: Clock,
    checking: bool = False,
    user_id: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    crew: Crew | None = None,
) -> Report:
    """Import the file at `path` by a plan's document; `checking`: only tell what that would do.

    Raises `Problem` and `Refused` where the file as a whole cannot be imported: then nothing has happened. A file that
    breaks off raises `FileUnreadable`, `FileChanged`; what is in stays, and the import is noted FAILED.
    """
    with files.opened(path, Reading.of(plan)) as table:
        bound = bind(plan, table.header, await db.catalogue(account_id))
        return await run_table(
            db,
            account_id,
            table,
            bound,
            name=path.name,
            clock=clock,
            checking=checking,
            user_id=user_id,
            progress=progress,
            crew=crew,
        )


async def run_table(
    db: Database,
    account_id: int,
    table: Table,
    plan: Plan,
    *,
    name: str,
    clock: Clock,
    checking: bool = False,
    user_id: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    crew: Crew | None = None,
    size: Size | None = None,
) -> Report:
    """The same for a file that is open, by a plan that was checked. No `crew`: this process alone."""
    (number,) = await db.ids.take(account_id, 1)
    turn = Turn(db, account_id, number, uuid.uuid4().hex, LEASE, clock, user_id)
    report = Report(number, clock())
    await _begin(turn, table, plan, tidy(name), report.started_at, checking=checking)

    def taken(row: ImportRow) -> None:
        if row.rows_read > report.read:
            report.take(row)
        if progress is not None:
            progress(Progress(report.read, row.share, report.failed))

    crew, size = crew or Alone(db, clock), size or Size()
    try:
        async with _noted(turn, report):
            await _brought_in(turn, table, plan, crew, size, checking=checking, taken=taken)
            report.take(await running.finish(turn))
    except running.Overtaken:
        # People have stopped it, from elsewhere.
        async with db.read(account_id) as reader:
            stopped = await imports.read(reader, number)
        if stopped is not None:
            report.take(stopped)
    async with db.read(account_id) as reader:
        found = await imports.errors_after(reader, number, (0, 0), ERRORS_TOLD)
        (report.groups,) = await imports.error_groups(reader, [number])
    report.errors = [RowError.kept(one) for one in found]
    return report


async def _begin(turn: Turn, table: Table, plan: Plan, name: str, now: datetime, *, checking: bool) -> None:
    """The import is there, held by this process, and told."""
    status = "CHECKING" if checking else "RUNNING"
    async with turn.db.transaction(turn.account_id, now=now, actor=turn.actor) as tx:
        until = tx.now + LEASE
        await imports.create(
            tx, turn.number, name, plan.kind, plan.document, status=status, file=table.described(),
            token=turn.token, until=until,
        )  # fmt: skip
        row = await imports.hold(tx, turn.number)
        assert row is not None  # it has just been written
        tell(tx, row, EventKind.IMPORT_CHECKING if checking else EventKind.IMPORT_STARTED)


@contextlib.asynccontextmanager
async def _noted(turn: Turn, report: Report) -> AsyncIterator[None]:
    """What breaks the block off is noted with the import, which then is FAILED; unless it is not ours any more."""
    try:
        yield
    except running.Overtaken:
        raise
    except FileUnreadable as problem:
        before = "row before that has" if report.read == 1 else f"{report.read} rows before that have"
        why = f"{problem.details['reason']}; the {before} been imported"
        await running.fail(turn, why)
        raise FileUnreadable(reason=why) from problem
    except (FileChanged, FileInflates) as problem:
        await running.fail(turn, problem.message)
        raise
    except BaseException:
        await running.fail(turn, "The process that read the file broke off.")
        raise


async def _brought_in(
    turn: Turn,
    table: Table,
    plan: Plan,
    crew: Crew,
    size: Size,
    *,
    checking: bool,
    taken: Callable[[ImportRow], None],
) -> None:
    """Read the whole file. Raises what reading and writing raise, when nothing is under way any more."""
    found = None if checking else way(plan, await turn.db.catalogue(turn.account_id))
    windows = await Windows.begun(table, found, size)
    if windows.how.lanes > 1:
        cut = windows.how.document([0] * windows.how.lanes)
        await running.begun(turn, plan, table.described(), cut)
    lanes = Lanes(crew, turn, plan, windows, checking=checking, taken=taken)
    try:
        while await lanes.go(lambda: False):
            pass
    finally:
        await lanes.close()
