"""Several batches of a file under way at once, each on a connection of its own, where rows of one key stay in order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from engine.imports import running
from engine.imports.files import Row, Table
from engine.imports.loading import loader
from engine.imports.plan import Plan
from engine.imports.running import Batch, Turn
from engine.imports.tally import ERRORS_TOLD, Progress, Report, RowError
from engine.imports.writing import Writer
from storage.imports import ImportRow

# Batches at a time. While one waits for the database, the next is put into words.
LANES = 4


@dataclass(slots=True)
class _Lane:
    """A batch under way: the keys of its rows, and how much of the file has been read with it."""

    writer: Writer
    keys: set[str]
    share: float


class Lanes:
    """Reads a file, and fills in a report as batches come in."""

    def __init__(
        self,
        turn: Turn,
        plan: Plan,
        report: Report,
        *,
        checking: bool,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._turn = turn
        self._plan = plan
        self._report = report
        self._checking = checking
        self._progress = progress
        self._free = [Writer(plan, turn.number, checking)]
        self._under_way: dict[asyncio.Task[tuple[ImportRow, list[RowError]]], _Lane] = {}

    async def read(self, table: Table, size: int) -> None:
        """Bring in all rows. Raises what reading and writing raise, when nothing is under way any more."""
        unique = await self._told_apart()
        if unique:
            self._free += [Writer(self._plan, self._turn.number) for _ in range(LANES - 1)]
        try:
            for rows in table.batches(size):
                keys = _keys(rows, unique)
                # A row waits for those before it that may be about its record.
                while not self._free or any(
                    not lane.keys.isdisjoint(keys) for lane in self._under_way.values()
                ):
                    await self._next()
                lane = _Lane(self._free.pop(), keys, table.share)
                step = running.check if self._checking else running.run
                work = step(self._turn, lane.writer, Batch(rows, table.share))
                self._under_way[asyncio.ensure_future(work)] = lane
                # What has been put into words goes out before the next is read.
                await asyncio.sleep(0)
            while self._under_way:
                await self._next()
        finally:
            while self._under_way:
                done, _ = await asyncio.wait(self._under_way)
                for task in done:
                    lane = self._under_way.pop(task)
                    if task.exception() is None:
                        self._take(lane, *task.result())

    async def _told_apart(self) -> list[int]:
        """Where the texts stand that no two records share; none: batches go one after the other.

        Associations take locks on both ends, and their order may matter to either: more at once would wait.
        """
        if self._checking:
            return []
        catalogue = await self._turn.db.catalogue(self._turn.account_id)
        if loader(self._plan, self._turn.number, catalogue) is None:
            return []
        unique = [column for column in self._plan.parts[0].columns if column.property.is_unique]
        # Texts that are equal as keys are equal but for their case and spaces; numbers need not be.
        if any(column.property.type != "STRING" for column in unique):
            return []
        return [column.index for column in unique]

    async def _next(self) -> None:
        """Wait for the first batch that comes in."""
        done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done, key=lambda one: one.result()[0].rows_read):
            row, errors = task.result()
            lane = self._under_way.pop(task)
            self._take(lane, row, errors)
            self._free.append(lane.writer)
            if lane.writer.before.failures:
                # Keys that were refused are to be looked for, whoever refused them.
                for other in (*self._free, *(one.writer for one in self._under_way.values())):
                    other.before.failures = True

    def _take(self, lane: _Lane, row: ImportRow, errors: list[RowError]) -> None:
        report = self._report
        if row.rows_read > report.read:
            report.take(row)
        report.errors = sorted([*report.errors, *errors], key=lambda error: error.row)[:ERRORS_TOLD]
        if self._progress is not None:
            self._progress(Progress(report.read, lane.share, report.failed))


def _keys(rows: list[Row], unique: list[int]) -> set[str]:
    return {
        f"{index} {cell}"
        for index in unique
        for row in rows
        if row.problem is None and (cell := row.cells[index].strip().lower())
    }
