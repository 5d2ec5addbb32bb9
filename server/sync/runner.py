"""One runner: a sync under its lease, its connector, and its steps, until there is nothing to do for a while."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from engine.crew import Crew
from engine.problems import Problem, Refused
from engine.sync import backoff, connections, loading, passes, planning, redescribing, resting, run, staying
from engine.sync.connectors.protocol import (
    Connector,
    ConnectorError,
    Disconnected,
    Hint,
    Retry,
    Surroundings,
)
from engine.sync.credentials import Vault
from engine.sync.run import Memory
from engine.sync.staying import Stay
from engine.sync.turns import Overtaken, Turn
from server.sync.calls import Calls, Clock
from server.sync.lease import Lease
from storage.database import Actor, Database
from storage.faults import fault
from storage.sync import dirty, holding, syncs
from storage.sync.leases import Due

log = structlog.get_logger("relata.sync")


@dataclass(slots=True)
class Runner:
    """A sync that this process runs. `news` wakes it; it ends by itself."""

    db: Database
    due: Due
    clock: Clock
    vault: Vault
    surroundings: Surroundings
    # Whether others wait for its place.
    crowded: Callable[[], bool]
    # Who helps where there is much to do.
    crew: Crew | None = None
    lease: Lease = field(init=False)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    hints: list[Hint] = field(default_factory=list)
    # When the app has last told what it has.
    _described_at: datetime | None = None
    # Until when the sync rests after this runner, if it does, and how often in a row it has failed by then.
    rests_until: datetime | None = None
    failures: int = 0
    # What it knows from its steps.
    stay: Stay = field(default_factory=Stay)

    def __post_init__(self) -> None:
        self.lease = Lease(self.db, self.due, self.clock)

    @property
    def actor(self) -> Actor:
        """Who writes."""
        return Actor("SYNC", str(self.due.sync_id))

    async def run(self, failures: int) -> None:
        """Take the lease and work until there is nothing to do; `failures` in a row went before."""
        if not await self.lease.take():
            return
        try:
            await self.lease.during(self._work())
        except Overtaken:
            # Somebody else's, or its rules are new: whoever finds it due goes on.
            pass
        except Exception as error:
            if fault(error) is not None:
                raise
            await self._failed(error, failures)
        finally:
            await self.lease.release()

    async def _work(self) -> None:
        catalogue = await self.db.catalogue(self.due.account_id)
        async with self.db.read(self.due.account_id) as reader:
            (sync,) = await syncs.by_ids(reader, [self.due.sync_id])
            if sync is None:
                return
            connection, made_of = await connections.read(reader, self.vault, sync.connection_id)
        if sync.phase == passes.INITIAL and self.crew is not None:
            # While the app is looked at, for who was not connected when this process began.
            self.crew.prepare()
        opening = connections.opening(made_of, self.due.account_id, connection.id, self.surroundings)
        async with contextlib.AsyncExitStack() as stack:
            inner = await self._open(stack, opening)
            rate = made_of.app.capabilities.rate
            calls = Calls(
                inner, self.db, self.due.account_id, connection.id, rate, self.clock, self.lease.runs
            )
            self._described_at = connection.described_at
            await self._describe(calls, doubted=redescribing.doubted(sync.held))
            async with self.db.read(self.due.account_id) as reader:
                found = await loading.load(reader, catalogue, self.due.sync_id)
            if found is None:
                return
            turn = Turn(
                self.db,
                self.due.account_id,
                self.due.sync_id,
                self.lease.token,
                found.sync.revision,
                found.binding.rules,
                calls,
                crew=self.crew,
            )
            stack.callback(turn.forget)
            if turn.rules.capabilities.push:
                await stack.enter_async_context(_beside(self._watch(turn)))
            rested = resting.until(sync.held) is not None
            self.stay = Stay(paused=connection.category is not None, rested=rested)
            await self._steps(turn, calls)

    async def _describe(self, calls: Calls, *, doubted: bool) -> bool:
        """Ask the app what it has, where that is due: whether it was. What has changed is another revision of rules."""
        now = self.clock()
        if not redescribing.due(self._described_at, now, doubted=doubted):
            return False
        self._described_at = now
        try:
            told = await calls.describe()
        except Disconnected:
            raise
        except ConnectorError as error:
            log.info("an app does not say what it has", sync=self.due.sync_id, error=error.message)
            return True
        async with self.db.transaction(self.due.account_id, now=now, actor=self.actor) as tx:
            if await redescribing.keep(tx, self.due.connection_id, told):
                log.info("an app has changed what it has", connection=self.due.connection_id)
        return True

    async def _open(
        self, stack: contextlib.AsyncExitStack, opening: contextlib.AbstractAsyncContextManager[Connector]
    ) -> Connector:
        try:
            async with asyncio.timeout(30.0):
                return await stack.enter_async_context(opening)
        except ConnectorError as error:
            raise Disconnected(error.message, error.category) from None
        except TimeoutError:
            raise Disconnected("It did not answer in time.") from None

    async def _steps(self, turn: Turn, calls: Calls) -> None:
        memory = Memory()
        loop = asyncio.get_running_loop()
        idle_since = loop.time()
        while True:
            self.news.clear()
            await self._take_hints()
            now = self.clock()
            at = await run.step(turn, memory, now)
            if await self._describe(calls, doubted=turn.doubted):
                turn.doubted = False
            before, self.stay = self.stay, staying.stepped(self.stay, at, now, answered=calls.answered > 0)
            if before.paused and not self.stay.paused:
                await self._resumed(turn)
            if before.rested and not self.stay.rested:
                await self._works()
            if staying.busy(at, now):
                idle_since = loop.time()
                continue
            idle = timedelta(seconds=loop.time() - idle_since)
            push = turn.rules.capabilities.push
            wait = staying.waits(at, self.clock(), idle=idle, push=push, crowded=self.crowded())
            if wait is None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait.total_seconds()):
                    await self.news.wait()
            await asyncio.sleep(staying.CLOSEST.total_seconds())

    # --- hints ---------------------------------------------------------------------------------------------------

    async def _watch(self, turn: Turn) -> None:
        """What the app tells at once; whatever it misses is found by asking."""
        failures = 0
        while True:
            try:
                async for hint in turn.connector.watch([turn.rules.remote.name]):
                    failures = 0
                    if hint.object in (None, turn.rules.remote.name):
                        self.hints.append(hint)
                        self.news.set()
            except ConnectorError as error:
                log.info("an app no longer tells of changes", sync=turn.sync_id, error=error.message)
            except Exception as error:
                log.warning("an app no longer tells of changes", sync=turn.sync_id, exc_info=error)
            failures += 1
            # What was missed meanwhile is asked for.
            self.hints.append(Hint(turn.rules.remote.name))
            self.news.set()
            await asyncio.sleep(backoff.pause(failures, self.lease.token).total_seconds())

    async def _take_hints(self) -> None:
        if not self.hints:
            return
        hints, self.hints = self.hints, []
        now = self.clock()
        single = {hint.external_id for hint in hints if hint.external_id is not None}
        async with self.db.transaction(self.due.account_id, now=now, actor=self.actor) as tx:
            await holding.hold(tx, [self.due.sync_id])
            if any(hint.external_id is None for hint in hints):
                await holding.hurry(tx, [self.due.sync_id])
            await dirty.add(tx, self.due.sync_id, dirty.THEIRS, sorted(single), now)

    async def _works(self) -> None:
        """What it rested for is over."""
        async with self.db.transaction(self.due.account_id, now=self.clock(), actor=self.actor) as tx:
            await resting.works(tx, self.due.sync_id)

    # --- trouble -------------------------------------------------------------------------------------------------

    async def _resumed(self, turn: Turn) -> None:
        async with self.db.transaction(self.due.account_id, now=self.clock(), actor=self.actor) as tx:
            await resting.connection_works(
                tx, self.due.connection_id, self.due.sync_id, turn.rules.object_type.id
            )

    async def _failed(self, error: Exception, failures: int) -> None:
        """Let the connection, or the sync, rest."""
        now = self.clock()
        before = 0 if self.stay.settled else failures
        self.failures = before + 1
        if isinstance(error, Disconnected):
            pause = error.after or resting.pause(before)
            self.rests_until = now + pause
            told = {"category": error.category, "error": error.message}
            log.warning("a connection rests", connection=self.due.connection_id, **told)
            async with self.db.transaction(self.due.account_id, now=now, actor=self.actor) as tx:
                await resting.rest_connection(tx, self.due.connection_id, self.due.sync_id, error, pause)
            return
        if not isinstance(error, ConnectorError | Problem | Refused):
            log.error("unexpected error", sync=self.due.sync_id, exc_info=error)
        # How long it rests is in the database; who changes something of it need not wait for that.
        self.rests_until = now + resting.FIRST_PAUSE
        category, message = resting.reason(error)
        log.warning("a sync rests", sync=self.due.sync_id, category=category, error=message)
        async with self.db.transaction(self.due.account_id, now=now, actor=self.actor) as tx:
            after = error.after if isinstance(error, Retry) else None
            await resting.rest(tx, self.due.sync_id, category, message, after)
            if isinstance(error, Problem | Refused):
                await planning.give_up(tx, self.due.sync_id, message)


@contextlib.asynccontextmanager
async def _beside(work: Awaitable[None]) -> AsyncIterator[None]:
    """Something that goes on for the time of the block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
