"""What a receiver's answer means."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from engine.outbox.outcomes import Attempt, Delivered, Rejected, Retry

# Beside those of 500 and more: the same request may be taken another time.
_AGAIN = frozenset({408, 425, 429})


def of_http(status: int, body: str, waits: str | None, now: datetime) -> Attempt:
    """An HTTP answer: its status, the beginning of its body, and what it says in `Retry-After`."""
    if 200 <= status < 300:
        return Delivered(status, response=body)
    message = f"The receiver answered with status {status}."
    if 300 <= status < 400:
        return Rejected("REDIRECTED", f"{message} Redirects are not followed.", status, body)
    if status >= 500 or status in _AGAIN:
        return Retry("HTTP_STATUS", message, status, body, retry_after(waits, now))
    return Rejected("HTTP_STATUS", message, status, body)


def of_smtp(status: int, message: str) -> Retry | Rejected:
    """A mail server's refusal. Those in the 400s may pass, and so may what we cannot know."""
    told = f"The mail server answered: {status} {message}"
    if 500 <= status < 600:
        return Rejected("SMTP_STATUS", told, status)
    return Retry("SMTP_STATUS", told, status)


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """How long `Retry-After` asks to wait, in seconds or until a date; None where it says nothing that can be read."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # Longer than anybody is listened to, and short enough to be counted.
        return timedelta(seconds=min(int(text[:12]), 10**9))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(until - now, timedelta(0))
