"""Mails: handed to the mail server one by one; what came of each is known by how far it got."""

import asyncio
import contextlib
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.policy import Policy
from email.utils import format_datetime, parseaddr
from urllib.parse import parse_qsl, unquote, urlsplit

import aiosmtplib

from engine.naming import counted
from engine.outbox import Attempt, Delivered, Mail, Rejected, Retry, Unclear, check_address
from engine.outbox.responses import of_smtp
from engine.outbox.signing import KEY_HEADER
from engine.problems import Problem

# A server may look into a mail for a while before it says that it has it.
DATA_SECONDS = 120.0
# Servers let go of connections that say nothing; ours are given up sooner.
IDLE_SECONDS = 20.0


class _Whole(UnstructuredHeader, BaseHeader):
    """A value without spaces, such as a link: as it stands, in one line. Encoded words, mail programs do not follow."""

    def fold(self, *, policy: Policy) -> str:
        """The header as it is sent."""
        return f"{self.name}: {self}{policy.linesep}"


HEADERS = HeaderRegistry()
for _name in ("List-Unsubscribe", "Message-ID", KEY_HEADER):
    HEADERS.map_to_type(_name, _Whole)
# Bodies in seven bits and short lines: any server takes them.
POLICY = SMTP_POLICY.clone(cte_type="7bit", header_factory=HEADERS)

_TLS = {"required": True, "never": False, "auto": None}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed over. `starttls` None: where the server offers it."""

    host: str
    port: int
    tls: bool
    starttls: bool | None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, url: str) -> "MailServer":
        """smtp://user:password@host:port?starttls=required, or smtps://… Raises ValueError."""
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query))
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError
        tls = parts.scheme == "smtps"
        starttls = _TLS[asked.pop("starttls", "auto").lower()]
        if asked:
            raise ValueError
        return cls(
            parts.hostname,
            parts.port or (465 if tls else 587 if parts.username else 25),
            tls,
            False if tls else starttls,
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
        )


def sender(text: str) -> Address:
    """`Name <address>`, or an address alone. Raises ValueError."""
    name, address = parseaddr(text)
    try:
        return _address(_line(name), check_address(address))
    except Problem as problem:
        raise ValueError(problem.message) from None


class _AddressNotTaken(Exception):
    """The recipient's address needs a server that takes more than ASCII, and this one does not."""


