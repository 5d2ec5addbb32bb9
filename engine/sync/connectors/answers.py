"""What an app has said over HTTP, and what a status that is not good means: the whole connection, or one item.

`unavailable` asks for the one, `failure` for both.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from engine.outbox.responses import retry_after
from engine.sync.categories import Category
from engine.sync.connectors.protocol import ConnectorError, Disconnected, Gone, Rejected, Retry, Stale


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app said. `url` is where it was said in the end."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The answer as text, whatever it is."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The answer's JSON. Raises Disconnected: whoever answers something else is not the app."""
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            raise Disconnected(
                f"{urlsplit(self.url).netloc} answered with no JSON: is the address right?"
            ) from None

    def document(self) -> dict[str, Any]:
        """The answer's JSON where it is an object, as the app's answers are. Raises Disconnected, as `json` does."""
        found = self.json()
        if not isinstance(found, dict):
            raise Disconnected(
                f"{urlsplit(self.url).netloc} answered with other JSON than expected: is the address right?"
            )
        return found

    def waits(self) -> timedelta | None:
        """How long the app asks to wait. A date is read by the app's own clock."""
        text = self.headers.get("Retry-After")
        try:
            now = parsedate_to_datetime(self.headers.get("Date", ""))
        except (ValueError, TypeError, IndexError, OverflowError):
            now = None
        if now is None:
            return (
                retry_after(text, datetime.min.replace(tzinfo=UTC))
                if (text or "").strip().isdigit()
                else None
            )
        return retry_after(text, now if now.tzinfo else now.replace(tzinfo=UTC))


def unavailable(answer: Answer) -> Disconnected | None:
    """What an answer says of the whole connection, if anything."""
    host = urlsplit(answer.url).netloc
    match answer.status:
        case 401:
            return Disconnected(f"{host} does not accept the credentials.", Category.AUTHENTICATION_EXPIRED)
        case 429:
            return Disconnected(f"{host} asks for a pause.", Category.RATE_LIMITED, answer.waits())
        case 502 | 503 | 504:
            return Disconnected(f"{host} answered with status {answer.status}.", after=answer.waits())
    return None


def failure(answer: Answer, about: str = "") -> ConnectorError:
    """What an answer that is not `ok` says of the item that was asked for; `about`: the app's own words."""
    if (whole := unavailable(answer)) is not None:
        return whole
    message = about or f"{urlsplit(answer.url).netloc} answered with status {answer.status}."
    match answer.status:
        case 403:
            return Rejected(message, Category.MISSING_PERMISSION)
        case 404 | 410:
            return Gone(message)
        case 412:
            return Stale(message)
        case 413:
            return Rejected(message, Category.VALUE_TOO_LONG)
        case 408 | 423 | 425 | 507:
            return Retry(message, Category.REMOTE_UNAVAILABLE, answer.waits())
        case status if status >= 500:
            return Retry(message, Category.REMOTE_UNAVAILABLE, answer.waits())
    return Rejected(message, Category.VALIDATION_REJECTED)
