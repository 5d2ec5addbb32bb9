"""`/metrics`: how this process and the installation fare, as Prometheus reads it. No account's figures are told."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storage.backlog import backlog
from storage.database import Database
from storage.sync import leases

# Of PostgreSQL, for one look; and how long what it told is told again: whoever reads more often costs no more.
LOOK_SECONDS = 2.0
AGAIN_SECONDS = 5.0
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# What is asked for, by the first part of its path. Anything else is one: what others make up costs no memory.
DOORS: Final = ("graphql", "events", "hooks", "sync-hints", "imports", "exports", "unsubscribe", "dashboard")
WAITING: Final = ("changes", "steps", "outbox", "imports", "syncs")

Clock = Callable[[], datetime]


class Metrics:
    """The figures of one process; `/metrics` answers them together with what PostgreSQL tells of what waits."""

    def __init__(self, db: Database, now: Clock) -> None:
        self._db = db
        self._now = now
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "relata_requests",
            "Requests that were answered, by door and status.",
            ["door", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "relata_request_seconds",
            "How long they took, to the last byte.",
            ["door"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._open = Gauge(
            "relata_open_streams",
            "Event streams and sockets that are open.",
            ["kind"],
            registry=self.registry,
        )
        self._said = Counter(
            "relata_log_lines", "Lines of the log, by level.", ["level"], registry=self.registry
        )
        pool = db.pool
        connections = Gauge(
            "relata_database_connections",
            "Database connections of this process.",
            ["state"],
            registry=self.registry,
        )
        connections.labels("most").set_function(lambda: pool.size)
        connections.labels("busy").set_function(lambda: pool.busy)
        Gauge(
            "relata_database_waiting", "Who waits for one of them, in this process.", registry=self.registry
        ).set_function(lambda: pool.waited_for)
        self._up = Gauge("relata_database_up", "Whether the database answers.", registry=self.registry)
        self._late = Gauge(
            "relata_waiting_seconds",
            "Since when the oldest waits that a worker could do now, in the whole installation; 0: nothing waits.",
            ["work"],
            registry=self.registry,
        )
        self._changes = Gauge(
            "relata_changes_waiting",
            "Batches of changes that nobody has evaluated yet, up to 10000.",
            registry=self.registry,
        )
        self._troubles = Gauge(
            "relata_troubles",
            "What failed for an unexpected reason and is put aside.",
            registry=self.registry,
        )
        self._turns = Histogram(
            "relata_work_seconds",
            "How long turns of this worker took, by what was done in them.",
            ["duty"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._failed = Counter(
            "relata_work_failures",
            "Turns of this worker that ended with an unexpected error.",
            ["duty"],
            registry=self.registry,
        )
        for level in ("WARNING", "ERROR"):
            self._said.labels(level.lower())
        self.handler = _Lines(self._said)

    async def answer(self, request: Request) -> Response:
        """The figures, in the format that the asker takes."""
        await self._look()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"Content-Type": content_type})

    def worked(self, duty: str, seconds: float, found: bool | None) -> None:
        """Note a turn of a worker in which something was done, or that failed (`found` None)."""
        if found is None:
            self._failed.labels(duty).inc()
        if found is not False:
            self._turns.labels(duty).observe(seconds)

    async def measured(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let `app` answer, and note it. Streams are counted as long as they are open, not timed."""
        if scope["type"] == "websocket":
            with self._open.labels("socket").track_inprogress():
                await app(scope, receive, send)
            return
        began, status, streams = time.perf_counter(), 0, False

        async def noted(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = any(
                    name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message.get("headers", ())
                )
                if streams:
                    self._open.labels("events").inc()
            await send(message)

        door = _door(scope["path"])
        try:
            await app(scope, receive, noted)
        finally:
            if streams:
                self._open.labels("events").dec()
            else:
                self._seconds.labels(door).observe(time.perf_counter() - began)
            # 499: whoever asked has gone, or nothing was answered.
            self._requests.labels(door, status or 499).inc()

    async def _look(self) -> None:
        """Ask PostgreSQL what waits, if that was not done just now."""
        async with self._looking:
            if time.monotonic() - self._looked < AGAIN_SECONDS:
                return
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    now = self._now()
                    found = await backlog(self._db, now)
                    due = [one.due_at for one in await leases.due(self._db, now) if one.due_at <= now]
            except Exception:
                self._up.set(0)
                # Better no figure than one of before.
                self._late.clear()
                return
            self._up.set(1)
            since = (
                found.changes_since,
                found.steps_since,
                found.outbox_since,
                found.imports_since,
                min(due, default=None),
            )
            for work, moment in zip(WAITING, since, strict=True):
                seconds = 0.0 if moment is None else (now - moment).total_seconds()
                self._late.labels(work).set(max(seconds, 0.0))
            self._changes.set(found.changes)
            self._troubles.set(found.troubles)
            self._looked = time.monotonic()


class _Lines(logging.Handler):
    """Counts what is logged."""

    def __init__(self, counted: Counter) -> None:
        super().__init__()
        self._counted = counted

    def emit(self, record: logging.LogRecord) -> None:
        """Count one line."""
        self._counted.labels(record.levelname.lower()).inc()


def _door(path: str) -> str:
    first = path.split("/", 2)[1] if "/" in path else ""
    return first if first in DOORS else "other"
