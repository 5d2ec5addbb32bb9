"""What the text of a setting means: each reader returns the value, or raises ValueError with what is expected."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from engine.sync.credentials import check_key
from server.outbox.mails import MailServer, sender

LARGEST_PORT = 65_535


def text(value: str) -> str:
    """Whatever it says."""
    return value


def path(value: str) -> Path:
    """A path; `~` is the home directory."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("a path: there is no such home directory") from None


def database_url(value: str) -> str:
    """The address of a PostgreSQL server."""
    parts = _split(value)
    if (
        parts is None
        or parts.scheme not in ("postgresql", "postgres")
        or not all(
            map(_port, (*_ports(parts.netloc), *",".join(parse_qs(parts.query).get("port", ())).split(",")))
        )
    ):
        raise ValueError("an address such as postgresql://user:password@host:5432/database")
    return value


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds, both included."""

    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return number

    return parse


# A port to listen on; 0 is any free one.
port = whole(0, LARGEST_PORT)


def one_of(*choices: str) -> Callable[[str], str]:
    """One of some words, in lower case."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return value.lower()

    return parse


def public_url(value: str) -> str:
    """The address of a web server, without the last slash."""
    parts = _web(value)
    if parts is None or parts.query or parts.fragment:
        raise ValueError("an address such as https://crm.example.com")
    return value.rstrip("/")


def smtp_url(value: str) -> str:
    """The address of a mail server."""
    try:
        MailServer.read(value)
    except (ValueError, KeyError):
        raise ValueError(
            "an address such as smtp://user:password@host:587?starttls=required or smtps://user:password@host"
        ) from None
    return value


def mail_from(value: str) -> str:
    """A mail address, with or without a name."""
    try:
        sender(value)
    except ValueError:
        raise ValueError("a mail address such as Relata <crm@example.com>") from None
    return value


def origins(value: str) -> str:
    """Origins of pages, divided by commas; `*` is any."""
    named = [each.strip().rstrip("/") for each in value.split(",") if each.strip()]
    for origin in named:
        parts = _web(origin)
        if origin != "*" and (parts is None or origin != f"{parts.scheme}://{parts.netloc}"):
            raise ValueError("origins such as https://crm.example, divided by commas, or *")
    return ",".join(named)


def secret_keys(value: str) -> str:
    """Keys that seal, divided by commas."""
    try:
        return ",".join(check_key(key) for key in value.split(","))
    except ValueError:
        raise ValueError(
            "one or several keys divided by commas, each 32 bytes in base64, such as `openssl rand -base64 32` makes"
        ) from None


def _split(value: str) -> SplitResult | None:
    """The parts of an address; None where it has none, such as one with half of a pair of brackets."""
    try:
        return urlsplit(value)
    except ValueError:
        return None


def _web(value: str) -> SplitResult | None:
    """The parts of a web server's address; None where it is none."""
    parts = _split(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    sound = parts.netloc.isprintable() and " " not in parts.netloc and all(map(_port, _ports(parts.netloc)))
    return parts if sound else None


def _ports(netloc: str) -> list[str]:
    """The port of each host, of which PostgreSQL takes several; empty where none is said."""
    hosts = netloc.rpartition("@")[2].split(",")
    # An IPv6 address stands in brackets.
    return [host.rpartition("]")[2].partition(":")[2] for host in hosts]


def _port(text: str) -> bool:
    """Whether it can be a port; empty: the usual one."""
    return not text or (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= LARGEST_PORT)
