"""The sender: takes what is due out of the outbox, makes the calls outside any transaction, and writes how they went.

Any number of senders share the outbox. What one has taken is its own until its lease ends: if it is lost, another one
takes it then, and the receiver knows the repetition by its key. Places are limited in all and for each host, so one
that hangs holds up nobody else.
"""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.headerregistry import Address
from types import TracebackType
from typing import Self, TypeAlias

import structlog

from engine.events import mail_refused
from engine.outbox import (
    Attempt,
    Delivered,
    Mail,
    Rejected,
    Retry,
    Unclear,
    Webhook,
    Withheld,
    after,
    sent_key,
    unsubscribing,
)
from engine.outbox.hosts import Hosts
from engine.outbox.outcomes import ATTEMPTS
from engine.outbox.requests import EMAIL
from engine.outbox.unsubscribing import Leaving
from engine.signing import Signer, SigningKeyMissing
from server.failures import FIRST_PAUSE, LONGEST_PAUSE, tell_failure
from server.outbox.mails import DATA_SECONDS, Mails, MailServer
from server.outbox.webhooks import Webhooks
from storage import outbox_sending
from storage.database import Actor, Database
from storage.outbox_sending import Claimed, Finished

Clock: TypeAlias = Callable[[], datetime]

SENDER = Actor("OUTBOX")
# Signs nothing.
NO_KEYS = Signer()
# From one account at a time: then it is the next one's turn.
AT_ONCE = 16
# How long a lease outlasts the longest call: the database may be away when the outcome is to be written.
LEASE_SPARE = timedelta(minutes=5)
# When told to end: how long calls under way are waited for, and then the database.
GRACE_SECONDS = 5.0

log = structlog.get_logger("relata.outbox")


@dataclass(frozen=True, slots=True)
class Options:
    """How the sender works: calls at a time, in all and for one host; attempts; seconds for a call; and mail."""

    calls: int = 64
    calls_a_host: int = 8
    attempts: int = ATTEMPTS
    seconds: float = 20.0
    allow_private: bool = False
    mail_server: MailServer | None = None
    mail_from: Address | None = None
    # Where others reach this installation, and what signs for it: by these, whoever gets a mail can leave.
    public_url: str | None = None
    signer: Signer = NO_KEYS

    @property
    def lease(self) -> timedelta:
        """How long what was taken is its sender's own."""
        return timedelta(seconds=2 * self.seconds + DATA_SECONDS) + LEASE_SPARE


@dataclass(slots=True)
class _Unwritten:
    """Outcomes that are to be written."""

    waiting: dict[int, list[Finished]] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, account_id: int, outcomes: list[Finished]) -> None:
        self.waiting.setdefault(account_id, []).extend(outcomes)
        self.news.set()


