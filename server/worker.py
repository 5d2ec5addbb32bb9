"""The worker: evaluates changes, enrolls, moves enrollments and runs syncs, for all accounts, until it is told to stop.

Any number of workers share the work: what one holds, the others pass over.
"""

import asyncio
import uuid
from datetime import datetime, timedelta

import structlog

from engine import indexing, retention
from engine.evaluation import run as evaluate
from engine.evaluation import trouble
from engine.imports.runner import Runner
from engine.segments import fill
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault
from engine.workflows import backfill, passing, steps
from server.crew import Processes
from server.duties import POLL_SECONDS, Clock, Duty, Worked, serve
from server.outbox import Options, Sender
from server.sync import Keeper
from storage.database import Database
from storage.troubles import TroubleRow

# An import's turn, while other accounts' imports wait: at its end hands have less and less to do.
IMPORT_SECONDS = 3.0
# What few commits bring work for is looked for so often, in seconds, while others bring none.
RARE = 0.1
# How often it is looked for what is no longer kept.
KEEPING = timedelta(hours=1)
# Calls, but no mails: these take a server.
NO_MAILS = Options()
# No credentials, and nobody's own network: enough for syncs that need neither.
NO_KEYS, ALONE = Vault(), Surroundings()

log = structlog.get_logger("relata.worker")


def unheard(duty: str, seconds: float, found: bool | None) -> None:
    """Nobody wants to know."""


class Steps(Duty):
    """Moves enrollments whose time has come, and knows when the next one's comes."""

    def __init__(self, clock: Clock, stop: asyncio.Event) -> None:
        super().__init__("step", self._due, self._step)
        self._clock = clock
        self._stop = stop

    async def _due(self, db: Database, now: datetime) -> list[int]:
        times = await steps.due_times(db)
        self.next_at = min((at for at in times.values() if at > now), default=None)
        return [account_id for account_id, at in times.items() if at <= now]

    async def _step(self, db: Database, account_id: int, /, *, now: datetime) -> bool:
        loop = asyncio.get_running_loop()
        ends = loop.time() + POLL_SECONDS

        def again() -> datetime | None:
            # Other accounts have their turn; whose time has come is found between the rounds.
            others = any(one != account_id for one in self.accounts)
            over = self._stop.is_set() or others or loop.time() >= ends
            return None if over else self._clock()

        return await steps.run_once(db, account_id, now=now, again=again) > 0


class Retention(Duty):
    """Takes away what is no longer kept, now and then; no commit brings it work."""

    def __init__(self) -> None:
        super().__init__("keep", self._aged, retention.Looking().run_once, heeds_news=False)
        self._looked_at: datetime | None = None

    async def _aged(self, db: Database, now: datetime) -> list[int]:
        if self._looked_at is not None and now - self._looked_at < KEEPING:
            return []
        self._looked_at = now
        await retention.keep_log(db, now=now)
        return await retention.account_ids(db)


class Sending(Duty):
    """Sends mails and calls; who sends is told at once of accounts whose calls have ended."""

    def __init__(self, db: Database, clock: Clock, options: Options) -> None:
        self.sender = Sender(db, clock, options, self.woken)
        super().__init__("send", self._due, self._take)

    async def _due(self, db: Database, now: datetime) -> list[int]:
        return await self.sender.due_accounts(now)

    async def _take(self, db: Database, account_id: int, /, *, now: datetime) -> bool:
        return await self.sender.take(account_id, now)


async def run(
    db: Database,
    *,
    clock: Clock,
    stop: asyncio.Event,
    sending: Options = NO_MAILS,
    vault: Vault = NO_KEYS,
    surroundings: Surroundings = ALONE,
    hands: int = 0,
    worked: Worked = unheard,
) -> None:
    """Work until `stop` is set, and finish the batch at hand. Outlives restarts of the database.

    `hands` processes at most share what is big, where there are as many cores. `worked` is told of each turn.
    """
    crew = Processes(db, clock, hands)
    keeper = Keeper(db, clock, vault, surroundings, crew)
    importer = Runner(uuid.uuid4().hex, clock, seconds=IMPORT_SECONDS, crew=crew)
    send = Sending(db, clock, sending)
    duties = [
        Duty("evaluate", evaluate.waiting, evaluate.run_once),
        Duty("retry", evaluate.waiting, evaluate.retry_once, heeds_news=False),
        Duty("backfill", evaluate.waiting, backfill.run_once, rest=RARE),
        Duty("pass", passing.due_accounts, passing.run_once, rest=RARE),
        Duty("fill", evaluate.waiting, fill.run_once, rest=RARE),
        Steps(clock, stop),
        Retention(),
        Duty("index", lambda db, now: indexing.due_accounts(db), indexing.run_once, rest=RARE),
        Duty("import", importer.due, importer.run_once, heeds_news=False),
        send,
    ]

    def woken(account_id: int) -> None:
        for duty in duties:
            if duty.heeds_news:
                duty.woken(account_id)
        keeper.woken(account_id)

    unlisten = db.wake.listen(woken)
    trouble.on_trouble.append(_tell_trouble)
    try:
        async with send.sender:
            await asyncio.gather(keeper.run(stop), *(serve(db, duty, clock, stop, worked) for duty in duties))
    finally:
        unlisten()
        trouble.on_trouble.remove(_tell_trouble)
        await importer.close()
        await crew.aclose()


def _tell_trouble(account_id: int, row: TroubleRow) -> None:
    log.error(
        "put aside, tried again later",
        account=account_id,
        kind=row.kind,
        work=row.work,
        attempts=row.attempts,
        error=row.error,
        retry_at=row.retry_at.isoformat(),
    )
