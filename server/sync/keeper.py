"""All the syncs that this process runs: found as they come due, each in a runner of its own, holding up no other."""

import asyncio
import contextlib
from datetime import datetime

import structlog

from engine.crew import Crew
from engine.sync import apps
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault
from server.failures import FIRST_PAUSE, LONGEST_PAUSE, tell_failure
from server.sync.calls import Clock
from server.sync.runner import Runner
from storage.database import Database
from storage.sync import connections, leases
from storage.sync.leases import Due

# Syncs at a time, in each worker.
AT_ONCE = 64
# What waits for its time sends no wake-up, and wake-ups may be lost.
LOOK_SECONDS = 1.0

log = structlog.get_logger("relata.sync")


class Keeper:
    """Starts runners for syncs that are due, until it is told to stop."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, surroundings: Surroundings, crew: Crew | None = None
    ) -> None:
        self._db = db
        self._crew = crew
        self._clock = clock
        self._vault = vault
        self._surroundings = surroundings
        self._running: dict[int, tuple[Runner, asyncio.Task[None]]] = {}
        self._failures: dict[int, int] = {}
        self._resting: dict[int, datetime] = {}
        self._news = asyncio.Event()
        self._woken: set[int] = set()
        self._waiting = 0

    def woken(self, account_id: int) -> None:
        """An account has news."""
        self._woken.add(account_id)
        for runner, _ in self._running.values():
            if runner.due.account_id == account_id:
                runner.news.set()
        self._news.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run syncs until `stop` is set; those that run then break off, and somebody else goes on."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.ensure_future(stop.wait())
        loading = asyncio.ensure_future(self._load())
        pause, looked = FIRST_PAUSE, -LOOK_SECONDS
        try:
            while not stop.is_set():
                try:
                    everyone = loop.time() - looked >= LOOK_SECONDS
                    looked = loop.time() if everyone else looked
                    await self._look(everyone)
                    pause = FIRST_PAUSE
                except Exception as error:
                    tell_failure(log, "sync", error, pause)
                    await asyncio.wait({stopping}, timeout=pause)
                    pause, looked = min(pause * 2, LONGEST_PAUSE), -LOOK_SECONDS
                    continue
                left = max(LOOK_SECONDS - (loop.time() - looked), 0.0)
                waiting = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({stopping, waiting}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        finally:
            stopping.cancel()
            loading.cancel()
            await self._end()

    async def _load(self) -> None:
        """Load what is connected beside other work: whoever needs it first would hold up all others for it."""
        # What is not loaded now is when it is needed, and then it is told why it cannot be.
        with contextlib.suppress(Exception):
            names = await connections.apps(self._db)
            await asyncio.to_thread(apps.load, names)
            if names and self._crew is not None:
                # A first sync comes with what it reads at once, when half a second would be an eighth of it.
                self._crew.prepare()

    async def _look(self, everyone: bool) -> None:
        """Start what is due: in all accounts, or in those that have news."""
        self._news.clear()
        woken, self._woken = sorted(self._woken), set()
        if not everyone and not woken:
            return
        now = self._clock()
        found = await leases.due(self._db, now, None if everyone else woken)
        ready = [
            one
            for one in sorted(found, key=lambda one: one.due_at)
            if one.due_at <= now
            and one.sync_id not in self._running
            and self._resting.get(one.sync_id, now) <= now
        ]
        free = AT_ONCE - len(self._running)
        self._waiting = max(0, len(ready) - free)
        for one in ready[:free]:
            self._start(one)

    def _start(self, due: Due) -> None:
        runner = Runner(
            self._db,
            due,
            self._clock,
            self._vault,
            self._surroundings,
            lambda: self._waiting > 0,
            self._crew,
        )
        task = asyncio.create_task(self._serve(runner))
        self._running[due.sync_id] = runner, task

    async def _serve(self, runner: Runner) -> None:
        sync_id = runner.due.sync_id
        try:
            await runner.run(self._failures.get(sync_id, 0))
        except Exception as error:
            tell_failure(log, "sync", error, FIRST_PAUSE)
            await asyncio.sleep(FIRST_PAUSE)
        finally:
            del self._running[sync_id]
            if runner.rests_until is None:
                self._failures.pop(sync_id, None)
                self._resting.pop(sync_id, None)
            else:
                self._failures[sync_id] = runner.failures
                self._resting[sync_id] = runner.rests_until
            if runner.news.is_set():
                self.woken(runner.due.account_id)

    async def _end(self) -> None:
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    await asyncio.gather(*tasks, return_exceptions=True)