class Sender:
    """Sends for all accounts, within a block. `free(account)` is told of those that may find a place now."""

    def __init__(self, db: Database, clock: Clock, options: Options, free: Callable[[int], None]) -> None:
        self._db = db
        self._clock = clock
        self._options = options
        self._free = free
        self._webhooks = Webhooks(allow_private=options.allow_private, seconds=options.seconds)
        self._mails = Mails(options.mail_server, options.mail_from, seconds=options.seconds)
        self._hosts = Hosts()
        self._calls: dict[asyncio.Task[None], Claimed] = {}
        self._busy: Counter[str] = Counter()
        # Accounts that found no place, in the order in which it will be their turn; and those that found some.
        self._starved: dict[int, None] = {}
        self._served: dict[int, None] = {}
        self._unwritten = _Unwritten()
        self._ending = False
        self._writing: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._writing = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is under way, or break it off; write what came of it. What cannot be written, its lease frees."""
        if self._calls:
            _, slow = await asyncio.wait(self._calls, timeout=GRACE_SECONDS)
            for call in slow:
                call.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
        self._ending = True
        self._unwritten.news.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._writing
        await self._mails.close()

    async def due_accounts(self, now: datetime) -> list[int]:
        """The accounts that have anything to send."""
        return await outbox_sending.due_accounts(self._db, now)

    async def take(self, account_id: int, now: datetime) -> bool:
        """Begin some of the account's calls that are due, as far as there are places; whether there may be more."""
        # One place is left for whoever comes before: else the one with most to send would be quickest to any place.
        reserved = int(next(iter(self._starved), account_id) != account_id)
        limit = min(AT_ONCE, self._options.calls - len(self._calls) - reserved)
        if limit <= 0:
            self._starved.setdefault(account_id)
            return False
        if not await outbox_sending.any_due(self._db, account_id, now):
            # Most news are about other things.
            self._starved.pop(account_id, None)
            return False
        async with self._db.transaction(account_id, now=now, actor=SENDER) as tx:
            claimed = await outbox_sending.claim(
                tx,
                limit,
                token=secrets.token_hex(8),
                until=now + self._options.lease,
                a_host=self._options.calls_a_host,
                places=self._places(now, reserved),
            )
            # They may have lain there for long. Asked with the claim: where the one fails, so does the other.
            refused = await mail_refused(
                tx,
                sorted({one.record_id for one in claimed if one.kind == EMAIL and one.record_id is not None}),
            )
        if claimed:
            self._starved.pop(account_id, None)
            self._served[account_id] = None
        else:
            self._starved.setdefault(account_id)
        self._take_up(account_id, claimed, refused, now)
        return len(claimed) >= limit

    def _take_up(
        self, account_id: int, claimed: Sequence[Claimed], refused: Mapping[int, str], now: datetime
    ) -> None:
        """Begin the calls that are worth it; say of the others what became of them. `refused`: who must get no mail."""
        put_off = []
        for one in claimed:
            if one.recalled:
                put_off.append(Finished(one, "CANCELLED", None, {}))
            elif one.kind == EMAIL and (reason := refused.get(one.record_id or 0)):
                put_off.append(self._finished(one, Withheld(reason), now))
            elif one.attempts > self._options.attempts:
                put_off.append(self._finished(one, _LOST, now))
            elif self._hosts.resting(one.host, now):
                put_off.append(self._finished(one, _RESTING, now))
            else:
                self._begin(one)
        if put_off:
            self._unwritten.add(account_id, put_off)

    def _places(self, now: datetime, reserved: int) -> dict[str, int]:
        """How many more calls may be made at each host that has fewer places than others."""
        most = self._options.calls_a_host - reserved
        places = {host: max(most - busy, 0) for host, busy in self._busy.items()}
        for host in self._hosts.doubtful_ones():
            # What a host at rest has piled up is put off without a call, as much as comes.
            places[host] = AT_ONCE if self._hosts.resting(host, now) else max(1 - self._busy[host], 0)
        return places

    def _begin(self, one: Claimed) -> None:
        call = asyncio.create_task(self._call(one))
        self._calls[call] = one
        self._busy[one.host] += 1
        call.add_done_callback(self._done)

    def _done(self, call: asyncio.Task[None]) -> None:
        one = self._calls.pop(call)
        self._busy[one.host] -= 1
        if not self._busy[one.host]:
            del self._busy[one.host]
        served, self._served = self._served, {}
        for account_id in (*self._starved, *served):
            self._free(account_id)

    async def _call(self, one: Claimed) -> None:
        try:
            went = await self._made(one)
        except asyncio.CancelledError:
            went = _BROKEN_OFF
        except Exception as error:
            log.error("unexpected error", outbox=one.id, account=one.account_id, exc_info=error)
            went = Retry("UNEXPECTED", f"{type(error).__name__}: {error}")
        now = self._clock()
        if isinstance(went, Retry) and went.unreachable:
            self._hosts.missed(one.host, now)
        elif went is not _BROKEN_OFF:
            self._hosts.reached(one.host)
        self._unwritten.add(one.account_id, [self._finished(one, went, now)])

    async def _made(self, one: Claimed) -> Attempt:
        key = sent_key(one.key, one.created_at)
        if one.kind == EMAIL:
            mail = self._leavable(Mail.read(one.request), one)
            if mail.unsubscribe_url is None and unsubscribing.names(mail):
                return _NO_LINK
            return await self._mails.send(mail, key=key, created_at=one.created_at)
        return await self._webhooks.call(Webhook.read(one.request), key=key, now=self._clock())

    def _leavable(self, mail: Mail, one: Claimed) -> Mail:
        """The mail with the link by which the contact who gets it can leave, where that can be had."""
        if self._options.public_url is None or one.record_id is None:
            return mail
        try:
            leaving = Leaving(one.account_id, one.record_id, one.id)
            url = unsubscribing.link(self._options.signer, self._options.public_url, leaving)
        except SigningKeyMissing as problem:
            log.warning("a mail has no link to unsubscribe", outbox=one.id, why=problem.message)
            return mail
        return unsubscribing.linked(mail, url)

    def _finished(self, one: Claimed, went: Attempt, now: datetime) -> Finished:
        then = after(went, one.attempts, now, key=one.key, attempts=self._options.attempts)
        _tell(one, went, then.status)
        return Finished(one, then.status, then.next_attempt_at, then.outcome)

    async def _write(self) -> None:
        """Write outcomes as they come, an account's together; those that come meanwhile are the next ones."""
        pause = FIRST_PAUSE
        while not (self._ending and not self._unwritten.waiting):
            await self._unwritten.news.wait()
            self._unwritten.news.clear()
            waiting, self._unwritten.waiting = self._unwritten.waiting, {}
            for account_id, outcomes in waiting.items():
                try:
                    await self._finish(account_id, outcomes)
                    pause = FIRST_PAUSE
                except Exception as error:
                    tell_failure(log.bind(account=account_id), "send", error, pause)
                    # Tried again until it succeeds; should the lease end before, another attempt follows.
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
                    self._unwritten.add(account_id, outcomes)
            if self._ending:
                self._unwritten.news.set()

    async def _finish(self, account_id: int, outcomes: list[Finished]) -> None:
        async with self._db.transaction(account_id, now=self._clock(), actor=SENDER) as tx:
            counted = await outbox_sending.finish(tx, outcomes)
        if lost := {one.claimed.id for one in outcomes} - set(counted):
            log.warning("outcomes came after the lease had ended", account=account_id, outbox=sorted(lost))


# Those who took it never came to say how it went, time and again.
_LOST = Unclear("SENDER_LOST", "Whoever was to send it ended in the middle of it, every time.")
_RESTING = Retry("UNREACHABLE", "The host did not answer to others a moment ago.")
_NO_LINK = Rejected(
    "UNSUBSCRIBE_LINK_MISSING",
    "The mail names the link by which to unsubscribe, and nobody has said where this installation is reached:"
    " set RELATA_PUBLIC_URL, and retry.",
)
_BROKEN_OFF = Retry("BROKEN_OFF", "The sender was told to end, and broke off the call.")


def _tell(one: Claimed, went: Attempt, status: str) -> None:
    told = {"outbox": one.id, "account": one.account_id, "kind": one.kind, "host": one.host}
    if isinstance(went, Delivered):
        log.debug("sent", **told, attempt=one.attempts)
    elif isinstance(went, Withheld):
        log.info("withheld", **told, why=went.reason)
    else:
        say = log.info if status == "PENDING" else log.warning
        say("not sent", **told, attempt=one.attempts, status=status, code=went.code, why=went.message)
