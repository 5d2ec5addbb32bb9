"""Calls to Directus, and what its errors mean."""

from collections.abc import Mapping
from typing import Any

import orjson

from engine.sync.categories import Category
from engine.sync.connectors.answers import Answer, failure
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import ConnectorError, Disconnected, Exists, Rejected, Retry

_SIGNED_OUT = frozenset(
    {"INVALID_CREDENTIALS", "INVALID_TOKEN", "TOKEN_EXPIRED", "USER_SUSPENDED", "INVALID_OTP"}
)
_LATER = frozenset({"REQUESTS_EXCEEDED", "LIMIT_EXCEEDED"})
_DOWN = frozenset({"UNDER_PRESSURE", "SERVICE_UNAVAILABLE"})
_REFUSED = {
    "NOT_NULL_VIOLATION": Category.REQUIRED_FIELD_MISSING,
    "CONTAINS_NULL_VALUES": Category.REQUIRED_FIELD_MISSING,
    "INVALID_FOREIGN_KEY": Category.RECORD_NOT_FOUND,
    "VALUE_TOO_LONG": Category.VALUE_TOO_LONG,
    "CONTENT_TOO_LARGE": Category.VALUE_TOO_LONG,
    "VALUE_OUT_OF_RANGE": Category.INVALID_VALUE,
    "FORBIDDEN": Category.MISSING_PERMISSION,
}
# What databases say of a value that is not of the column's type; Directus passes it on as an error of its own.
_WRONG_VALUE = ("invalid input syntax", "out of range", "Incorrect ", "Out of range", "datatype mismatch")


class Calls:
    """The project's API."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.host, self.base = http.base.host, str(http.base)

    async def ask(
        self, method: str, path: str, body: Any = None, params: Mapping[str, str | int] | None = None
    ) -> Answer:
        """One call. Raises Disconnected, and Unclear where something may have been done."""
        return await self._http.request(method, path, json=body, params=params)

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The data of a good answer. Raises what a bad one means for the connection."""
        return good(await self.ask("GET", path, params=params))["data"]

    async def search(self, collection: str, query: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Answer]:
        """Items by a query of any length, and the answer that they came with."""
        answer = await self.ask("SEARCH", f"items/{collection}", {"query": query})
        return good(answer)["data"], answer


def good(answer: Answer) -> Any:
    """The answer's JSON. Raises what a bad answer means for the connection."""
    if answer.ok:
        return answer.json()
    error = whole(answer)
    raise error


def whole(answer: Answer) -> ConnectorError:
    """What a failed call that is about no single item means."""
    code, message, _ = _error(answer)
    if code == "FORBIDDEN":
        return Disconnected(message, Category.MISSING_PERMISSION)
    if answer.status >= 500 and code not in _DOWN:
        return Disconnected(message or f"It answered with status {answer.status}.", after=answer.waits())
    return one(answer)


def one(answer: Answer) -> ConnectorError:
    """What a failed call about one item means."""
    code, message, more = _error(answer)
    field = more.get("field") if isinstance(more.get("field"), str) else None
    if code in _SIGNED_OUT:
        return Disconnected(message, Category.AUTHENTICATION_EXPIRED)
    if code in _LATER:
        return Disconnected(message, Category.RATE_LIMITED, answer.waits())
    if code in _DOWN:
        return Disconnected(message, after=answer.waits())
    if code == "RECORD_NOT_UNIQUE":
        return Exists(message, Category.UNIQUE_VALUE_CONFLICT)
    if code == "FAILED_VALIDATION":
        kind = more.get("type")
        category = {
            "required": Category.REQUIRED_FIELD_MISSING,
            "in": Category.OPTION_NOT_FOUND,
        }.get(str(kind), Category.INVALID_VALUE)
        return Rejected(message, category, field)
    if code in _REFUSED:
        return Rejected(message, _REFUSED[code], field)
    if code == "INTERNAL_SERVER_ERROR":
        if any(words in message for words in _WRONG_VALUE):
            # The database's words alone: before them stands the whole statement.
            return Rejected(message.rsplit(" - ", 1)[-1], Category.INVALID_VALUE)
        return Retry("Directus had an error of its own.", Category.REMOTE_UNAVAILABLE, answer.waits())
    return failure(answer, message)


def not_unique(answer: Answer, field: str) -> bool:
    """Whether an item was refused for a value of this field that another one has."""
    code, _, more = _error(answer)
    return code == "RECORD_NOT_UNIQUE" and more.get("field") == field


def forbidden(answer: Answer) -> bool:
    """Whether it is there for others than us, or for nobody."""
    return _error(answer)[0] == "FORBIDDEN"


def _error(answer: Answer) -> tuple[str, str, dict[str, Any]]:
    """The first error's code, its words, and what else it says."""
    try:
        error = orjson.loads(answer.content)["errors"][0]
        more = error.get("extensions") or {}
        return str(more.get("code", "")), str(error.get("message", ""))[:500], more
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
        return "", "", {}
