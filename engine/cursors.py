"""Cursors of the event log: an account and a number, opaque to clients, and checked when they come back."""

import base64
import binascii
import hashlib

from engine.problems import Problem

_CHECK = b"relata event cursor"


class InvalidCursor(Problem):
    """The cursor "{cursor}" is not one of this account's event stream; pass it as you received it."""


class CursorExpired(Problem):
    """The events behind this cursor are no longer kept (the oldest is number {oldest}); begin anew without it."""


def encode(account_id: int, seq: int) -> str:
    """The cursor of an event: opaque text."""
    place = f"{account_id}.{seq}"
    return base64.urlsafe_b64encode(f"{place}.{_check(place)}".encode()).decode().rstrip("=")


def decode(account_id: int, cursor: str) -> int:
    """The number behind a cursor of this account; raises `InvalidCursor`."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        place, check = text.rsplit(".", 1)
        account, seq = place.split(".")
        if check != _check(place) or account != str(account_id):
            raise ValueError
        return int(seq)
    except (ValueError, binascii.Error):
        raise InvalidCursor(cursor=cursor[:100]) from None


def _check(place: str) -> str:
    """Not a secret: it tells a cursor from a text that happens to look like one."""
    return hashlib.blake2b(place.encode(), digest_size=6, key=_CHECK).hexdigest()
