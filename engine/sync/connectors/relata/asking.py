"""Operations sent to another Relata, and what its errors mean.

Everything is safe to repeat: creations carry keys, and all other mutations say what is to be, not what is to be added.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from engine.sync.categories import Category
from engine.sync.connectors.answers import failure, unavailable
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import (
    ConnectorError,
    CursorLost,
    Disconnected,
    Exists,
    Gone,
    Rejected,
    Retry,
)

# The stream gives a sign of life every ten seconds; this long without one, and it is dead.
SILENCE = 35.0

_ALL: dict[str, ConnectorError] = {
    "UNAUTHENTICATED": Disconnected("", Category.AUTHENTICATION_EXPIRED),
    "MISSING_SCOPE": Disconnected("", Category.MISSING_PERMISSION),
    "UNAVAILABLE": Disconnected("", Category.REMOTE_UNAVAILABLE),
    "GOING_AWAY": Disconnected("", Category.REMOTE_UNAVAILABLE),
    "ACCESS_CHANGED": Disconnected("", Category.REMOTE_UNAVAILABLE),
    "SLOW_CONSUMER": Disconnected("", Category.REMOTE_UNAVAILABLE),
    **dict.fromkeys(("TIMEOUT", "CONFLICT", "LOST_TOO_MANY_RACES"), Retry("", Category.REMOTE_UNAVAILABLE)),
    "INTERNAL_ERROR": Retry("", Category.UNKNOWN),
    **dict.fromkeys(("CURSOR_EXPIRED", "INVALID_CURSOR", "MALFORMED_CURSOR", "WRONG_CURSOR"), CursorLost("")),
    **dict.fromkeys(
        ("COST_LIMIT_EXCEEDED", "FIELD_LIMIT_EXCEEDED", "BATCH_TOO_LARGE"), Retry("", Category.RATE_LIMITED)
    ),
    **dict.fromkeys(
        ("UNKNOWN_OBJECT_TYPE", "UNKNOWN_PROPERTY", "UNKNOWN_LABEL"),
        Rejected("", Category.PROPERTY_NOT_FOUND),
    ),
}
_ITEM: dict[str, Category] = {
    "REQUIRED_PROPERTY": Category.REQUIRED_FIELD_MISSING,
    "INVALID_VALUE": Category.INVALID_VALUE,
    "MALFORMED_TEXT": Category.INVALID_VALUE,
    "VALUE_TOO_LONG": Category.VALUE_TOO_LONG,
    "UNKNOWN_OPTION": Category.OPTION_NOT_FOUND,
    "PROPERTY_READ_ONLY": Category.PROPERTY_READ_ONLY,
    "PROPERTY_ARCHIVED": Category.PROPERTY_NOT_FOUND,
    "ASSOCIATION_LIMIT_REACHED": Category.ASSOCIATION_LIMIT_REACHED,
    "LABEL_LIMIT_REACHED": Category.ASSOCIATION_LIMIT_REACHED,
}
_TAKEN = ("UNIQUE_VALUE_TAKEN", "UNIQUE_VALUE_ARCHIVED", "UNIQUE_VALUE_REPEATED")
_GONE = ("NOT_FOUND", "MALFORMED_ID", "RECORD_ARCHIVED", "RECORD_GONE", "RECORD_NOT_THERE", "RECORD_MERGED")


class Asking:
    """The other one's endpoint."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def ask(self, text: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation. Raises what its errors mean."""
        body = {"query": text, "variables": variables}
        headers = {"Accept": "application/json"}
        answer = await self._http.request("POST", json=body, headers=headers, safe=True)
        if (whole := unavailable(answer)) is not None:
            raise whole
        if not answer.ok and not answer.content.startswith(b"{"):
            raise failure(answer)
        said = answer.json()
        if not isinstance(said, dict) or not ("data" in said or "errors" in said):
            raise Disconnected("It does not answer as a GraphQL endpoint does: is the address right?")
        if said.get("errors"):
            raise _of_all(said["errors"][0])
        data = said["data"]
        if not isinstance(data, dict):
            raise Disconnected("It does not answer as a GraphQL endpoint does: is the address right?")
        return data

    async def listen(self, text: str, **variables: Any) -> AsyncIterator[Any]:
        """What a subscription tells: first None, when it has begun, then the value of its field each time."""
        headers = {"Accept": "text/event-stream"}
        body = {"query": text, "variables": variables}
        begun = False
        async for line in self._http.lines(headers=headers, json=body, silence=SILENCE):
            if not begun:
                begun = True
                yield None
            if line.startswith("data: {"):
                said = orjson.loads(line.removeprefix("data: "))
                if said.get("errors"):
                    raise _of_all(said["errors"][0])
                for value in (said.get("data") or {}).values():
                    yield value


def _of_all(error: Mapping[str, Any]) -> ConnectorError:
    """What an error of a whole operation means."""
    code = (error.get("extensions") or {}).get("code", "")
    message = f"{code}: {error.get('message', '')}"[:500]
    known = _ALL.get(code)
    if known is None:
        return Rejected(message, Category.VALIDATION_REJECTED)
    return type(known)(message, known.category)


def of_item(error: Mapping[str, Any]) -> ConnectorError:
    """What one of `userErrors` means for its item."""
    code, message = error["code"], error["message"]
    details = error.get("details") or {}
    field = details.get("property") if isinstance(details, dict) else None
    if code in _TAKEN:
        holder = details.get("holder")
        return Exists(
            message, Category.UNIQUE_VALUE_CONFLICT, holder if code == "UNIQUE_VALUE_TAKEN" else None
        )
    if code in _GONE:
        return Gone(message)
    if code == "IDEMPOTENCY_KEY_REUSED":
        return Exists(message)
    if code in _ITEM:
        return Rejected(message, _ITEM[code], field)
    known = _ALL.get(code)
    if isinstance(known, Retry):
        return Retry(message, known.category)
    if isinstance(known, Rejected):
        return Rejected(message, known.category, field)
    return Rejected(message, Category.VALIDATION_REJECTED, field)