class Mails:
    """Hands mails to one server, over connections that it keeps for the next one."""

    def __init__(self, server: MailServer | None, sender: Address | None, *, seconds: float) -> None:
        self._server = server
        self._sender = sender
        self._seconds = seconds
        # The last one used is the first to be used again: (connection, when it was put here).
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []

    async def send(self, content: Mail, *, key: str, created_at: datetime) -> Attempt:
        """Hand over one mail; how it went."""
        if self._server is None or self._sender is None:
            return Rejected(
                "MAIL_NOT_CONFIGURED",
                "This installation sends no mails: RELATA_SMTP_URL and RELATA_MAIL_FROM are not set."
                " Set them, and retry.",
            )
        try:
            written = message(content, sender=self._sender, key=key, created_at=created_at)
        except (ValueError, IndexError) as error:
            return Rejected("MALFORMED_MAIL", f"The mail cannot be written: {error}")
        return await self._hand_over(
            self._server, written, _plain(content.to), _plain(self._sender.addr_spec)
        )

    async def _hand_over(self, server: MailServer, written: EmailMessage, to: str, by: str) -> Attempt:
        taken = False
        connection: aiosmtplib.SMTP | None = None
        try:
            async with asyncio.timeout(self._seconds):
                connection, options = await self._ready(server, by, foreign=not to.isascii())
                await connection.rcpt(to, encoding="utf-8" if options else "ascii")
            # From here on the server may have it, whatever we hear. (A connection that breaks just before the
            # first byte of the mail is counted with these: it is rare, and it is the safe side.)
            taken = True
            answer = await connection.data(written.as_bytes(), timeout=DATA_SECONDS)
        except BaseException as error:
            if connection is not None:
                connection.close()
            return _failed(error, taken=taken, seconds=self._seconds)
        self._idle.append((connection, asyncio.get_running_loop().time()))
        return Delivered(answer.code, str(written["Message-ID"]), answer.message)

    async def _ready(
        self, server: MailServer, by: str, *, foreign: bool
    ) -> tuple[aiosmtplib.SMTP, list[str]]:
        """A connection on which the sender is told, and with which options."""
        while True:
            connection, known = await self._connected(server)
            try:
                if foreign and not connection.supports_extension("smtputf8"):
                    raise _AddressNotTaken
                options = ["SMTPUTF8"] if foreign else []
                await connection.mail(by, options=options)
                return connection, options
            except aiosmtplib.SMTPResponseException:
                connection.close()
                raise
            except (aiosmtplib.SMTPException, OSError):
                connection.close()
                # One that was kept may be gone by now; a new one must work.
                if not known:
                    raise
            except BaseException:
                connection.close()
                raise

    async def _connected(self, server: MailServer) -> tuple[aiosmtplib.SMTP, bool]:
        """A connection, and whether it is one that was kept."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            kept, since = self._idle.pop()
            if kept.is_connected and now - since < IDLE_SECONDS:
                return kept, True
            kept.close()
        connection = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            start_tls=server.starttls,
            timeout=self._seconds,
        )
        try:
            await connection.connect()
            if not connection.is_ehlo_or_helo_needed:
                return connection, False
            await connection.ehlo()
        except BaseException:
            connection.close()
            raise
        return connection, False

    async def close(self) -> None:
        """Take leave of the server."""
        while self._idle:
            connection, _ = self._idle.pop()
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await connection.quit(timeout=1.0)
            connection.close()


def _failed(error: BaseException, *, taken: bool, seconds: float) -> Attempt:
    """What an error means; `taken`: the server may have the mail. What is none of the world's errors is raised."""
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            # The installation's mistake, not the mail's: it can be mended.
            return Retry(
                "SMTP_AUTHENTICATION", f"The mail server does not let us in: {error.message}", error.code
            )
        case aiosmtplib.SMTPResponseException():
            return of_smtp(error.code, error.message)
        case aiosmtplib.SMTPException() | OSError() | asyncio.CancelledError() if taken:
            return Unclear(
                "CONNECTION_BROKEN",
                "The connection broke after the mail was sent and before the mail server had confirmed it.",
            )
        case _AddressNotTaken():
            return Rejected("ADDRESS_NOT_TAKEN", "The mail server takes no addresses beyond ASCII.")
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            told = f"The mail server did not answer within {counted(seconds, 'second', 'seconds')}."
            return Retry("TIMED_OUT", told, unreachable=True)
        case aiosmtplib.SMTPServerDisconnected() | aiosmtplib.SMTPConnectError() | OSError():
            return Retry("UNREACHABLE", f"The mail server cannot be reached: {error}", unreachable=True)
        case aiosmtplib.SMTPException():
            # No TLS where it is required, no way to tell who we are: what is set does not fit the server.
            told = f"The mail server cannot do what is needed: {error.message}"
            return Retry("SMTP_NOT_SUPPORTED", told, unreachable=True)
        case _:
            raise error


def message(content: Mail, *, sender: Address, key: str, created_at: datetime) -> EmailMessage:
    """The mail as it is sent: the same at every attempt. Raises ValueError where it cannot be written."""
    to = _plain(content.to)
    # A name beyond ASCII stands in the header as it is: a server that takes the address takes such headers.
    written = EmailMessage(policy=POLICY if to.isascii() else POLICY.clone(utf8=True))
    name = sender.display_name if content.sender_name is None else _line(content.sender_name)
    written["From"] = _address(name, _plain(sender.addr_spec))
    written["To"] = _address(_line(content.to_name or ""), to)
    if content.reply_to is not None:
        written["Reply-To"] = _address("", _plain(content.reply_to))
    written["Subject"] = _line(content.subject)
    written["Date"] = format_datetime(created_at)
    written["Message-ID"] = f"<{key}@{_plain(sender.addr_spec).rpartition('@')[2]}>"
    written[KEY_HEADER] = key
    # No machine need answer: neither "I am on holiday" nor worse.
    written["Auto-Submitted"] = "auto-generated"
    if content.unsubscribe_url is not None:
        written["List-Unsubscribe"] = f"<{content.unsubscribe_url}>"
        # A click in the mail program is enough, where nobody on the way can read the link (RFC 8058).
        if content.unsubscribe_url.startswith("https://"):
            written["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    written.set_content(content.text)
    if content.html is not None:
        written.add_alternative(content.html, subtype="html")
    return written


def _address(name: str, address: str) -> Address:
    user, _, domain = address.rpartition("@")
    return Address(name, user, domain)


def _line(text: str) -> str:
    """Text as one line: what ends a header, or hides in it, becomes a space."""
    return " ".join(
        "".join(
            " " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text
        ).split()
    )


def _plain(address: str) -> str:
    """The address with its domain as the network spells it. Raises ValueError (UnicodeError) where it cannot."""
    name, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{name}@{domain.encode('idna').decode()}"
