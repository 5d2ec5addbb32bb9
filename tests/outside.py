"""The outside world on loopback: a web server and a mail server that do as a test says, and remember all."""

import asyncio
import contextlib
import email.policy
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from engine.outbox import Mail, Webhook, key, mail, webhook
from server.outbox import Options, Sender, webhooks
from server.outbox import sender as senders
from server.outbox.mails import MailServer, sender
from storage import outbox, outbox_sending
from storage.database import Database
from storage.outbox import OutboxRow, Outgoing
from tests.graph import ANN_WHO_CLICKS, T0, Graph

PATIENCE = 60.0
# When told to end, for how long a sender waits for what is under way.
GRACE = PATIENCE
FROM = "Relata <crm@relata.example>"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. Names of headers are in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """A web server. What it does is said by the path: /200, /500, /429 (with Retry-After), /hang, /break, /endless."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    # Requests to /held are answered when this is set.
    release: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """An address of this server."""
        return f"{scheme}://{host}:{self.port}{path}"

    def keys(self, path: str) -> list[str]:
        """The keys of the requests to a path, in the order in which they came."""
        return [one.headers["idempotency-key"] for one in self.requests if one.path == path]

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let go of whoever still hangs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                path = head[0].split(" ")[1]
                self.requests.append(Request(path, headers, body))
                await self._answer(path, writer)
                await writer.drain()
        finally:
            writer.close()
            # Cancelled, or done: whoever listens still is no longer waited for.
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        match path:
            case "/hang":
                await asyncio.Event().wait()
            case "/break":
                return
            case "/held":
                await self.release.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            case "/endless":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(b"word " * 1_000)
                    await writer.drain()
            case "/stalled":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
                await writer.drain()
                await asyncio.Event().wait()
            case "/301":
                writer.write(b"HTTP/1.1 301 Moved\r\nLocation: /200\r\nContent-Length: 0\r\n\r\n")
            case "/429":
                writer.write(
                    b"HTTP/1.1 429 Too Many\r\nRetry-After: 7200\r\nContent-Length: 9\r\n\r\nslow down"
                )
            case _:
                status = path.removeprefix("/").encode()
                writer.write(b"HTTP/1.1 " + status + b" So\r\nContent-Length: 8\r\n\r\nanswer\x00\xff")


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A web server on a port of its own."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.connected, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
        await server.wait_closed()


@dataclass(slots=True)
class MailBox:
    """A mail server. Whom a mail is to says what becomes of it: reject@, later@, cut@ (cut off when all was sent)."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    servers: list[SMTP] = field(default_factory=list)

    async def handle_RCPT(  # called so by the server
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Whom it takes mails for."""
        if address.startswith("reject@"):
            return "550 No such mailbox"
        if address.startswith("later@"):
            return "451 Try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        """A mail has come."""
        parsed = BytesParser(policy=email.policy.SMTP).parsebytes(envelope.content)
        self.mails.append(parsed)
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos[0]))
        if envelope.rcpt_tos[0].startswith("cut@"):
            server.transport.abort()
        return "250 Taken as 123"

    def hang_up(self) -> None:
        """Close all connections."""
        for one in self.servers:
            if one.transport is not None:
                one.transport.close()


@contextlib.asynccontextmanager
async def mailing(**options: Any) -> AsyncIterator[MailBox]:
    """A mail server on a port of its own."""
    box = MailBox()

    def connected() -> SMTP:
        box.connections += 1
        made = SMTP(box, hostname="mx.example", enable_SMTPUTF8=options.pop("utf8", False), **options)
        box.servers.append(made)
        return made

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()


@dataclass(slots=True)
class Outside(Graph):
    """An account with an outbox, and a clock that the test sets."""

    at: datetime = T0

    def clock(self) -> datetime:
        """The test's time."""
        return self.at

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.at += timedelta(**span)

    async def put(self, *rows: Outgoing) -> list[int]:
        """Ask for these."""
        async with self.db.transaction(self.account, now=self.at, actor=ANN_WHO_CLICKS) as tx:
            return await outbox.put(tx, rows)

    def call(
        self, url: str, n: int | str = 1, *, enrollment: int = 1, step: int = 0, **more: Any
    ) -> Outgoing:
        """A call for one step of an enrollment, about record `n`."""
        content = Webhook(url, {"n": n}, more.get("secret"))
        told = key(self.account, enrollment, 1, step, n)
        record = n if isinstance(n, int) else None
        return webhook(told, content, enrollment_id=enrollment, step=step, workflow_id=7, record_id=record)

    def mail(self, to: str, *, enrollment: int = 1, step: int = 0, **more: Any) -> Outgoing:
        """A mail."""
        content = Mail(to, more.pop("subject", "Hello"), more.pop("text", "How are you?"), **more)
        return mail(key(self.account, enrollment, 1, step, to), content, enrollment_id=enrollment, step=step)

    async def rows(self, enrollment: int = 1, step: int = 0) -> list[OutboxRow]:
        """What a step has asked for."""
        async with self.db.read(self.account) as reader:
            [found] = await outbox.of_enrollment(reader, [(enrollment, step)])
        return found

    async def row(self, enrollment: int = 1, step: int = 0) -> OutboxRow:
        """The one thing that a step has asked for."""
        [found] = await self.rows(enrollment, step)
        return found

    def options(self, **more: Any) -> Options:
        """As a worker's, but loopback may be called, and no machine is too slow to answer in time."""
        box = more.pop("box", None)
        if box is not None:
            more["mail_server"] = MailServer.read(f"smtp://127.0.0.1:{box.port}")
            more["mail_from"] = sender(FROM)
        return Options(**{"allow_private": True, "seconds": PATIENCE, **more})

    async def send(self, **options: Any) -> None:
        """Send all that is due now, once."""
        async with self.sending(**options) as one:
            await until_idle(one, self)

    @contextlib.asynccontextmanager
    async def sending(
        self, db: Database | None = None, *, listening: float = PATIENCE, **options: Any
    ) -> AsyncIterator[Sender]:
        """A sender. What is under way at the end it waits for, and answers it hears out, on machines of any pace.

        `listening`: seconds for an answer's body.
        """
        with pytest.MonkeyPatch.context() as changed:
            changed.setattr(senders, "GRACE_SECONDS", GRACE)
            changed.setattr(webhooks, "CONNECT_SECONDS", PATIENCE)
            changed.setattr(webhooks, "EXCERPT_SECONDS", listening)
            async with Sender(db or self.db, self.clock, self.options(**options), lambda _: None) as one:
                yield one


async def until_idle(one: Sender, outside: Outside) -> None:
    """Let a sender take until nothing is due; what it has taken is done when its block has ended."""
    async with asyncio.timeout(PATIENCE):
        while await outbox_sending.any_due(outside.db, outside.account, outside.at):
            if not await one.take(outside.account, outside.at):
                await asyncio.sleep(0.01)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 (what a server has heard, it tells nobody)
            await asyncio.sleep(0.01)


def numbered(url: str, outside: Outside, n: int) -> Iterator[Outgoing]:
    """So many calls, each for another record."""
    return (outside.call(url, record) for record in range(1, n + 1))
