"""What is sent: made from an action's words, checked before it is put into the outbox, and read again by the sender."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from engine.naming import storable
from engine.problems import Problem
from storage.outbox import Outgoing

EMAIL, WEBHOOK = "EMAIL", "WEBHOOK"
# The mail server is one host, whatever its name is.
MAIL_HOST = ""
LONGEST_URL = 2_000
LONGEST_SUBJECT = 500
_SENDABLE = re.compile(r"[A-Za-z0-9._-]{1,80}", re.ASCII)
LONGEST_ADDRESS, LONGEST_NAME = 254, 64
_ATOM = r"""[^\s"(),.:;<>@\[\]\\\x00-\x20\x7f-\x9f]+"""
_NAME = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_LABEL = r"(?!-)[^\W_](?:[^\W_]|-)*(?<!-)"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MalformedMailAddress(Problem):
    """The value "{address}" is no mail address such as ann@example.com."""


class MalformedUrl(Problem):
    """The URL "{url}" cannot be called: {reason}."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one address. `sender_name` stands in front of the installation's own address."""

    to: str
    subject: str
    text: str
    html: str | None = None
    to_name: str | None = None
    sender_name: str | None = None
    reply_to: str | None = None
    # Where the receiver says that he wants no more of these.
    unsubscribe_url: str | None = None

    @classmethod
    def read(cls, request: Mapping[str, Any]) -> "Mail":
        """The mail that a row of the outbox asks for."""
        return cls(**request)

    def request(self) -> dict[str, Any]:
        """What the row keeps."""
        names = Mail.__slots__
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Webhook:
    """A POST of `payload` as JSON, signed with `secret` where there is one."""

    url: str
    payload: Any
    secret: str | None = None

    @classmethod
    def read(cls, request: Mapping[str, Any]) -> "Webhook":
        """The call that a row of the outbox asks for."""
        return cls(request["url"], request["payload"], request.get("secret"))


def key(account_id: int, enrollment_id: int, epoch: int, step: int, recipient: int | str) -> str:
    """What a step of an enrollment sends to one recipient (a record's id, say) is known by."""
    return f"{account_id}-{enrollment_id}-{epoch}-{step}-{recipient}"


def sent_key(kept: str, created_at: datetime) -> str:
    """The key as receivers see it: the same at every attempt, and never that of another installation's request.

    Numbers begin anew with every database; a mailbox that knows a Message-ID passes over the mail.
    """
    # In headers, and before the @ of a Message-ID, not everything can stand.
    shown = kept if _SENDABLE.fullmatch(kept) else hashlib.sha256(kept.encode()).hexdigest()[:32]
    return f"{shown}-{(created_at - EPOCH) // (created_at.resolution):x}"


def mail(
    key: str,
    content: Mail,
    *,
    enrollment_id: int | None = None,
    step: int | None = None,
    workflow_id: int | None = None,
    record_id: int | None = None,
) -> Outgoing:
    """A mail to be put into the outbox. Raises `MalformedMailAddress`, `MalformedUrl`."""
    check_address(content.to)
    if content.reply_to is not None:
        check_address(content.reply_to)
    if content.unsubscribe_url is not None:
        check_url(content.unsubscribe_url)
    return Outgoing(key, EMAIL, MAIL_HOST, content.request(), enrollment_id, step, workflow_id, record_id)


def webhook(
    key: str,
    content: Webhook,
    *,
    enrollment_id: int | None = None,
    step: int | None = None,
    workflow_id: int | None = None,
    record_id: int | None = None,
) -> Outgoing:
    """A call to be put into the outbox. Raises `MalformedUrl`."""
    host = check_url(content.url)
    request = {"url": content.url, "payload": content.payload}
    if content.secret is not None:
        request["secret"] = content.secret
    return Outgoing(key, WEBHOOK, host, request, enrollment_id, step, workflow_id, record_id)


def check_address(text: str) -> str:
    """`text`, if it can be a mail's recipient; raises `MalformedMailAddress`.

    Addresses in quotes, which the standard knows and nobody has, are none.
    """
    name, _, domain = text.rpartition("@")
    usable = (
        _NAME.fullmatch(name) is not None
        and _DOMAIN.fullmatch(domain) is not None
        and len(text) <= LONGEST_ADDRESS
        and len(name) <= LONGEST_NAME
        and storable(text)
    )
    if usable and not domain.isascii():
        try:
            domain.encode("idna")
        except UnicodeError:
            usable = False
    if not usable:
        raise MalformedMailAddress(address=_shown(text))
    return text


def check_url(text: str) -> str:
    """The host, with its port, at which `text` is called; raises `MalformedUrl`.

    Whether its addresses may be called is asked when it is called: names lead elsewhere tomorrow.
    """
    reason = None
    host, port = "", None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        reason = "it is no URL"
    else:
        if parts.scheme not in ("http", "https"):
            reason = "it must begin with http:// or https://"
        elif not host:
            reason = "it names no host"
        elif parts.username is not None or parts.password is not None:
            reason = "it holds a name and a password; sign the calls instead"
        elif len(text) > LONGEST_URL:
            reason = f"it has more than {LONGEST_URL} characters"
        elif not storable(text) or any(letter.isspace() or not letter.isprintable() for letter in text):
            reason = "it holds a space, or a character that is no text"
        elif "\\" in text:
            reason = "it holds a backslash"
    if reason is not None:
        raise MalformedUrl(url=_shown(text), reason=reason)
    port = port or (443 if parts.scheme == "https" else 80)
    return f"{host.rstrip('.').lower()}:{port}"


def _shown(text: str) -> str:
    return text[:100].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
