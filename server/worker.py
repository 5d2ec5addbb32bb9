"""The worker: evaluates changes, enrolls, moves enrollments and runs syncs, for all accounts, until it is told to stop.

Any number of workers share the work: what one holds, the others pass over.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias

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
from server.outbox import Options, Sender
from server.sync import Keeper
from storage.database import Database
from storage.faults import Fault, fault
from storage.troubles import TroubleRow

Clock: TypeAlias = Callable[[], datetime]
# Told of each turn of a duty: its name, the seconds it took, and whether there was something to do (None: it failed).
Worked: TypeAlias = Callable[[str, float, bool | None], None]

# Wake-ups may be lost, and what waits for its time sends none.
POLL_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# An import's turn, while other accounts' imports wait: at its end hands have less and less to do.
IMPORT_SECONDS = 3.0
# What few commits bring work for is looked for so often, in seconds, while others bring none.
RARE = 0.1
# How often it is looked for what is no longer kept.
KEEPING = timedelta(hours=1)
# Webhooks, but no mail: that takes a server.
SENDING = Options()
# No credentials, and nobody's own network: enough for syncs that need neither.
NO_KEYS, ALONE = Vault(), Surroundings()

log = structlog.get_logger("relata.worker")


def unheard(duty: str, seconds: float, found: bool | None) -> None:
    """Nobody wants to know."""


class Duty:
    """One kind of work: finds the accounts that have some, and does a little of it in one."""

    def __init__(
        self,
        name: str,
        find: Callable[[Database, datetime], Awaitable[list[int]]],
        do: Callable[[Database, int, datetime], Awaitable[bool]],
        *,
        heeds_news: bool = True,
        rest: float = 0.0,
    ) -> None:
        self.name = name
        # Whether commits can bring work; what waits for its time alone is looked for by the clock.
        self.heeds_news = heeds_news
        # For so many seconds after a look that found nothing, news are let gather: most commits bring it nothing.
        self.rest = rest
        self.find = find
        self.do = do
        # When the next of what waits for its time comes due, if `find` has told.
        self.next_at: datetime | None = None
        # Accounts to look into, in the order in which they came up.
        self.accounts: dict[int, None] = {}
        self.news = asyncio.Event()
        # Accounts whose work failed unexpectedly: how long they rest, and until when.
        self.resting: dict[int, tuple[float, float]] = {}

    def woken(self, account_id: int) -> None:
        """Note an account that has news."""
        self.accounts[account_id] = None
        self.news.set()


async def run(
    db: Database,
    *,
    clock: Clock,
    stop: asyncio.Event,
    sending: Options = SENDING,
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
    sender = Sender(db, clock, sending, lambda account_id: send.woken(account_id))
    send = Duty(
        "send",
        lambda db, now: sender.due_accounts(now),
        lambda db, account_id, now: sender.take(account_id, now),
    )

    kept_at: datetime | None = None
    looking = retention.Looking()

    async def aged(db: Database, now: datetime) -> list[int]:
        nonlocal kept_at
        if kept_at is not None and now - kept_at < KEEPING:
            return []
        kept_at = now
        await retention.keep_log(db, now=now)
        return await retention.account_ids(db)

    async def due(db: Database, now: datetime) -> list[int]:
        times = await steps.due_times(db)
        stepping.next_at = min((at for at in times.values() if at > now), default=None)
        return [account_id for account_id, at in times.items() if at <= now]

    async def step(db: Database, account_id: int, now: datetime) -> bool:
        ends = asyncio.get_running_loop().time() + POLL_SECONDS

        def again() -> datetime | None:
            # Other accounts have their turn; whose time has come is found between the rounds.
            others = any(one != account_id for one in stepping.accounts)
            over = stop.is_set() or others or asyncio.get_running_loop().time() >= ends
            return None if over else clock()

        return await steps.run_once(db, account_id, now=now, again=again) > 0

    stepping = Duty("step", due, step)
    duties = [
        Duty("evaluate", lambda db, now: evaluate.waiting(db, now), _evaluate),
        Duty("retry", lambda db, now: evaluate.waiting(db, now), _retry, heeds_news=False),
        Duty("backfill", lambda db, now: evaluate.waiting(db, now), _backfill, rest=RARE),
        Duty("pass", lambda db, now: passing.due_accounts(db, now), _pass, rest=RARE),
        Duty("fill", lambda db, now: evaluate.waiting(db, now), _fill, rest=RARE),
        stepping,
        Duty(
            "keep",
            aged,
            lambda db, account_id, now: looking.run_once(db, account_id, now=now),
            heeds_news=False,
        ),
        Duty("index", lambda db, now: indexing.due_accounts(db), _index, rest=RARE),
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
        async with sender:
            await asyncio.gather(
                keeper.run(stop), *(_serve(db, duty, clock, stop, worked) for duty in duties)
            )
    finally:
        unlisten()
        trouble.on_trouble.remove(_tell_trouble)
        await importer.close()
        await crew.aclose()


async def _serve(db: Database, duty: Duty, clock: Clock, stop: asyncio.Event, worked: Worked) -> None:
    loop = asyncio.get_running_loop()
    pause, looked = FIRST_PAUSE, -POLL_SECONDS
    while not stop.is_set():
        try:
            if loop.time() - looked >= POLL_SECONDS or _sleep(duty, clock()) == 0:
                looked = loop.time()
                duty.accounts |= dict.fromkeys(await duty.find(db, clock()))
            duty.news.clear()
            if not await _round(db, duty, clock, stop, worked) and duty.rest:
                await _either(stop, None, duty.rest)
            pause = FIRST_PAUSE
        except Exception as error:
            _tell(duty, error, pause)
            await _either(stop, None, pause)
            # What was being done may be half forgotten; the tables know.
            pause, looked = min(pause * 2, LONGEST_PAUSE), -POLL_SECONDS
        if not duty.accounts:
            await _either(stop, duty.news, _sleep(duty, clock()))


def _sleep(duty: Duty, now: datetime) -> float:
    """Seconds to wait for news: until the next thing comes due, and no longer than until the next look."""
    if duty.next_at is None:
        return POLL_SECONDS
    return min(max((duty.next_at - now).total_seconds(), 0.0), POLL_SECONDS)


async def _round(db: Database, duty: Duty, clock: Clock, stop: asyncio.Event, worked: Worked) -> bool:
    """A little work in every account that may have some; who had none is forgotten. Whether there was any."""
    loop = asyncio.get_running_loop()
    found_any = False
    for account_id in list(duty.accounts):
        if stop.is_set():
            break
        # Forgotten first: news that arrive meanwhile are noted again.
        del duty.accounts[account_id]
        pause, until = duty.resting.get(account_id, (0.0, 0.0))
        if loop.time() < until:
            continue
        began = loop.time()
        try:
            more = await duty.do(db, account_id, clock())
        except Exception as error:
            worked(duty.name, loop.time() - began, None)
            if fault(error) is Fault.DISCONNECTED:
                raise
            # One account's trouble does not hold up the others.
            pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            duty.resting[account_id] = pause, loop.time() + pause
            _tell(duty, error, pause)
            continue
        worked(duty.name, loop.time() - began, more)
        duty.resting.pop(account_id, None)
        if more:
            duty.accounts[account_id] = None
            found_any = True
    return found_any


async def _evaluate(db: Database, account_id: int, now: datetime) -> bool:
    return await evaluate.run_once(db, account_id, now=now)


async def _retry(db: Database, account_id: int, now: datetime) -> bool:
    return await evaluate.retry_once(db, account_id, now=now)


async def _backfill(db: Database, account_id: int, now: datetime) -> bool:
    return await backfill.run_once(db, account_id, now=now)


async def _pass(db: Database, account_id: int, now: datetime) -> bool:
    return await passing.run_once(db, account_id, now=now)


async def _fill(db: Database, account_id: int, now: datetime) -> bool:
    return await fill.run_once(db, account_id, now=now)


async def _index(db: Database, account_id: int, now: datetime) -> bool:
    return await indexing.run_once(db, account_id, now=now)


def _tell(duty: Duty, error: Exception, pause: float) -> None:
    match fault(error):
        case Fault.DISCONNECTED:
            log.warning("the database cannot be reached", duty=duty.name, error=repr(error), pause=pause)
        case Fault.COLLIDED | Fault.TIMED_OUT:
            log.info("another transaction was in the way", duty=duty.name, error=repr(error), pause=pause)
        case None:
            log.error("unexpected error", duty=duty.name, pause=pause, exc_info=error)


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


async def _either(stop: asyncio.Event, news: asyncio.Event | None, seconds: float) -> None:
    """Wait for the end, for news, or for `seconds`, whichever comes first."""
    waiting = [asyncio.ensure_future(event.wait()) for event in (stop, news) if event is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
