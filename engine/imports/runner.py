"""The worker's way with imports: it leases one, reads its file from the database, and goes on where it was left."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

from engine.crew import Alone, Crew
from engine.imports import running, undoing
from engine.imports.binding import bind
from engine.imports.cutting import Cut, Size, way
from engine.imports.lanes import Lanes, done_of
from engine.imports.running import Clock, Overtaken, Turn
from engine.imports.spooling import Spool
from engine.imports.windows import Windows
from engine.problems import Problem, Refused
from storage import import_work
from storage.database import Database
from storage.faults import fault
from storage.imports import ImportRow

# A worker that says nothing for so long has lost its import to the next one.
LEASE = timedelta(seconds=20)
# So often what nobody expected is tried again, ever later; then the import ends, and says so.
PATIENCE = 8
GIVEN_UP = "Something unexpected went wrong time and again; the server's log tells what. What is in, stays."
# Pieces of an ended import's file that are removed at a time.
CLEARED = 64


class _Open:
    """An import whose file this process has open: what it is read for, and how far."""

    def __init__(self, status: str, lanes: Lanes, spool: Spool) -> None:
        self.status = status
        self.lanes = lanes
        self.spool = spool

    def fits(self, row: ImportRow) -> bool:
        """Whether nobody has gone on with it meanwhile."""
        return self.status == row.status and self.lanes.done == done_of(row)

    async def close(self) -> None:
        await self.lanes.close()
        await self.spool.close()


class Runner:
    """Works on the imports of all accounts under one token; any number of runners share the work."""

    def __init__(
        self,
        token: str,
        clock: Clock,
        *,
        size: Size | None = None,
        seconds: float = 0.0,
        crew: Crew | None = None,
    ) -> None:
        """`seconds` of one turn; at least one window of the file is brought in. No `crew`: this process alone."""
        self._token = token
        self._clock = clock
        self._size = size or Size()
        self._seconds = seconds
        self._crew = crew
        self._open: dict[tuple[int, int], _Open] = {}
        # How often each has failed in a row, for reasons that are neither the file's nor the database's.
        self._wrong: Counter[tuple[int, int]] = Counter()

    async def due(self, db: Database, now: datetime) -> list[int]:
        """The accounts with imports to work on."""
        return await import_work.due_accounts(db, self._token, now)

    async def run_once(self, db: Database, account_id: int, now: datetime) -> bool:
        """Do a part of one import of this account; whether there was one."""
        async with db.single(account_id) as single:
            row = await import_work.take(single, self._token, now, now + LEASE)
        if row is None:
            await self._close_all(account_id)
            return False
        turn = Turn(db, account_id, row.id, self._token, LEASE, self._clock, row.user_id)
        try:
            await self._work(turn, row)
        except Overtaken:
            await self._close(turn)
        except (Problem, Refused) as problem:
            # The file, or what the plan names, is not what it was.
            await self._close(turn)
            await self._fail(turn, problem.message if isinstance(problem, Problem) else str(problem))
        except BaseException as error:
            await self._close(turn)
            if isinstance(error, Exception) and fault(error) is None:
                await self._bear(turn)
            raise
        else:
            self._wrong.pop((account_id, row.id), None)
        return True

    async def _bear(self, turn: Turn) -> None:
        """Count a failure that nobody expected: an import that is tried for ever tells its people nothing."""
        of = turn.account_id, turn.number
        self._wrong[of] += 1
        if self._wrong[of] >= PATIENCE:
            del self._wrong[of]
            await self._fail(turn, GIVEN_UP)

    async def close(self) -> None:
        """Let go of all files."""
        for key in list(self._open):
            await self._open.pop(key).close()

    async def _work(self, turn: Turn, row: ImportRow) -> None:
        if row.status == "UNDOING":
            await undoing.step(turn)
        elif row.status not in ("CHECKING", "RUNNING"):
            await self._close(turn)
            await running.clear(turn, row, CLEARED)
        elif not row.chunks:
            await self._fail(turn, "The process that read the file has ended.")
        else:
            await self._batch_of(turn, row)

    async def _batch_of(self, turn: Turn, row: ImportRow) -> None:
        key = turn.account_id, turn.number
        held = self._open.get(key)
        if held is None or not held.fits(row):
            await self._close(turn)
            held = self._open[key] = await self._opened(turn, row)
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._seconds
        if not await held.lanes.go(lambda: loop.time() >= ends):
            await self._close(turn)
            await running.finish(turn)

    async def _opened(self, turn: Turn, row: ImportRow) -> _Open:
        async def sign() -> None:
            await running.keep(turn)

        if self._crew is None:
            self._crew = Alone(turn.db, self._clock)
        checking = row.status == "CHECKING"
        spool = await Spool.open(turn.db, turn.account_id, row, sign)
        try:
            catalogue = await turn.db.catalogue(turn.account_id)
            plan = bind(row.mapping, spool.table.header, catalogue)
            windows = await Windows.begun(
                spool.table,
                None if checking else way(plan, catalogue),
                self._size,
                known=Cut.of(row.lanes),
                after=row.position,
                sign=sign,
            )
            how = windows.how
            cut = None if row.lanes else how.document([row.position] * how.lanes)
            row = await running.begun(turn, plan, spool.table.described(), cut)
        except BaseException:
            await spool.close()
            raise
        lanes = Lanes(self._crew, turn, plan, windows, checking=checking, done=done_of(row))
        return _Open(row.status, lanes, spool)

    async def _fail(self, turn: Turn, reason: str) -> None:
        try:
            await running.fail(turn, reason)
        except Overtaken:
            return

    async def _close(self, turn: Turn) -> None:
        held = self._open.pop((turn.account_id, turn.number), None)
        if held is not None:
            await held.close()

    async def _close_all(self, account_id: int) -> None:
        for key in [key for key in self._open if key[0] == account_id]:
            await self._open.pop(key).close()
