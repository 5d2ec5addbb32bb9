"""How an attempt went, named by what is done next; and when, in `after`."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias, assert_never

# Doubling from ten seconds to four hours: sixteen attempts take about a day.
ATTEMPTS = 16
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=10), timedelta(hours=4)
# So far a delay may be from its middle, to either side: what failed together is not tried again together.
JITTER = 0.2
# Nobody can put us off for longer.
LONGEST_RETRY_AFTER = timedelta(days=1)
# How much of what a receiver answers is kept, in characters.
EXCERPT = 500


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has taken it."""

    status_code: int | None = None
    message_id: str | None = None
    response: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not arrive, or may arrive twice without harm, for a reason that may pass."""

    code: str
    message: str
    status_code: int | None = None
    response: str | None = None
    # How long the receiver asks us to wait.
    wait: timedelta | None = None
    # Whether the host itself was not to be reached, so that others who call it will fare no better.
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """It did not arrive, and would not next time."""

    code: str
    message: str
    status_code: int | None = None
    response: str | None = None


@dataclass(frozen=True, slots=True)
class Unclear:
    """It may have arrived, and another one would be a second one: not sent again until somebody says so."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """It must not be sent any more: since it was written, its receiver has come to want none, or to get none.

    `reason` is one of `engine.events.mail_refused`.
    """

    reason: str


Attempt: TypeAlias = Delivered | Retry | Rejected | Unclear | Withheld

_WITHHELD = {
    "UNSUBSCRIBED": "The contact has unsubscribed before the mail was sent.",
    "BOUNCED": "Another mail to the contact has bounced for good before this one was sent.",
    "ARCHIVED": "The contact was archived before the mail was sent.",
}


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of it: PENDING with the time of the next attempt, or DELIVERED, FAILED, UNKNOWN, CANCELLED."""

    status: str
    next_attempt_at: datetime | None
    outcome: dict[str, Any]


def after(went: Attempt, attempt: int, now: datetime, *, key: str, attempts: int = ATTEMPTS) -> Next:
    """What follows attempt number `attempt` (from 1) of at most `attempts`, which went so and ended at `now`."""
    match went:
        case Delivered(status_code, message_id, response):
            return Next("DELIVERED", None, _told(status_code, message_id, response))
        case Retry(code, message, status_code, response, wait):
            outcome = _told(status_code, None, response) | _error(code, message)
            if attempt >= attempts:
                return Next("FAILED", None, outcome)
            delay = max(retry_delay(attempt, key), min(wait or timedelta(0), LONGEST_RETRY_AFTER))
            return Next("PENDING", now + delay, outcome)
        case Rejected(code, message, status_code, response):
            return Next("FAILED", None, _told(status_code, None, response) | _error(code, message))
        case Unclear(code, message):
            return Next("UNKNOWN", None, _error(code, message))
        case Withheld(reason):
            return Next("CANCELLED", None, {"notSent": reason} | _error(reason, _WITHHELD[reason]))
        case _:
            assert_never(went)


def retry_delay(attempt: int, key: str) -> timedelta:
    """How long to wait after attempt number `attempt` (from 1) of what has this key: the same whenever it is asked."""
    middle = min(FIRST_DELAY * (1 << min(max(attempt, 1) - 1, 20)), LONGEST_DELAY)
    drawn = int.from_bytes(hashlib.sha256(f"{key}/{attempt}".encode()).digest()[:8]) / 2**64
    return middle * (1 - JITTER + 2 * JITTER * drawn)


def excerpt(text: str) -> str:
    """What is kept of foreign text: short, and such that it can be stored."""
    kept = text[:EXCERPT].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return kept if len(text) <= EXCERPT else kept + "…"


def _told(status_code: int | None, message_id: str | None, response: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "statusCode": status_code,
        "messageId": None if message_id is None else message_id.replace("\0", "\ufffd"),
    }
    told["response"] = excerpt(response) if response else None
    return {name: value for name, value in told.items() if value is not None}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": excerpt(message)}}
